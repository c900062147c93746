"""Shared by the distributions on the half line from 0: which values they take."""

import numpy as np
from keras import ops

from kgdists.core import backend
from kgdists.core.types import Tensor

__all__ = ["by_place", "check_not_negative", "inside_or_one"]

INF = float("inf")


def check_not_negative(x: Tensor) -> None:
    """Raise if values are at hand and one of them is below 0."""

    def check(values):
        if (values < 0).any():
            index = np.argwhere(values < 0)[0].tolist()
            raise ValueError(
                "`x` must be >= 0, as all values of this distribution are. "
                f"Received: {values[tuple(index)]} at index {index} of x"
            )

    backend.check_values(check, x)


def inside_or_one(x: Tensor, with_zero: bool = False) -> Tensor:
    """`x` where it is inside the support, else 1, so that no formula or gradient meets an end; NaN stays."""
    below = x < 0.0 if with_zero else x <= 0.0
    return ops.where(below | ops.equal(x, INF), 1.0, x)


def by_place(x: Tensor, inside: Tensor, below: float, at_infinity: float) -> Tensor:
    """`inside`, or what there is at 0 and below, and at infinity."""
    return ops.where(x <= 0.0, below, ops.where(ops.equal(x, INF), at_infinity, inside))
