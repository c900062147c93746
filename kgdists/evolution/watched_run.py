"""`WatchedRun`: callbacks, a progress bar and Keras' `History` of a run."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from kgdists.core.callback_list import CallbackList, Callbacks, as_callbacks
from kgdists.core.progress import Progress, Verbosity, verbosity

__all__ = ["WatchedRun"]

BETTER: dict[str, Callable[..., Any]] = {"max": np.max, "min": np.min}
BEST_SO_FAR = {"max": np.fmax, "min": np.fmin}  # of what is a number
CALL_SECONDS = 0.3  # of compiled generations between two looks at the progress bar


class WatchedRun:
    """What `Searcher.run` shows and tells others of.

    Parameters
    ----------
    searcher : Searcher
    num_generations : int
    callbacks, verbose
        As of `Searcher.run`.

    Attributes
    ----------
    history : keras.callbacks.History
    """

    def __init__(self, searcher: Any, num_generations: int, callbacks: Callbacks, verbose: Verbosity) -> None:
        self.history = keras.callbacks.History()
        self.history.epoch = []
        self._searcher, self._num_generations = searcher, num_generations
        self._model = keras.Model()
        self._model.searcher, self._model.stop_training, self._model.optimizer = searcher, False, None
        self._callbacks = CallbackList(as_callbacks(callbacks), self._model, num_generations)
        self._one_by_one = bool(self._callbacks.callbacks)
        self._level, self._best = verbosity(verbose), np.nan
        self._progress = Progress(num_generations, verbose, "generation")
        self._done, self._number = 0, 1
        self._start = 0.0

    @contextlib.contextmanager
    def training(self) -> Iterator[None]:
        """In which the callbacks are told of the beginning and of the end."""
        with self._progress, self._callbacks.training():
            self._progress.update(0)
            self._best = BETTER[self._searcher.objective_sense](self._searcher.best.fitness)
            yield

    def begin(self) -> int:
        """How many generations come next, in one call."""
        self._start = time.perf_counter()
        if self._one_by_one:
            self._callbacks.on_epoch_begin(self._done)
        return min(self._number, self._num_generations - self._done)

    def end(self, rows: dict[str, np.ndarray]) -> bool:
        """Whether the run goes on, after generations of which these are the rows of the searcher's history."""
        columns, count = self._summary(rows), len(rows["best"])
        for name, column in columns.items():
            self.history.history.setdefault(name, []).extend(column)
        if self._one_by_one:
            self._callbacks.on_epoch_end(self._done, {name: column[0] for name, column in columns.items()})
        else:
            seconds = (time.perf_counter() - self._start) / count
            self._number = min(10 * self._number, max(1, int(CALL_SECONDS / seconds)))
        self.history.epoch.extend(range(self._done, self._done + count))
        self._show(columns, count)
        self._done += count
        has_more = self._done < self._num_generations and not self._model.stop_training
        return has_more and not self._searcher.is_converged

    def _show(self, columns: dict[str, list[float]], count: int) -> None:
        """Show the best fitness so far and the standard deviation, of each generation or of the last."""
        better = BEST_SO_FAR[self._searcher.objective_sense]
        best = better.accumulate([self._best, *columns["best"]])[1:]
        self._best = best[-1]
        for i in range(count) if self._level == 2 else (count - 1,):
            self._progress.update(self._done + i + 1, {"best": best[i], "stdev": columns["stdev"][i]})

    def _summary(self, rows: dict[str, np.ndarray]) -> dict[str, list[float]]:
        """Of a batch of searches the best fitness, and the means."""
        better = BETTER[self._searcher.objective_sense]
        of_batch: dict[str, Callable[..., Any]] = {"best": better, "mean": np.mean, "stdev": np.mean}
        return {name: of(rows[name].reshape(len(rows[name]), -1), axis=1).tolist() for name, of in of_batch.items()}
