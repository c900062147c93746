"""The generations of a search: many of them in one compiled call, or one at a time around a function of arrays."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from kgdists.core.types import Tensor
from kgdists.evolution.gaussians.search_distribution import SearchDistribution
from kgdists.evolution.objective import Objective, uncompiled
from kgdists.evolution.state import State

__all__ = ["Generations", "Progress", "begin", "check_found", "compiled", "stdev", "widened"]

BLOCK_SIZE = 1000  # generations in one call
RECORD_SIZE = 10**6  # numbers that one call records


class Progress(NamedTuple):
    """A state, and what the searches have found so far; the tensors have the leading axes of the batch of searches."""

    state: State
    best: Tensor  # solutions
    best_fitness: Tensor  # NaN before the first generation
    run_fitness: Tensor  # the best fitness since the last restart
    idle: Tensor  # generations since it was found
    first_stdev: Tensor  # since the last restart


def begin(state: State, fitness_dtype: str | tf.DType | None = None) -> Progress:
    """The progress of searches that begin at a state; fitnesses are of its dtype as long as no wider one is known."""
    mu = state.distribution.mu
    unknown = tf.fill(mu.shape[:-1], tf.constant(np.nan, fitness_dtype or mu.dtype))
    nowhere = tf.fill(mu.shape, tf.constant(np.nan, mu.dtype))
    return Progress(
        state=state,
        best=nowhere,
        best_fitness=unknown,
        run_fitness=unknown,
        idle=tf.zeros(mu.shape[:-1], "int32"),
        first_stdev=stdev(state.distribution),
    )


def widened(progress: Progress, dtype: tf.DType) -> Progress:
    """The same progress with room for fitnesses of a dtype."""
    fields = (progress.best_fitness, progress.run_fitness)
    if dtype == tf.float32 and all(x.dtype == fields[0].dtype for x in fields):
        return progress
    is_wide = dtype != tf.float32 or any(x.dtype == tf.float64 for x in fields)
    best, run = (tf.cast(x, tf.float64 if is_wide else tf.float32) for x in fields)
    return progress._replace(best_fitness=best, run_fitness=run)


def stdev(distribution: SearchDistribution) -> Tensor:
    """The root mean square over the dimensions of the standard deviations, shape [B...]."""
    batch_rank = distribution.mu.shape.rank - 1
    axes = list(range(batch_rank, distribution.sigma.shape.rank))
    mean_square = tf.reduce_sum(tf.square(distribution.sigma), axes) / distribution.mu.shape[-1]
    return tf.sqrt(mean_square)


def check_found(searcher: Any, rows: dict[str, np.ndarray]) -> None:
    """Raise if a generation of these rows, which are not yet in the searcher's history, has no fitness but NaN."""
    missing = np.isnan(rows["best"].reshape(len(rows["best"]), -1)).any(axis=1)
    if not missing.any():
        return
    generation = len(searcher.history["best"]) + int(np.argmax(missing)) + 1
    if not np.isfinite(rows["stdev"]).all():
        raise ValueError(
            "Standard deviations must stay finite: lower the learning rates, or set bounds. "
            f"Received: a search without any fitness but NaN in generation {generation}"
        )
    raise ValueError(
        "An objective must give some solution of each generation a fitness that is not NaN. "
        f"Received: only NaN, in generation {generation}"
    )


