"""`Searcher`: what is the same for all searchers, as pure functions of states and as an object that runs."""

import math
import numbers
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kgdists import random
from kgdists.core import backend
from kgdists.core.callback_list import CallbackList
from kgdists.core.checks import count
from kgdists.evolution import generations, search_file
from kgdists.evolution.bounded_space import Bounds, spacing
from kgdists.evolution.objective import Objective
from kgdists.evolution.ranking import METHODS
from kgdists.random import hashed_normal

__all__ = ["Best", "Searcher", "State", "as_callbacks", "check_number", "checked"]

BETTER = {"max": np.max, "min": np.min}
CALL_SECONDS = 0.3  # of compiled generations between two looks at the progress bar
SPACINGS = {"reflect": 4.0, "transform": 1000.0}  # of numbers, that the first standard deviation must be wide
NOT_SAVED = ("objective", "map", "seed")


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


class Best(NamedTuple):
    """The best solution so far, shape [B..., D], and its fitness, a float or an array of shape [B...]."""

    solution: np.ndarray
    fitness: Any


class _Settings(NamedTuple):
    config: dict


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
        The first center; leading axes are a batch of independent searches, whose objective is given [B..., N, D].
        None is 0, or within bounds their middle.
    stdev_init, radius_init : None, float or float array, shape [D] or [B..., D]
        The first standard deviation of each dimension; or sqrt(D) times that. One of the two is given.
    stdev_min, stdev_max, stdev_max_change : None, float or float array
        Limits of the standard deviations, and of their relative change in one generation. Within bounds that reflect,
        `stdev_max` is half of their distance unless it is given.
    bounds : None or pair of float or of sequences of D floats
        `(low, high)`; infinite where there is none. See `bounds_method`.
    bounds_method : {"reflect", "transform"}
        How samples become solutions within the bounds: as if by mirrors, or by a hyperbolic tangent. The search itself
        goes on in an unbounded space: `state`, `ask` and `tell` are of its samples, and `decode` makes solutions of
        them. Objectives, `best` and `center` are of solutions.
    ranking_method : str
        A method of `rank`.
    seed : None or int
        An int makes the whole search reproducible.
    dtype : {"float32", "float64"}
    evaluation : {"tensorflow", "graph", "numpy", "solution"}
        "tensorflow": the objective maps tensors [B..., N, D] -> [B..., N], and is compiled together with the search:
        many generations are one call. "graph": the same, outside XLA, once per generation: for what XLA cannot compile
        or is slow at, such as sines and cosines of many numbers. "numpy": the same of arrays. "solution": array [D] ->
        number, once per solution, through `map`.
    map : callable
        For "solution": Python's `map`, or that of a pool of processes or of an executor.
    restarts : None or int
        None runs on whatever happens. With an int, a search ends once it has converged: when the standard deviation
        (root mean square over the dimensions) is below `tol_stdev` times the first one, or when for `patience`
        generations none has had a new best fitness. Until then it is begun afresh up to this many times, each
        time at a point drawn from the first search distribution. Of a batch of searches all must have converged.
    double_popsize : bool
        Whether a restart doubles the population (Auger and Hansen 2005).
    tol_stdev : float
    patience : None or int
        None is `120 + 30 D / popsize`.
    track : bool
        Whether the history has the `center` and `sigma` of each generation too.

    Attributes
    ----------
    num_restarts : int
        Restarts so far.
    is_converged : bool
        Whether the search has converged and will not be started again.
    """

    engine: Callable[..., Any] = generations.Generations  # runs the generations; another one spreads them over machines

    def __new__(cls, *args, **kwargs):
        searcher = super().__new__(cls)
        searcher._arguments = search_file.arguments(cls.__init__, args, kwargs)
        return searcher

    def __getstate__(self):
        # What is compiled is compiled anew. A copy runs by itself, whoever ran this one.
        state = self.__dict__ | {"_generations": None, "_rows": list(self._rows)}
        state.pop("engine", None)
        arguments = {name: x for name, x in self._arguments.items() if name not in ("objective", "map")}
        return state | {"_arguments": {name: _packed(x) for name, x in arguments.items()}}

    def __setstate__(self, state):
        objective = state["objective"]
        function, mapping = (None, map) if objective is None else (objective.function, objective.map)
        arguments = {name: _unpacked(x) for name, x in state["_arguments"].items()}
        self.__dict__.update(state, _arguments={"objective": function, "map": mapping} | arguments)

    def __reduce_ex__(self, protocol):
        return object.__new__, (type(self),), self.__getstate__()

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
        bounds=None,
        bounds_method="reflect",
        ranking_method="raw",
        seed=None,
        dtype="float32",
        evaluation="tensorflow",
        map=map,
        restarts=None,
        double_popsize=False,
        tol_stdev=1e-12,
        patience=None,
        track=False,
    ):
        if objective_sense not in BETTER:
            raise ValueError(f"`objective_sense` must be one of {tuple(BETTER)}. Received: {objective_sense!r}")
        solution_length, popsize = count("solution_length", solution_length), count("popsize", popsize)
        restarts = None if restarts is None else count("restarts", restarts, least=0)
        patience = None if patience is None else count("patience", patience, least=0)
        dtype = dtype.name if isinstance(dtype, tf.DType) else dtype
        if dtype not in ("float32", "float64"):
            raise ValueError(f"`dtype` must be 'float32' or 'float64'. Received: dtype={dtype!r}")
        if ranking_method not in METHODS:
            raise ValueError(
                f"`ranking_method` must be one of {', '.join(METHODS)}. Received: ranking_method={ranking_method!r}"
            )
        for name, flag in (("double_popsize", double_popsize), ("track", track)):
            if not isinstance(flag, (bool, np.bool_)):
                raise ValueError(f"`{name}` must be a bool. Received: {name}={flag!r}")
        self.objective = None if objective is None else Objective(objective, evaluation, map)
        self.objective_sense = objective_sense
        self.solution_length = int(solution_length)
        self.popsize = int(popsize)
        self.ranking_method = ranking_method
        self.dtype = dtype
        self.seed = tf.cast(random.key(seed), "int64")
        if not callable(map):
            raise ValueError(f"`map` must be callable. Received: map={map!r}")
        self.stdev_min, self.stdev_max, self.stdev_max_change = stdev_min, stdev_max, stdev_max_change
        self.bounds = None if bounds is None else Bounds(*_pair(bounds), bounds_method, self.solution_length, dtype)
        if self.bounds is not None and stdev_max is None:
            self.stdev_max = self.bounds.stdev_max
        self.center_init, self.stdev_init = self._begin(center_init, stdev_init, radius_init)
        self._check_limits()
        if not isinstance(tol_stdev, numbers.Real) or isinstance(tol_stdev, bool) or not tol_stdev >= 0.0:
            raise ValueError(f"`tol_stdev` must be a number >= 0. Received: tol_stdev={tol_stdev!r}")
        self.restarts = restarts
        self.double_popsize = double_popsize
        self.tol_stdev = tol_stdev
        self.patience = 120 + 30 * self.solution_length // self.popsize if patience is None else patience
        self.track = track
        self.num_restarts = 0
        self.is_converged = False
        self._progress = self._generations = None
        self._rows = []

    def _begin(self, center, stdev, radius):
        """The first center and standard deviations, both [B..., D], in the unbounded space."""
        if (stdev is None) == (radius is None):
            raise ValueError(f"One of `stdev_init` and `radius_init` must be given. Received: {stdev} and {radius}")
        length = self.solution_length
        if center is None:
            center = np.zeros(length) if self.bounds is None else self.bounds.center
        center = _numbers("center_init", center)
        stdev = _numbers("stdev_init", stdev) if radius is None else _numbers("radius_init", radius) / math.sqrt(length)
        try:
            shape = np.broadcast_shapes(center.shape, stdev.shape, (length,))
        except ValueError:
            shape = (0,)
        if shape[-1] != length:
            raise ValueError(
                f"`center_init` and `stdev_init` or `radius_init` must have shape [D] or [B..., D], D = {length}. "
                f"Received: shapes {center.shape} and {stdev.shape}"
            )
        largest = float(np.finfo(self.dtype).max)
        if not ((np.abs(center) <= largest).all() and (stdev <= largest).all() and (stdev > 0.0).all()):
            raise ValueError(
                "`center_init` must be finite in `dtype`, and `stdev_init` or `radius_init` finite and > 0. "
                f"Received: {center} and {stdev}, dtype={self.dtype!r}"
            )
        center, stdev = np.broadcast_to(center, shape), np.broadcast_to(stdev, shape)
        given, resolution = center, spacing(center, self.dtype)
        if self.bounds is not None:
            center, slope = self.bounds.encode(center)
            stdev = stdev / slope
            resolution = self.bounds.resolution(center)
        least = SPACINGS["reflect" if self.bounds is None else self.bounds.method] * resolution
        if not (stdev >= least).all():
            index = np.argwhere(stdev < least)[0].tolist()
            raise ValueError(
                "The first standard deviation must be larger than the steps between numbers of `dtype` at "
                "`center_init`: use dtype='float64', a larger deviation, or a center nearer to 0 (where bounds "
                f"transform, nearer to their middle). Received: dtype={self.dtype!r}, a deviation of "
                f"{stdev[tuple(index)]:.3g} where numbers are {resolution[tuple(index)]:.3g} apart, at center_init="
                f"{given[tuple(index)]}"
            )
        return tf.constant(center, self.dtype), tf.constant(stdev, self.dtype)

    def _check_limits(self):
        """Raise unless the limits of standard deviations are numbers, fit the searches, and leave room."""
        limits = {name: getattr(self, name) for name in ("stdev_min", "stdev_max", "stdev_max_change")}
        limits = {name: _numbers(name, limit) for name, limit in limits.items() if limit is not None}
        for name, limit in limits.items():
            shape = tuple(self.center_init.shape)
            if limit.ndim > len(shape) or any(
                m not in (1, n) for m, n in zip(limit.shape[::-1], shape[::-1], strict=False)
            ):
                raise ValueError(
                    f"`{name}` must be a number or of shape [D] or [B..., D], {shape}. Received: shape {limit.shape}"
                )
            least = np.nextafter(0.0, 1.0) if name == "stdev_max" else 0.0
            if not (limit >= least).all():
                rule = ">" if name == "stdev_max" else ">="
                raise ValueError(f"`{name}` must be {rule} 0. Received: {name}={limit}")
        if "stdev_min" in limits and "stdev_max" in limits and not (limits["stdev_min"] <= limits["stdev_max"]).all():
            raise ValueError(
                "`stdev_min` must be <= `stdev_max`, which is half the distance of bounds that reflect unless it is "
                f"given. Received: stdev_min={limits['stdev_min']}, stdev_max={limits['stdev_max']}"
            )

    # The search as pure functions.

    def init(self, seed=None):
        """The state before the first generation; `seed`, an int or a key, instead of that of the constructor."""
        raise NotImplementedError

    def ask(self, state, num_solutions=None, first_row=0):
        """Rows of the population of this generation, shape [B..., N, D], in the unbounded space.

        Parameters
        ----------
        state : State
        num_solutions : None or int
            None is the whole population.
        first_row : int or integer scalar tensor
            Any rows can be had on their own: they are those of the whole population.
        """
        key = hashed_normal.generation_key(state.seed, state.generation)
        return state.distribution.sample_rows(key, first_row, self.popsize if num_solutions is None else num_solutions)

    def tell(self, state, samples, fitnesses):
        """The next state, by the fitnesses of samples: those of `ask` in any order, some of them, or any others.

        Parameters
        ----------
        state : State
        samples : tensor, shape [B..., N, D]
        fitnesses : tensor or sequence of real numbers, shape [B..., N]
            They are ranked as they are, in their own dtype.

        Raises
        ------
        ValueError
            On wrong shapes and numbers, on samples that are not finite, and where no fitness is a number.
        """
        samples, fitnesses = self._told(state, samples, fitnesses)
        return checked(self._moved_by(state, samples, fitnesses))

    def _tell_asked(self, state, samples, fitnesses):
        """The same for exactly what `ask` returned, in its order."""
        tell = self._moved_by if type(self).tell is Searcher.tell else self.tell
        return tell(state, samples, fitnesses)

    def _moved_by(self, state, samples, fitnesses):
        gradients = state.distribution.compute_gradients(
            samples, fitnesses, objective_sense=self.objective_sense, ranking_method=self.ranking_method
        )
        return self.update(state, gradients)

    def update(self, state, gradients):
        """The next state, of the next generation, by the gradients of the distribution's parameters."""
        raise NotImplementedError

    def decode(self, samples):
        """The solutions, within the bounds, that samples of the unbounded space stand for."""
        return samples if self.bounds is None else self.bounds.decode(samples)

    # For the subclasses.

    def _drawn(self, state, count):
        """The standard normal numbers of the first `count` rows of the population."""
        return state.distribution.noise_rows(hashed_normal.generation_key(state.seed, state.generation), 0, count)

    def _told(self, state, samples, fitnesses):
        """What `tell` is given as tensors; raises unless they fit."""
        samples, fitnesses = state.distribution.population(samples, fitnesses)
        values = backend.concrete(fitnesses)
        if values is not None and np.isnan(values).all(axis=-1).any():
            raise ValueError("Some solution must have a fitness that is not NaN. Received: only NaN")
        return samples, fitnesses

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

    # The search as an object.

    @property
    def state(self):
        """Where the search stands."""
        return self._current().state

    @property
    def best(self):
        """The best solution so far and its fitness, NaN before the first generation."""
        progress = self._current()
        return Best(progress.best.numpy(), progress.best_fitness.numpy()[()])

    @property
    def center(self):
        """The solution at the center of the search distribution: array, shape [B..., D]."""
        return self.decode(self.state.distribution.mu).numpy()

    @property
    def history(self):
        """What each generation was like, a dict of arrays with a leading axis of generations.

        `best` and `mean` are fitnesses of the generation, without those that are NaN; `stdev` is the root mean square
        over the dimensions of the standard deviations that it was drawn with. `center` and `sigma` are there if the
        searcher tracks them.
        """
        if not self._rows:
            return {name: np.zeros(0, self.dtype) for name in ("stdev", "best", "mean")}
        self._rows = [{name: np.concatenate([rows[name] for rows in self._rows]) for name in self._rows[0]}]
        return dict(self._rows[0])

    @property
    def status(self):
        """Where the search stands, in numbers: a dict."""
        history = self.history
        last = {name: history[name][-1] for name in ("best", "mean") if len(history[name])}
        best = self.best
        return last | {
            "best_solution": best.solution,
            "best_fitness": best.fitness,
            "center": self.center,
            "stdev": generations.stdev(self.state.distribution).numpy()[()],
            "generation": len(history["best"]),
            "popsize": self.popsize,
            "num_restarts": self.num_restarts,
            "is_converged": self.is_converged,
        }

    def step(self):
        """Run one generation, unless the search has converged for good."""
        if not self.is_converged:
            self._advance(1)

    def run(self, num_generations, callbacks=None, progress=True):
        """Run this many generations on top of those that have been; fewer once the search has converged for good.

        Parameters
        ----------
        num_generations : int, >= 1
        callbacks : None, keras.callbacks.Callback or sequence of these
            An epoch is a generation, and a compiled call of its own; without callbacks many generations are one call.
            `callback.model.searcher` is this searcher.
        progress : bool
            Whether to show a progress bar.

        Returns
        -------
        keras.callbacks.History
            `best`, `mean` and `stdev` of each of these generations as in `history`; of a batch of searches their best,
            and their means.

        Raises
        ------
        ValueError
            If the fitnesses of a generation are all NaN.
        """
        num_generations = count("num_generations", num_generations)
        result = keras.callbacks.History()
        model = keras.Model()
        model.searcher, model.stop_training, model.optimizer = self, False, None
        callbacks = CallbackList(as_callbacks(callbacks), model, num_generations)
        one_by_one = bool(callbacks.callbacks)
        bar = keras.utils.Progbar(
            num_generations,
            stateful_metrics=["best"],
            interval=0.2 if sys.stdout.isatty() else 5.0,
            verbose=int(progress),
            unit_name="generation",
        )
        done, number = 0, 1
        goes_on = not self.is_converged
        with callbacks.training():
            while goes_on:
                start = time.perf_counter()
                if one_by_one:
                    callbacks.on_epoch_begin(done)
                rows = self._summary(self._advance(min(number, num_generations - done)))
                for name, column in rows.items():
                    result.history.setdefault(name, []).extend(column)
                if one_by_one:
                    callbacks.on_epoch_end(done, {name: column[0] for name, column in rows.items()})
                else:
                    seconds = (time.perf_counter() - start) / len(rows["best"])
                    number = min(10 * number, max(1, int(CALL_SECONDS / seconds)))
                done += len(rows["best"])
                best = BETTER[self.objective_sense](self.best.fitness)
                goes_on = done < num_generations and not self.is_converged and not model.stop_training
                bar.update(done, [("best", best)], finalize=not goes_on)
        result.epoch = list(range(done))
        return result

    def save(self, path):
        """Write the search to the file `path`: arrays and JSON."""
        facts = {
            "popsize": self.popsize,
            "num_restarts": self.num_restarts,
            "is_converged": self.is_converged,
            "seed": self.seed.numpy().tolist(),
            "fitness_dtype": self._current().best_fitness.dtype.name,
        }
        search_file.write(path, type(self).__name__, self._settings(), self._current(), self.history, facts)

    def load(self, path):
        """Go on with the search that `save` wrote to the file `path`, by a searcher of the same arguments.

        It ends bit for bit where an uninterrupted one ends.
        """

        def start(facts):
            self._resize(facts["popsize"])
            # Files of version 0.1 have fitnesses of the dtype of the search.
            return generations.begin(self.init(), facts.get("fitness_dtype"))

        popsize = self.popsize
        try:
            found = search_file.read(path, type(self).__name__, self._settings(), start)
        except ValueError:
            self._resize(popsize)
            raise
        self._progress, history, facts = found
        self._rows = [history] if len(history["best"]) else []
        self.num_restarts, self.is_converged = facts["num_restarts"], facts["is_converged"]
        self.seed = tf.constant(facts["seed"], "int64")

    def _current(self):
        if self._progress is None:
            self._progress = generations.begin(self.init())
        return self._progress

    def _advance(self, number):
        """Up to this many generations; their rows of the history."""
        if self.objective is None:
            raise ValueError("A searcher without an objective is run by its `ask` and `tell`. Received: objective=None")
        progress = self._current()
        if self._generations is None:
            self._generations = self.engine(self, self.objective, progress)
        progress, rows, is_converged = self._generations.run(progress, min(number, self._generations.block_size))
        missing = np.isnan(rows["best"].reshape(len(rows["best"]), -1)).any(axis=1)
        if missing.any():
            generation = len(self.history["best"]) + int(np.argmax(missing)) + 1
            if not np.isfinite(rows["stdev"]).all():
                raise ValueError(
                    "Standard deviations must stay finite: lower the learning rates, or set bounds. "
                    f"Received: a search without any fitness but NaN in generation {generation}"
                )
            raise ValueError(
                "An objective must give some solution of each generation a fitness that is not NaN. "
                f"Received: only NaN, in generation {generation}"
            )
        self._progress = progress
        self._rows.append(rows)
        if is_converged:
            self._restart()
        return rows

    def _restart(self):
        if self.num_restarts == self.restarts:
            self.is_converged = True
            return
        self.num_restarts += 1
        if self.double_popsize:
            self._resize(2 * self.popsize)
        rng = np.random.default_rng([*self.seed.numpy().view("uint64").tolist(), self.num_restarts])
        state = self.init(tf.constant(rng.integers(2**63, size=2)))
        center = self.center_init + self.stdev_init * tf.constant(rng.normal(size=self.center_init.shape), self.dtype)
        state = state._replace(distribution=state.distribution.modified_copy(mu=center))
        found = {"best": self._progress.best, "best_fitness": self._progress.best_fitness}
        self._progress = generations.begin(state, found["best_fitness"].dtype)._replace(**found)

    def _resize(self, popsize):
        """Make all anew that depends on the size of the population, and keep where the search stands."""
        if popsize != self.popsize:
            kept = {
                name: self.__dict__[name] for name in ("seed", "num_restarts", "is_converged", "_progress", "_rows")
            }
            type(self).__init__(self, **(self._arguments | {"popsize": popsize}))
            self.__dict__.update(kept)

    def _settings(self):
        arguments = search_file.defaults(Searcher.__init__) | self._arguments
        return {name: search_file.plain(value) for name, value in arguments.items() if name not in NOT_SAVED}

    def _summary(self, rows):
        """Of a batch of searches the best fitness, and the means."""
        of_batch = {"best": BETTER[self.objective_sense], "mean": np.mean, "stdev": np.mean}
        return {name: of(rows[name].reshape(len(rows[name]), -1), axis=1).tolist() for name, of in of_batch.items()}


