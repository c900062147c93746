"""The generations of a search: many of them in one compiled call, or one at a time around a function of arrays."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from kgdists.evolution.objective import uncompiled

__all__ = ["Generations", "Progress", "begin", "compiled", "stdev"]

BLOCK_SIZE = 1000  # generations in one call
RECORD_SIZE = 10**6  # numbers that one call records


class Progress(NamedTuple):
    """A state, and what the searches have found so far; the tensors have the leading axes of the batch of searches."""

    state: Any
    best: tf.Tensor  # solutions
    best_fitness: tf.Tensor  # NaN before the first generation
    run_fitness: tf.Tensor  # the best fitness since the last restart
    idle: tf.Tensor  # generations since it was found
    first_stdev: tf.Tensor  # since the last restart


def begin(state):
    """The progress of searches that begin at a state."""
    mu = state.distribution.mu
    nowhere = tf.fill(mu.shape, tf.constant(np.nan, mu.dtype))
    return Progress(
        state=state,
        best=nowhere,
        best_fitness=nowhere[..., 0],
        run_fitness=nowhere[..., 0],
        idle=tf.zeros(mu.shape[:-1], "int32"),
        first_stdev=stdev(state.distribution),
    )


def stdev(distribution):
    """The root mean square over the dimensions of the standard deviations, shape [B...]."""
    batch_rank = distribution.mu.shape.rank - 1
    axes = list(range(batch_rank, distribution.sigma.shape.rank))
    mean_square = tf.reduce_sum(tf.square(distribution.sigma), axes) / distribution.mu.shape[-1]
    return tf.sqrt(mean_square)


class Generations:
    """The compiled generations of one searcher.

    Parameters
    ----------
    searcher : Searcher
    objective : Objective
    start : Progress
        Of whose structure, shapes and dtypes all others are.
    """

    def __init__(self, searcher, objective, start):
        self.searcher = searcher
        self.objective = objective
        self.start = start
        self.sign = 1.0 if searcher.objective_sense == "max" else -1.0
        self.columns = {name: tf.TensorSpec(x.shape, x.dtype) for name, x in self._described(start).items()}
        self.columns |= {name: self.columns["stdev"] for name in ("best", "mean")}
        width = sum(spec.shape.num_elements() for spec in self.columns.values())
        self.block_size = max(1, min(BLOCK_SIZE, RECORD_SIZE // width))
        self._compile([tf.TensorSpec(x.shape, x.dtype) for x in tf.nest.flatten(start)])

    def _compile(self, leaves):
        if self.objective.is_compiled:
            self._block = compiled(self._loop, tf.TensorSpec((), "int32"), *leaves)
        else:
            *batch, length = self.start.best.shape
            samples = tf.TensorSpec((*batch, self.searcher.popsize, length), self.searcher.dtype)
            fitnesses = tf.TensorSpec(samples.shape[:-1], samples.dtype)
            self._ask = compiled(self._asked, *leaves)
            self._tell = compiled(self._told, samples, fitnesses, *leaves)

    def run(self, progress, number):
        """Up to `number` generations, a block at most, fewer once the search has converged.

        Returns
        -------
        progress : Progress
        rows : dict of str to array
            With a leading axis of generations.
        is_converged : bool
        """
        together = self._at_once if self.objective.is_compiled else self._one_by_one
        leaves, rows, is_converged = together(tf.nest.flatten(progress), number)
        return self._packed(leaves), rows, bool(is_converged)

    def _at_once(self, leaves, number):
        try:
            done, is_converged, rows, leaves = self._block(tf.constant(number, "int32"), *leaves)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError) as error:
            raise uncompiled(error) from error
        done = int(done)
        return leaves, {name: row.numpy()[:done] for name, row in rows.items()}, is_converged

    def _one_by_one(self, leaves, number):
        records = []
        for _ in range(number):
            is_converged, row, leaves = self._generation(leaves)
            records.append({name: x.numpy() for name, x in row.items()})
            if is_converged:
                break
        return leaves, {name: np.stack([record[name] for record in records]) for name in self.columns}, is_converged

    def _generation(self, leaves):
        samples, solutions = self._ask(*leaves)
        return self._tell(samples, self.objective(solutions), *leaves)

    def _loop(self, number, *leaves):
        def body(i, is_converged, rows, leaves):
            progress = self._packed(leaves)
            samples = self.searcher.ask(progress.state)
            fitnesses = self.objective(self.searcher.decode(samples))
            progress, row = self._advanced(progress, samples, fitnesses)
            rows = {name: rows[name].write(i, row[name]) for name in rows}
            return i + 1, self._is_converged(progress), rows, tf.nest.flatten(progress)

        rows = {
            name: tf.TensorArray(spec.dtype, self.block_size, element_shape=spec.shape)
            for name, spec in self.columns.items()
        }
        done, is_converged, rows, leaves = tf.while_loop(
            lambda i, is_converged, rows, leaves: (i < number) & ~is_converged,
            body,
            (tf.constant(0), tf.constant(False), rows, list(leaves)),
        )
        return done, is_converged, {name: row.stack() for name, row in rows.items()}, leaves

    def _asked(self, *leaves):
        samples = self.searcher.ask(self._packed(leaves).state)
        return samples, self.searcher.decode(samples)

    def _told(self, samples, fitnesses, *leaves):
        progress, row = self._advanced(self._packed(leaves), samples, fitnesses)
        return self._is_converged(progress), row, tf.nest.flatten(progress)

    def _advanced(self, progress, samples, fitnesses):
        """The progress after a generation, and what its history says of it."""
        batch_rank = fitnesses.shape.rank - 1
        state = self.searcher.tell(progress.state, samples, fitnesses)

        def sample_at(index):
            return tf.gather(samples, index, axis=batch_rank, batch_dims=batch_rank)

        return self._recorded(progress, state, fitnesses, sample_at)

    def _recorded(self, progress, state, fitnesses, sample_at):
        """The same of a generation that led to `state`; `sample_at` gives each search one row of its population."""
        batch_rank = fitnesses.shape.rank - 1
        missing = tf.math.is_nan(fitnesses)
        # Any number is better than none, and argmax finds no number that is as low as can be.
        worth = tf.where(~missing, tf.maximum(self.sign * fitnesses, 0.5 * fitnesses.dtype.min), -np.inf)
        index = tf.argmax(worth, axis=-1, output_type="int32")
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

    def _packed(self, leaves):
        return tf.nest.pack_sequence_as(self.start, list(leaves))


def compiled(function, *specs):
    """A function of tensors under XLA, compiled for arguments like `specs`."""
    # Its concrete function, which is called in a third of the time.
    return tf.function(function, jit_compile=True, autograph=False).get_concrete_function(*specs)
