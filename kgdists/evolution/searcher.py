"""`Searcher`: what is the same for all searchers, as pure functions of states and as an object that runs."""

import math
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from kgdists import random
from kgdists.evolution import noise

__all__ = ["Searcher", "State"]


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

    seed: tf.Tensor
    generation: tf.Tensor
    distribution: Any
    extra: Any = ()


class Searcher:
    """Base class of the searchers: populations drawn from a search distribution, which moves to the fitter ones.

    A subclass has a constructor, `init` and `update`; one that needs more than the gradients of its distribution has a
    `tell` of its own. These and `ask` are pure functions of a `State`, which is all that a search remembers.

    Parameters
    ----------
    objective : None or callable
        Solutions -> fitnesses, see `evaluation`; None where only the pure functions are used.
    objective_sense : {"max", "min"}
    solution_length : int
    popsize : int
        Solutions per generation.
    center_init : None, float or float array, shape [D] or [B..., D]
        The first center; leading axes run so many searches at once. None is 0, or within bounds their middle.
    stdev_init, radius_init : None, float or float array, shape [D] or [B..., D]
        The first standard deviation of each dimension, or their root of the sum of squares. One of the two is given.
    stdev_min, stdev_max, stdev_max_change : None, float or float array
        Bounds of the standard deviations, and of their relative change in one generation.
    ranking_method : str
        A method of `rank`.
    seed : None or int
        An int makes the whole search reproducible.
    dtype : {"float32", "float64"}
    """

    def __init__(
        self,
        objective,
        *,
        objective_sense,
        solution_length,
        popsize,
        center_init=None,
        stdev_init=None,
        radius_init=None,
        stdev_min=None,
        stdev_max=None,
        stdev_max_change=None,
        ranking_method="raw",
        seed=None,
        dtype="float32",
    ):
        self.objective = objective
        self.objective_sense = objective_sense
        self.solution_length = solution_length
        self.popsize = popsize
        self.ranking_method = ranking_method
        self.dtype = dtype
        if (stdev_init is None) == (radius_init is None):
            raise ValueError(
                "One of `stdev_init` and `radius_init` must be given. "
                f"Received: stdev_init={stdev_init}, radius_init={radius_init}"
            )
        if stdev_init is None:
            stdev_init = np.asarray(radius_init, "float64") / math.sqrt(solution_length)
        center = np.zeros(solution_length) if center_init is None else np.asarray(center_init, "float64")
        batch = np.broadcast_shapes(center.shape, np.shape(stdev_init), (solution_length,))
        self.center_init = tf.constant(np.broadcast_to(center, batch), dtype)
        self.stdev_init = tf.constant(np.broadcast_to(np.asarray(stdev_init, "float64"), batch), dtype)
        self.stdev_min, self.stdev_max, self.stdev_max_change = stdev_min, stdev_max, stdev_max_change
        self.seed = tf.cast(random.key(seed), "int64")

    # The search as pure functions.

    def init(self, seed=None):
        """The state before the first generation; `seed` (an int or a key) other than that of the constructor."""
        raise NotImplementedError

    def ask(self, state, num_solutions=None, first_row=0):
        """Rows of the population of this generation, shape [B..., N, D], in the space of the distribution.

        Parameters
        ----------
        state : State
        num_solutions : None or int
            None is the whole population.
        first_row : int or integer scalar tensor
            Any rows can be had on their own: they are those of the whole population.
        """
        key = noise.generation_key(state.seed, state.generation)
        return state.distribution.sample_rows(key, first_row, num_solutions or self.popsize)

    def tell(self, state, samples, fitnesses):
        """The next state, by the fitnesses [B..., N] of the samples [B..., N, D] that `ask` returned."""
        gradients = state.distribution.compute_gradients(
            samples, fitnesses, objective_sense=self.objective_sense, ranking_method=self.ranking_method
        )
        return self.update(state, gradients)

    def update(self, state, gradients):
        """The next state, of the next generation, by the gradients of the distribution's parameters."""
        raise NotImplementedError

    def decode(self, samples):
        """The solutions, as the objective takes them, that samples of the distribution stand for."""
        return samples

    # For the subclasses.

    def _first(self, distribution, extra=(), seed=None):
        """The state that a subclass's `init` returns."""
        key = self.seed if seed is None else tf.cast(random.key(seed), "int64")
        return State(key, tf.constant(0, "int64"), distribution, extra)

    def _limited(self, new, old):
        """New standard deviations within the limits of the constructor."""
        if self.stdev_max_change is not None:
            change = tf.cast(self.stdev_max_change, new.dtype) * old
            new = tf.clip_by_value(new, old - change, old + change)
        if self.stdev_min is not None:
            new = tf.maximum(new, tf.cast(self.stdev_min, new.dtype))
        if self.stdev_max is not None:
            new = tf.minimum(new, tf.cast(self.stdev_max, new.dtype))
        return new