def checked(state):
    """A state that has been moved by samples; raises where they were too far away for its numbers."""
    for x in tf.nest.flatten(state.distribution):
        values = backend.concrete(x)
        if values is not None and not np.isfinite(values).all():
            raise ValueError(
                "Samples must be so near to the search distribution that its parameters stay finite. Received: samples "
                "that make them infinite or NaN"
            )
    return state


def _packed(x):
    """An argument that can be copied: of a Keras optimizer its settings."""
    return _Settings(keras.optimizers.serialize(x)) if isinstance(x, keras.optimizers.Optimizer) else x


def _unpacked(x):
    return keras.optimizers.deserialize(x.config) if isinstance(x, _Settings) else x


def _numbers(name, x):
    x = backend.unmasked(x)
    try:
        return np.asarray(x, "float64")
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must be a number or an array of numbers. Received: {name}={x!r}") from error


def _pair(bounds):
    try:
        low, high = bounds
    except (TypeError, ValueError) as error:
        raise ValueError(f"`bounds` must be a pair, low and high. Received: bounds={bounds!r}") from error
    return low, high


def as_callbacks(callbacks):
    """None, a single callback or a sequence of them as a list."""
    if callbacks is None:
        return []
    several = [callbacks] if isinstance(callbacks, keras.callbacks.Callback) else callbacks
    if isinstance(several, list | tuple) and all(isinstance(one, keras.callbacks.Callback) for one in several):
        return list(several)
    raise ValueError(
        f"`callbacks` must be None, a keras.callbacks.Callback or a sequence of these. Received: {callbacks!r}"
    )


def check_number(name, x, low, high, closed=False):
    """Raise unless `x` is a number with `low < x < high`; if `closed`, `high` too."""
    is_number = isinstance(x, numbers.Real) and not isinstance(x, bool)
    if not is_number or not (low < x < high or (closed and x == high)):
        rule = "a finite number > 0" if high == math.inf else f"a number > {low} and {'<=' if closed else '<'} {high}"
        raise ValueError(f"`{name}` must be {rule}. Received: {name}={x!r}")
