"""Steps that are repeated: a loop in graphs, where steps that are written out take long to trace and to compile."""

from collections.abc import Callable
from typing import Any

from keras import ops

from kgdists.core import backend
from kgdists.core.value_checks import unchecked

__all__ = ["repeated"]


def repeated(times: int, step: Callable[..., tuple[Any, ...]], *state: Any) -> tuple[Any, ...]:
    """What a function makes of some tensors in the end.

    Parameters
    ----------
    times : int, >= 1
    step : callable
        It takes the tensors and returns as many of the same shapes and dtypes.
    *state : tensors
        No gradient goes through the steps.

    Examples
    --------
    >>> import keras
    >>> from kgdists.core.loops import repeated
    >>> float(repeated(3, lambda x: (2.0 * x,), keras.ops.ones(()))[0])
    8.0
    """
    with unchecked():  # values within are not the user's, and those of a graph do not leave the loop
        if backend.is_tracing():
            return tuple(ops.fori_loop(0, times, lambda _, state: step(*state), state))
        for _ in range(times):
            state = step(*state)
        return state
