"""`WatchedRun`: callbacks, a progress bar and Keras' `History` of a run."""

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import keras
import numpy as np

from kgdists.core.callback_list import CallbackList, Callbacks, as_callbacks

__all__ = ["WatchedRun"]

BETTER: dict[str, Callable[..., Any]] = {"max": np.max, "min": np.min}
CALL_SECONDS = 0.3  # of compiled generations between two looks at the progress bar


class WatchedRun:
    """What `Searcher.run` shows and tells others of.

    Parameters
    ----------
    searcher : Searcher
    num_generations : int
    callbacks, progress
        As of `Searcher.run`.

    Attributes
    ----------
    history : keras.callbacks.History
    """

    def __init__(self, searcher: Any, num_generations: int, callbacks: Callbacks, progress: bool) -> None:
        self.history = keras.callbacks.History()
        self.history.epoch = []
        self._searcher, self._num_generations = searcher, num_generations
        self._model = keras.Model()
        self._model.searcher, self._model.stop_training, self._model.optimizer = searcher, False, None
        self._callbacks = CallbackList(as_callbacks(callbacks), self._model, num_generations)
        self._one_by_one = bool(self._callbacks.callbacks)
        self._bar = keras.utils.Progbar(
            num_generations,
            stateful_metrics=["best"],
            interval=0.2 if sys.stdout.isatty() else 5.0,
            verbose=int(progress),
            unit_name="generation",
        )
        self._done, self._number = 0, 1
        self._start = 0.0

    def training(self) -> AbstractContextManager[None]:
        """In which the callbacks are told of the beginning and of the end."""
        return self._callbacks.training()

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
        self._done += count
        best = BETTER[self._searcher.objective_sense](self._searcher.best.fitness)
        has_more = self._done < self._num_generations and not self._model.stop_training
        goes_on = has_more and not self._searcher.is_converged
        self._bar.update(self._done, [("best", best)], finalize=not goes_on)
        return goes_on

    def _summary(self, rows: dict[str, np.ndarray]) -> dict[str, list[float]]:
        """Of a batch of searches the best fitness, and the means."""
        better = BETTER[self._searcher.objective_sense]
        of_batch: dict[str, Callable[..., Any]] = {"best": better, "mean": np.mean, "stdev": np.mean}
        return {name: of(rows[name].reshape(len(rows[name]), -1), axis=1).tolist() for name, of in of_batch.items()}
