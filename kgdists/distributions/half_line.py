"""Shared by the distributions on the half line from 0: which values they take."""

import functools

import numpy as np
from keras import ops

from kgdists.core import shapes, value_checks
from kgdists.core.types import Tensor

__all__ = ["by_place", "check_not_negative", "check_not_tiny", "inside_or_one"]

INF = float("inf")


def check_not_negative(x: Tensor) -> None:
    """Raise if values are at hand and one of them is below 0."""
    shapes.check_each("be >= 0, as all values of this distribution are", x, x >= 0.0)


def check_not_tiny(x: Tensor) -> None:
    """Raise if values are at hand and one of them is between 0 and the smallest number whose logarithm is known."""
    least = shapes.smallest(x)
    # Compared by NumPy, to which such numbers are not 0.
    value_checks.check_values(functools.partial(_check_not_tiny, least), x)


def _check_not_tiny(least, values):
    tiny = (values > 0) & (values < least)
    if tiny.any():
        index = np.argwhere(tiny)[0].tolist()
        raise ValueError(
            f"`x` must be 0 or at least {least:.2g}: less counts as 0, where the density is another one. "
            f"Received: {values[tuple(index)]} at index {index} of x"
        )


def inside_or_one(x: Tensor, with_zero: bool = False) -> Tensor:
    """`x` where it is inside the support, else 1, so that no formula or gradient meets an end; NaN stays."""
    below = x < 0.0 if with_zero else x <= 0.0
    return ops.where(below | ops.equal(x, INF), 1.0, x)


def by_place(x: Tensor, inside: Tensor, below: float, at_infinity: float) -> Tensor:
    """`inside`, or what there is at 0 and below, and at infinity."""
    return ops.where(x <= 0.0, below, ops.where(ops.equal(x, INF), at_infinity, inside))
