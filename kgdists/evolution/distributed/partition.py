"""`Partition`: what one process does for a population that is spread over many."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kgdists.core.types import Tensor
from kgdists.evolution.bounded_space import Bounds
from kgdists.evolution.distributed.exact_sums import in_units
from kgdists.evolution.gaussians.search_distribution import SearchDistribution
from kgdists.evolution.generations import compiled
from kgdists.evolution.objective import Objective, uncompiled

__all__ = ["Partition", "sum_bounds"]

LARGEST = {"float32": 7.0, "float64": 10.0}  # more than any standard normal number of `noise.normal`
FIRST = tf.TensorSpec((), tf.int64)
KEY = tf.TensorSpec((2,), tf.int64)


class Partition:
    """Fitnesses of some rows of a population, and their part of its sums.

    Rows go in blocks of one size, by programs that are the same whoever runs them: a block's numbers do not depend on
    which process has it.

    Parameters
    ----------
    like : SearchDistribution
        Of the type, shape and dtype of those that are searched; its tensors may be `tf.TensorSpec`s.
    objective : Objective
    bounds : None or Bounds
    popsize : int
    block_size : int
        Rows of a block; even where rows come in pairs.
    """

    def __init__(
        self, like: SearchDistribution, objective: Objective, bounds: Bounds | None, popsize: int, block_size: int
    ) -> None:
        self.like = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), like)
        self.objective, self.bounds = objective, bounds
        self.popsize, self.block_size = popsize, block_size

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.like, self.objective, self.bounds, self.popsize, self.block_size)

    @property
    def num_blocks(self) -> int:
        return -(-self.popsize // self.block_size)

    def fitnesses(
        self, blocks: range, key: np.ndarray, leaves: Sequence[np.ndarray], row: int | None = None
    ) -> np.ndarray:
        """The fitnesses of the solutions of some blocks.

        Parameters
        ----------
        blocks : range
        key : int64 array, shape [2]
            Of the generation.
        leaves : list of array
            The tensors of the distribution.
        row : None or int
            Of a single block only this one.

        Returns
        -------
        array, shape [B..., n].
        """
        key, *leaves = map(tf.constant, [key, *leaves])
        return np.concatenate([self._block_fitnesses(block, key, leaves, row) for block in blocks], axis=-1)

    def sums(self, blocks: range, key: np.ndarray, weights: np.ndarray, total: np.ndarray) -> dict[str, np.ndarray]:
        """The sums of some blocks, in units.

        Parameters
        ----------
        blocks : range
        key : int64 array, shape [2]
        weights : array, shape [B..., n]
            Of the rows of these blocks.
        total : array, shape [B...]
            The sum of the magnitudes of all weights of the population.

        Returns
        -------
        dict of int32 or int64 array
            Those of `noise_sums` of the distribution.
        """
        missing = len(blocks) * self.block_size - weights.shape[-1]
        weights = np.pad(weights, [(0, 0)] * (weights.ndim - 1) + [(0, missing)])
        key, total, *parts = map(tf.constant, [key, total, *np.split(weights, len(blocks), axis=-1)])
        totals: Any = None
        for block, part in zip(blocks, parts, strict=True):
            sums = self._sums(self._first(block), key, part, total)
            totals = sums if totals is None else {name: totals[name] + sums[name] for name in sums}
        return {name: x.numpy() for name, x in totals.items()}

    def _first(self, block):
        return tf.constant(block * self.block_size, tf.int64)

    def pieces(self, blocks: range) -> list[tuple[range, int | None]]:
        """Blocks one by one, or row by row where an objective is called so: pairs of blocks and row."""
        if self.objective.evaluation != "solution":
            return [(range(block, block + 1), None) for block in blocks]
        return [(range(block, block + 1), row) for block in blocks for row in range(self._count(block))]

    def described(self, blocks: range, row: int | None) -> str:
        """The objective and the solutions of a piece, for an error."""
        function = self.objective.function
        first = blocks.start * self.block_size + (row or 0)
        last = first if row is not None else blocks.start * self.block_size + self._count(blocks.start) - 1
        name = getattr(function, "__qualname__", None) or repr(function)
        return f"{name} at {f'solution {first}' if first == last else f'solutions {first} to {last}'} of a population"

    def _count(self, block):
        return min(self.block_size, self.popsize - block * self.block_size)

    def _block_fitnesses(self, block, key, leaves, row):
        count = self._count(block)
        try:
            results = self._solutions(self._first(block), key, *leaves)
        except tf.errors.OpError as error:
            raise uncompiled(error) from error
        if not self.objective.is_compiled:
            results = self.objective(results[..., :count, :] if row is None else results[..., row : row + 1, :])
        return results.numpy()[..., :count]

    @functools.cached_property
    def _solutions(self):
        """Compiled: the solutions of a block, or at once their fitnesses."""

        def solutions(first, key, *leaves):
            distribution = tf.nest.pack_sequence_as(self.like, list(leaves))
            solutions = distribution.sample_rows(key, first, self.block_size)
            if self.bounds is not None:
                solutions = self.bounds.decode(solutions)
            return self.objective(solutions) if self.objective.is_compiled else solutions

        return compiled(solutions, FIRST, KEY, *tf.nest.flatten(self.like))

    @functools.cached_property
    def _sums(self):
        """Compiled: the sums of a block, in units.

        They need no parameters of the distribution, and have bounds that depend on the weights alone.
        """

        def sums(first, key, weights, total):
            terms = self.like.noise_sums(self.like.noise_rows(key, first, self.block_size), weights)
            bounds = sum_bounds(terms, total, self.like.SUM_POWERS)
            return {name: in_units(terms[name], bounds[name]) for name in terms}

        total = tf.TensorSpec(self.like.batch_shape, self.like.dtype)
        weights = tf.TensorSpec((*self.like.batch_shape, self.block_size), self.like.dtype)
        return compiled(sums, FIRST, KEY, weights, total)


def sum_bounds(sums: Mapping[str, Tensor], total: Tensor, powers: Mapping[str, int]) -> dict[str, Tensor]:
    """Bounds on the weighted noise sums of a population, given the sum of the absolute weights.

    Parameters
    ----------
    sums : dict of tensor
        For their names and shapes.
    total : tensor, shape [B...]
    powers : dict of str to int
        `SUM_POWERS` of the distribution.

    Returns
    -------
    dict of tensor, each of shape [B..., 1] or [B..., 1, 1].
    """
    return {
        name: tf.reshape(
            total * LARGEST[total.dtype.name] ** powers[name], (*total.shape, *[1] * (x.shape.rank - total.shape.rank))
        )
        for name, x in sums.items()
    }
