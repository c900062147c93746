"""The loop of a training that is no `fit`, and its callbacks."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import keras

__all__ = ["CallbackList", "Callbacks", "as_callbacks", "run_epochs"]

Callbacks: TypeAlias = keras.callbacks.Callback | Sequence[keras.callbacks.Callback] | None


def as_callbacks(callbacks: Callbacks) -> list[keras.callbacks.Callback]:
    """None, a single callback or a sequence of them as a list."""
    if callbacks is None:
        return []
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return list(callbacks.callbacks)
    several = [callbacks] if isinstance(callbacks, keras.callbacks.Callback) else callbacks
    if isinstance(several, list | tuple) and all(isinstance(one, keras.callbacks.Callback) for one in several):
        return list(several)
    raise ValueError(
        f"`callbacks` must be None, a keras.callbacks.Callback or a sequence of these. Received: {callbacks!r}"
    )


def run_epochs(
    train: Callable[[], dict[str, Any]],
    model: keras.Model,
    callbacks: Callbacks,
    *,
    epoch: int,
    last_epoch: int | None = None,
    first_step: int = 0,
    last_step: float = math.inf,
    within: contextlib.AbstractContextManager[Any] | None = None,
) -> keras.callbacks.History:
    """Train epoch by epoch, as far as the last epoch or step, or until a callback sets `model.stop_training`.

    Parameters
    ----------
    train : callable
        Trains for one epoch and returns its logs, which have `steps`: those taken so far.
    model : keras.Model
        That of the callbacks.
    callbacks : None, keras.callbacks.Callback or sequence of them
    epoch : int
        The number of epochs so far.
    last_epoch : None or int
        How many there will be, where it is known beforehand.
    first_step : int
        Environment steps taken before.
    last_step : float
        Those after which the training ends.
    within : None or context manager
        Around all epochs: it sees an error before the callbacks are told that the training ends.

    Returns
    -------
    keras.callbacks.History
    """
    history = keras.callbacks.History()
    all_of_them = CallbackList([*as_callbacks(callbacks), history], model, last_epoch, first_step, last_step)
    model.stop_training = False
    steps, end = first_step, math.inf if last_epoch is None else last_epoch
    with all_of_them.training(), within or contextlib.nullcontext():
        while steps < last_step and epoch < end and not model.stop_training:
            all_of_them.on_epoch_begin(epoch)
            logs = train()
            steps = logs["steps"]
            all_of_them.on_epoch_end(epoch, logs)
            epoch += 1
    return history


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
        callbacks: list[keras.callbacks.Callback],
        model: keras.Model,
        epochs: int | None,
        first_step: int = 0,
        last_step: float = math.inf,
    ) -> None:
        # An epoch is one batch, `steps`, and shows its progress by itself.
        facts = {"steps": 1, "verbose": 0, "first_step": first_step, "last_step": last_step}
        super().__init__(callbacks, model=model, epochs=epochs, **facts)
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
        # As Keras does, which asks of each number in each call whether it is a tensor.
        plain = {name: float(x) for name, x in sorted((logs or {}).items())}
        for callback in self.callbacks:
            callback.on_train_batch_end(0, plain)
        plain = plain.copy()
        for callback in self.callbacks:
            callback.on_epoch_end(epoch, plain)
        self._logs = logs


def _end(callbacks, logs):
    if callbacks:
        try:
            callbacks[0].on_train_end(logs)
        finally:
            _end(callbacks[1:], logs)
