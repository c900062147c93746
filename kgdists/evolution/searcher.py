"""`Searcher`: what is the same for all searchers, as pure functions of states and as an object that runs."""

import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self, SupportsIndex

import keras
import numpy as np
import tensorflow as tf

from kgdists import random
from kgdists.core.checks import count
from kgdists.core.progress import Verbosity
from kgdists.core.types import Integer, Seed, Tensor, TensorLike
from kgdists.evolution import arguments, generations, recorded_arguments, search_file
from kgdists.evolution.arguments import Sense, check_number
from kgdists.evolution.gaussians.search_distribution import SearchDistribution
from kgdists.evolution.objective import Evaluation, Objective
from kgdists.evolution.restarting import restart
from kgdists.evolution.state import Best, State, checked, told
from kgdists.evolution.watched_run import WatchedRun
from kgdists.random import hashed_normal

__all__ = ["Best", "Searcher", "State", "check_number", "checked"]


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

    # `tell` of a whole population is `update` by the distribution's `gradients` of its `noise_sums`, and needs nothing
    # else of it: workers may add these up, see `RaySearch`. A `tell` of one's own promises so only if its class does.
    MOVES_BY_SUMS: bool = True

    engine: Callable[..., Any] = generations.Generations  # runs the generations; another one spreads them over machines
    _arguments: dict[str, Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = next(vars(base) for base in cls.__mro__ if {"tell", "MOVES_BY_SUMS"} & vars(base).keys())
        if "MOVES_BY_SUMS" not in own:
            cls.MOVES_BY_SUMS = False

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        searcher = super().__new__(cls)
        searcher._arguments = recorded_arguments.arguments(cls.__init__, args, kwargs)
        return searcher

    def __getstate__(self) -> dict[str, Any]:
        # What is compiled is compiled anew. A copy runs by itself, whoever ran this one.
        state = self.__dict__ | {"_generations": None, "_rows": list(self._rows)}
        state.pop("engine", None)
        return state | {"_arguments": recorded_arguments.packed(self._arguments, without=("objective", "map"))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        objective = state["objective"]
        function, mapping = (None, map) if objective is None else (objective.function, objective.map)
        known = {"objective": function, "map": mapping} | recorded_arguments.unpacked(state["_arguments"])
        self.__dict__.update(state, _arguments=known)

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        return object.__new__, (type(self),), self.__getstate__()

    def __init__(
        self,
        objective: Callable[..., Any] | None,
        *,
        objective_sense: Sense,
        solution_length: Integer,
        popsize: Integer,
        center_init: TensorLike | None = None,
        stdev_init: TensorLike | None = None,
        radius_init: TensorLike | None = None,
        stdev_min: TensorLike | None = None,
        stdev_max: TensorLike | None = None,
        stdev_max_change: TensorLike | None = None,
        bounds: Sequence[TensorLike] | None = None,
        bounds_method: str = "reflect",
        ranking_method: str = "raw",
        seed: Seed = None,
        dtype: str | tf.DType = "float32",
        evaluation: Evaluation = "tensorflow",
        map: Callable[..., Iterable[Any]] = map,
        restarts: Integer | None = None,
        double_popsize: bool = False,
        tol_stdev: float = 1e-12,
        patience: Integer | None = None,
        track: bool = False,
    ) -> None:
        arguments.check_options(objective_sense, ranking_method, map, tol_stdev, double_popsize, track)
        solution_length, popsize = count("solution_length", solution_length), count("popsize", popsize)
        restarts = None if restarts is None else count("restarts", restarts, least=0)
        patience = None if patience is None else count("patience", patience, least=0)
        self.objective = None if objective is None else Objective(objective, evaluation, map)
        self.objective_sense = objective_sense
        self.solution_length, self.popsize = int(solution_length), int(popsize)
        self.ranking_method = ranking_method
        self.dtype = arguments.as_dtype(dtype)
        self.seed = tf.cast(random.key(seed), "int64")
        self.stdev_min, self.stdev_max, self.stdev_max_change = stdev_min, stdev_max, stdev_max_change
        self.bounds = arguments.as_bounds(bounds, bounds_method, self.solution_length, self.dtype)
        if self.bounds is not None and stdev_max is None:
            self.stdev_max = self.bounds.stdev_max
        self.center_init, self.stdev_init = arguments.first_center_and_stdev(
            center_init, stdev_init, radius_init, self.bounds, self.solution_length, self.dtype
        )
        arguments.check_limits(self.stdev_min, self.stdev_max, stdev_max_change, tuple(self.center_init.shape))
        self.restarts, self.double_popsize, self.tol_stdev = restarts, double_popsize, tol_stdev
        self.patience = 120 + 30 * self.solution_length // self.popsize if patience is None else patience
        self.track = track
        self.num_restarts, self.is_converged = 0, False
        self._progress: generations.Progress | None = None
        self._generations: Any = None
        self._rows: list[dict[str, np.ndarray]] = []

    # The search as pure functions.

    def init(self, seed: Seed = None) -> State:
        """The state before the first generation; `seed`, an int or a key, instead of that of the constructor."""
        raise NotImplementedError

    def ask(self, state: State, num_solutions: Integer | None = None, first_row: Integer | Tensor = 0) -> Tensor:
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

    def tell(self, state: State, samples: TensorLike, fitnesses: TensorLike) -> State:
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
        return checked(self._moved_by(state, *told(state, samples, fitnesses)))

    def _tell_asked(self, state: State, samples: Tensor, fitnesses: Tensor) -> State:
        """The same for exactly what `ask` returned, in its order."""
        tell = self._moved_by if type(self).tell is Searcher.tell else self.tell
        return tell(state, samples, fitnesses)

    def _moved_by(self, state: State, samples: Tensor, fitnesses: Tensor) -> State:
        gradients = state.distribution.compute_gradients(
            samples, fitnesses, objective_sense=self.objective_sense, ranking_method=self.ranking_method
        )
        return self.update(state, gradients)

    def update(self, state: State, gradients: dict[str, Tensor]) -> State:
        """The next state, of the next generation, by the gradients of the distribution's parameters."""
        raise NotImplementedError

    def decode(self, samples: Tensor) -> Tensor:
        """The solutions, within the bounds, that samples of the unbounded space stand for."""
        return samples if self.bounds is None else self.bounds.decode(samples)

    # For the subclasses.

    def _first(self, distribution: SearchDistribution, extra: Any = (), seed: Seed = None) -> State:
        """The state that a subclass's `init` returns."""
        key = self.seed if seed is None else tf.cast(random.key(seed), "int64")
        return State(key, tf.constant(0, "int64"), distribution, extra)

    def _limited(self, new: Tensor, old: Tensor) -> Tensor:
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
    def state(self) -> State:
        """Where the search stands."""
        return self._current().state

    @property
    def best(self) -> Best:
        """The best solution so far and its fitness, NaN before the first generation."""
        progress = self._current()
        return Best(progress.best.numpy(), progress.best_fitness.numpy()[()])

    @property
    def center(self) -> np.ndarray:
        """The solution at the center of the search distribution: array, shape [B..., D]."""
        return self.decode(self.state.distribution.mu).numpy()

    @property
    def history(self) -> dict[str, np.ndarray]:
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
    def status(self) -> dict[str, Any]:
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

    def step(self) -> None:
        """Run one generation, unless the search has converged for good."""
        if not self.is_converged:
            self._advance(1)

    def run(
        self,
        num_generations: Integer,
        callbacks: keras.callbacks.Callback | Sequence[keras.callbacks.Callback] | None = None,
        verbose: Verbosity = "auto",
        progress: bool | None = None,
    ) -> keras.callbacks.History:
        """Run this many generations on top of those that have been; fewer once the search has converged for good.

        Parameters
        ----------
        num_generations : int, >= 1
        callbacks : None, keras.callbacks.Callback or sequence of these
            An epoch is a generation, and a compiled call of its own; without callbacks many generations are one call.
            `callback.model.searcher` is this searcher.
        verbose : {"auto", 0, 1, 2}
            As for Keras' `fit`: 0 is silence, 1 a line of progress, 2 a line for each generation; "auto" is 1.
        progress : None or bool
            The old name of `verbose`, until 0.3.

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
        if progress is not None:
            warnings.warn("`progress` is `verbose` now: its old name goes in 0.3", DeprecationWarning, stacklevel=2)
            verbose = bool(progress)
        watched = WatchedRun(self, count("num_generations", num_generations), callbacks, verbose)
        goes_on = not self.is_converged
        with watched.training():
            while goes_on:
                goes_on = watched.end(self._advance(watched.begin()))
        return watched.history

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the search to the file `path`: arrays and JSON."""
        search_file.save(self, path)

    def load(self, path: str | os.PathLike[str]) -> None:
        """Go on with the search that `save` wrote to the file `path`, by a searcher of the same arguments.

        It ends bit for bit where an uninterrupted one ends.
        """
        search_file.load(self, path)

    def _current(self) -> generations.Progress:
        if self._progress is None:
            self._progress = generations.begin(self.init())
        return self._progress

    def _advance(self, number: int) -> dict[str, np.ndarray]:
        """Up to this many generations; their rows of the history."""
        if self.objective is None:
            raise ValueError("A searcher without an objective is run by its `ask` and `tell`. Received: objective=None")
        progress = self._current()
        if self._generations is None:
            self._generations = self.engine(self, self.objective, progress)
        progress, rows, is_converged = self._generations.run(progress, min(number, self._generations.block_size))
        generations.check_found(self, rows)
        self._progress = progress
        self._rows.append(rows)
        if is_converged:
            restart(self)
        return rows

    def _settings(self) -> dict[str, Any]:
        """The arguments of the constructor, as they are saved."""
        return recorded_arguments.settings(recorded_arguments.defaults(Searcher.__init__) | self._arguments)
