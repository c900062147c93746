"""`State`: where a search stands, and `Best`: what it has found."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from kgdists.core import backend
from kgdists.core.types import Tensor, TensorLike
from kgdists.evolution.gaussians.search_distribution import SearchDistribution
from kgdists.random import hashed_normal

__all__ = ["Best", "State", "checked", "drawn", "told"]


class State(NamedTuple):
    """Where a search stands: a value of tensors only, which goes in and out of `tf.function` and loops.

    Attributes
    ----------
    seed : int64 tensor, shape [2]
        The key of all that the search draws.
    generation : int64 scalar tensor
        How many generations have passed.
    distribution : SearchDistribution
        Its leading axes are those of a batch of searches.
    extra : nest of tensors
        What else the searcher carries along, such as the moments of an optimizer.
    """

    seed: Tensor
    generation: Tensor
    distribution: SearchDistribution
    extra: Any = ()


class Best(NamedTuple):
    """The best solution so far, shape [B..., D], and its fitness, a float or an array of shape [B...]."""

    solution: np.ndarray
    fitness: Any


def drawn(state: State, count: int) -> Tensor:
    """The standard normal numbers of the first `count` rows of the population."""
    return state.distribution.noise_rows(hashed_normal.generation_key(state.seed, state.generation), 0, count)


def told(state: State, samples: TensorLike, fitnesses: TensorLike) -> tuple[Tensor, Tensor]:
    """What `tell` is given as tensors; raises unless they fit."""
    samples, fitnesses = state.distribution.population(samples, fitnesses)
    values = backend.concrete(fitnesses)
    if values is not None and np.isnan(values).all(axis=-1).any():
        raise ValueError("Some solution must have a fitness that is not NaN. Received: only NaN")
    return samples, fitnesses


def checked(state: State) -> State:
    """A state that has been moved by samples; raises where they were too far away for its numbers."""
    for x in tf.nest.flatten(state.distribution):
        values = backend.concrete(x)
        if values is not None and not np.isfinite(values).all():
            raise ValueError(
                "Samples must be so near to the search distribution that its parameters stay finite. Received: samples "
                "that make them infinite or NaN"
            )
    return state
