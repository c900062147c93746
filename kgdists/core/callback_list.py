"""The callbacks of a training that is no `fit`."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

import keras

__all__ = ["CallbackList"]


class CallbackList(keras.callbacks.CallbackList):
    """Keras' callbacks, of which none keeps another from ending what it has begun.

    Parameters
    ----------
    callbacks : list of keras.callbacks.Callback
    model : keras.Model
    epochs : None or int
        The number of the last epoch, where it is known beforehand.
    first_step : int
        Environment steps taken before.
    last_step : float
        Those after which the training ends.
    """

    def __init__(
        self,
        callbacks: Sequence[keras.callbacks.Callback] | None,
        model: keras.Model,
        epochs: int | None,
        first_step: int = 0,
        last_step: float = math.inf,
    ) -> None:
        super().__init__(callbacks, model=model, epochs=epochs, first_step=first_step, last_step=last_step)
        self._logs: dict[str, Any] | None = None
        self._async_train = self._async_test = self._async_predict = False  # an epoch has time for its callbacks

    @contextlib.contextmanager
    def training(self) -> Iterator[None]:
        """Call `on_train_begin` and, of all callbacks that have begun, `on_train_end`, whatever is raised.

        As in Keras, these get the logs of the last epoch, but None where an error has ended the training. Those that
        have `ends_last` come last, since the others may take long to end. Callbacks that have a method
        `check_training` may raise in it before any of them begins.
        """
        begun: list[keras.callbacks.Callback] = []
        logs: dict[str, Any] | None = None
        for callback in self.callbacks:  # before any of them changes a file
            if hasattr(callback, "check_training"):
                callback.check_training()
        self._on_begin()
        try:
            for callback in self.callbacks:
                callback.on_train_begin({})  # as Keras does
                begun.append(callback)
            yield
            logs = self._logs
        finally:
            try:
                _end(sorted(begun, key=lambda callback: getattr(callback, "ends_last", False)), logs)
            finally:
                self._on_end()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """An epoch begins, which is also one batch: for callbacks that count these."""
        super().on_epoch_begin(epoch, logs)
        self.on_train_batch_begin(0)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """An epoch ends, and its batch."""
        self.on_train_batch_end(0, logs)
        super().on_epoch_end(epoch, logs)
        self._logs = logs


def _end(callbacks, logs):
    if callbacks:
        try:
            callbacks[0].on_train_end(logs)
        finally:
            _end(callbacks[1:], logs)
