"""Keras' own callbacks where an agent learns: which work as they are, which are adapted, and what replaces the rest."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras.optimizers.schedules import LearningRateSchedule

from kgdists.runs.metric_guide import direction_of
from kgdists.runs.tensorboard import TensorBoard

__all__ = ["adapted"]

SAVES_A_MODEL = (
    "it saves a model, and an agent is more than that: put `kg.agents.Checkpoints(agent, run)` last, and go on by "
    "`kg.agents.load(run)`"
)
INSTEAD = {
    "BackupAndRestore": SAVES_A_MODEL,
    "OrbaxCheckpoint": SAVES_A_MODEL,
    "SwapEMAWeights": "agents keep no moving average of weights: `kg.agents.EvaluateAndKeepBest` keeps the best ones",
}
MONITORS = (keras.callbacks.EarlyStopping, keras.callbacks.ModelCheckpoint, keras.callbacks.ReduceLROnPlateau)
SET_THE_RATE = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)


def adapted(
    callbacks: Sequence[keras.callbacks.Callback], learning_rate: float | LearningRateSchedule | None
) -> list[keras.callbacks.Callback]:
    """Callbacks that work where an agent learns.

    TensorBoard gets environment steps as its axis. Those that monitor a return know that it should rise, and do not
    take it for the best as long as no episode has ended.

    Parameters
    ----------
    callbacks : sequence of keras.callbacks.Callback
    learning_rate : None, float or LearningRateSchedule
        That of the agent, None if it has none.

    Raises
    ------
    ValueError
        For a callback that cannot work, with what to use instead.
    """
    for callback in callbacks:
        _check(callback, learning_rate)
    monitors = [callback for callback in callbacks if isinstance(callback, MONITORS)]
    for callback in monitors:
        if callback.mode == "auto":
            callback.mode = direction_of(callback.monitor) or "auto"
    boards = [TensorBoard.like(x) if type(x) is keras.callbacks.TensorBoard else x for x in callbacks]
    return [*boards, *([_Unknown(monitors)] if monitors else [])]


def _check(callback, learning_rate):
    kind = type(callback).__name__
    for name, instead in INSTEAD.items():
        if isinstance(callback, getattr(keras.callbacks, name)):
            raise ValueError(f"An agent cannot use {name}: {instead}. Received: a {kind}")
    if isinstance(callback, SET_THE_RATE):
        if learning_rate is None:
            raise ValueError(f"A {kind} sets a learning rate, and this agent has none. Received: a {kind}")
        if isinstance(learning_rate, LearningRateSchedule):
            raise ValueError(
                f"A {kind} needs a `learning_rate` that is a number: load the agent with another one, or leave the "
                f"callback out. Received: a {kind} and a {type(learning_rate).__name__}"
            )
    needs_monitor = not isinstance(callback, keras.callbacks.ModelCheckpoint) or callback.save_best_only
    if isinstance(callback, MONITORS) and needs_monitor and callback.monitor.startswith("val_"):
        raise ValueError(
            f'A {kind} monitors what agents log, and they have no validation: pass `monitor="return"`, or '
            '`monitor="evaluation_return"` behind a `kg.agents.EvaluateAndKeepBest`. '
            f"Received: monitor={callback.monitor!r}"
        )


class _Unknown(keras.callbacks.Callback):
    """What is not a number yet, such as the return before an episode ends, is not the best so far."""

    def __init__(self, monitors: Sequence[Any]) -> None:
        super().__init__()
        self.monitors = monitors

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for callback in self.monitors:
            if callback.best is not None and math.isnan(callback.best):
                callback.best = None