class Generations:
    """The compiled generations of one searcher.

    Parameters
    ----------
    searcher : Searcher
    objective : Objective
    start : Progress
        A template: every later state has its structure, shapes and dtypes.
    """

    def __init__(self, searcher: Any, objective: Objective, start: Progress) -> None:
        self.searcher = searcher
        self.objective = objective
        self.start = start
        self.sign = 1.0 if searcher.objective_sense == "max" else -1.0
        self.columns = {name: tf.TensorSpec(x.shape, x.dtype) for name, x in self._described(start).items()}
        self.columns |= {name: self.columns["stdev"] for name in ("best", "mean")}
        width = sum(spec.shape.num_elements() for spec in self.columns.values())
        self.block_size = max(1, min(BLOCK_SIZE, RECORD_SIZE // width))
        self._programs: dict[tuple[Any, ...], Callable[..., Any]] = {}

    def _call(self, function, *arguments):
        """A function of tensors, compiled once for the dtypes of its arguments."""
        leaves = tf.nest.flatten(arguments)
        known = (function.__name__, *(x.dtype for x in leaves))
        if known not in self._programs:
            specs = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype), arguments)
            self._programs[known] = compiled(function, *specs)
        return self._programs[known](*arguments)

    @functools.cached_property
    def fitness_dtype(self) -> tf.DType:
        """That of an objective which is compiled."""
        shape = (*self.start.best.shape[:-1], self.searcher.popsize, self.start.best.shape[-1])
        return self.objective.dtype(shape, self.searcher.dtype)

    def run(self, progress: Progress, number: int) -> tuple[Progress, dict[str, np.ndarray], bool]:
        """Up to `number` generations, a block at most, fewer once the search has converged.

        Returns
        -------
        progress : Progress
        rows : dict of str to array
            With a leading axis of generations.
        is_converged : bool
        """
        together = self._at_once if self.objective.is_compiled else self._one_by_one
        leaves, rows, is_converged = together(progress, number)
        return self._packed(leaves), rows, bool(is_converged)

    def _at_once(self, progress, number):
        leaves = tf.nest.flatten(widened(progress, self.fitness_dtype))
        try:
            done, is_converged, rows, leaves = self._call(self._loop, tf.constant(number, "int32"), *leaves)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
            raise uncompiled(error) from error
        done = int(done)
        return leaves, {name: row.numpy()[:done] for name, row in rows.items()}, is_converged

    def _one_by_one(self, progress, number):
        records = []
        for _ in range(number):
            is_converged, row, leaves = self._generation(progress)
            progress = self._packed(leaves)
            records.append({name: x.numpy() for name, x in row.items()})
            if is_converged:
                break
        return leaves, {name: np.stack([record[name] for record in records]) for name in self.columns}, is_converged

    def _generation(self, progress):
        samples, solutions = self._call(self._asked, *tf.nest.flatten(progress.state))
        fitnesses = self.objective(solutions)
        return self._call(self._told, samples, fitnesses, *tf.nest.flatten(widened(progress, fitnesses.dtype)))

    def _loop(self, number, *leaves):
        def body(i, is_converged, rows, leaves):
            progress = self._packed(leaves)
            samples = self.searcher.ask(progress.state)
            fitnesses = self.objective(self.searcher.decode(samples))
            progress, row = self._advanced(progress, samples, fitnesses)
            rows = {name: rows[name].write(i, row[name]) for name in rows}
            return i + 1, self._is_converged(progress), rows, tf.nest.flatten(progress)

        fitness_dtype = self._packed(leaves).best_fitness.dtype
        rows = {
            name: tf.TensorArray(
                fitness_dtype if name in ("best", "mean") else spec.dtype, self.block_size, element_shape=spec.shape
            )
            for name, spec in self.columns.items()
        }
        done, is_converged, rows, leaves = tf.while_loop(
            lambda i, is_converged, rows, leaves: (i < number) & ~is_converged,
            body,
            (tf.constant(0), tf.constant(False), rows, list(leaves)),
        )
        return done, is_converged, {name: row.stack() for name, row in rows.items()}, leaves

    def _asked(self, *leaves):
        samples = self.searcher.ask(tf.nest.pack_sequence_as(self.start.state, list(leaves)))
        return samples, self.searcher.decode(samples)

    def _told(self, samples, fitnesses, *leaves):
        progress, row = self._advanced(self._packed(leaves), samples, fitnesses)
        return self._is_converged(progress), row, tf.nest.flatten(progress)

    def _advanced(self, progress, samples, fitnesses):
        """The progress after a generation, and what its history says of it."""
        batch_rank = fitnesses.shape.rank - 1
        state = self.searcher._tell_asked(progress.state, samples, fitnesses)

        def sample_at(index):
            return tf.gather(samples, index, axis=batch_rank, batch_dims=batch_rank)

        return self._recorded(progress, state, fitnesses, sample_at)

    def _recorded(self, progress, state, fitnesses, sample_at):
        """The same of a generation that led to `state`; `sample_at` gives each search one row of its population."""
        batch_rank = fitnesses.shape.rank - 1
        if fitnesses.dtype == tf.int64:
            worth = fitnesses if self.sign > 0.0 else tf.bitwise.invert(fitnesses)
        else:
            # Any number is better than none, and argmax finds no number that is as low as can be.
            worth = tf.maximum(self.sign * fitnesses, 0.5 * fitnesses.dtype.min)
            worth = tf.where(~tf.math.is_nan(fitnesses), worth, -np.inf)
        index = tf.argmax(worth, axis=-1, output_type="int32")
        fitnesses = tf.cast(fitnesses, progress.best_fitness.dtype)
        missing = tf.math.is_nan(fitnesses)
        found = tf.gather(fitnesses, index, axis=batch_rank, batch_dims=batch_rank)
        solution = self.searcher.decode(sample_at(index))

        def is_better(old):
            return (self.sign * found > self.sign * old) | (tf.math.is_nan(old) & ~tf.math.is_nan(found))

        is_best, is_improved = is_better(progress.best_fitness), is_better(progress.run_fitness)
        valid = tf.reduce_sum(tf.cast(~missing, fitnesses.dtype), axis=-1)
        row = self._described(progress) | {
            "best": found,
            "mean": tf.reduce_sum(tf.where(~missing, fitnesses, 0.0), axis=-1) / valid,
        }
        progress = Progress(
            state=state,
            best=tf.where(is_best[..., None], solution, progress.best),
            best_fitness=tf.where(is_best, found, progress.best_fitness),
            run_fitness=tf.where(is_improved, found, progress.run_fitness),
            idle=tf.where(is_improved, 0, progress.idle + 1),
            first_stdev=progress.first_stdev,
        )
        return progress, row

    def _described(self, progress):
        distribution = progress.state.distribution
        row = {"stdev": stdev(distribution)}
        if self.searcher.track:
            row |= {"center": self.searcher.decode(distribution.mu), "sigma": distribution.sigma}
        return row

    def _is_converged(self, progress):
        if self.searcher.restarts is None:
            return tf.constant(False)
        is_narrow = stdev(progress.state.distribution) < self.searcher.tol_stdev * progress.first_stdev
        return tf.reduce_all(is_narrow | (progress.idle >= self.searcher.patience))

    def _packed(self, leaves) -> Progress:
        return tf.nest.pack_sequence_as(self.start, list(leaves))


def compiled(function: Callable[..., Any], *specs: tf.TensorSpec) -> Callable[..., Any]:
    """A function of tensors under XLA, compiled for arguments like `specs`."""
    # Its concrete function, which is called in a third of the time.
    return tf.function(function, jit_compile=True, autograph=False).get_concrete_function(*specs)
