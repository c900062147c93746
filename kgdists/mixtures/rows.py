"""The samples of a fit."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from kgdists.core.types import TensorLike
from kgdists.mixtures.samples import source, subset

__all__ = ["MAX_SEEDING", "Samples", "read"]

MAX_SEEDING = 10_000  # samples that k-means sees


@dataclasses.dataclass(frozen=True, eq=False)
class Samples:
    """Samples in their own units.

    Attributes
    ----------
    draw : callable
        `(count, rng) -> array [count, n]`
    rows, weights : array, shape [N, n] and [N]
    few, few_weights : array
        The same, or if they are many some of them: for starts, and to judge what is found on the way.
    """

    draw: Callable[[int, np.random.Generator], np.ndarray]
    rows: np.ndarray
    weights: np.ndarray
    few: np.ndarray
    few_weights: np.ndarray


def read(data: Any, weights: TensorLike | None, count: int, rng: np.random.Generator) -> Samples:
    """The samples of an array, and `count` of those of anything else that has samples."""
    draw = source(data, weights)
    rows, own = draw.all_rows(count, rng)
    return Samples(draw, rows, own, *subset(rows, own, MAX_SEEDING, rng))
