"""The rules for arguments: whole numbers, numbers and choices, wherever one is asked for."""

import math
import numbers
import operator
from collections.abc import Iterable
from typing import Any, Literal, overload

import numpy as np

__all__ = [
    "choice",
    "count",
    "fraction",
    "in_short",
    "is_count",
    "is_number",
    "is_optimizer",
    "is_schedule",
    "number",
    "positive",
]


@overload
def count(name: str, value: Any, least: int = 1, most: int | None = None, optional: Literal[False] = False) -> int: ...


@overload
def count(name: str, value: Any, least: int = 1, most: int | None = None, *, optional: bool) -> int | None: ...


def count(name: str, value: Any, least: int = 1, most: int | None = None, optional: bool = False) -> int | None:
    """An argument that must be a whole number, as an int.

    Parameters
    ----------
    name : str
        Of the argument, for the error.
    value : object
        Integers of Python and NumPy, and whole scalar arrays, are whole numbers; flags and floats are not.
    least : int
    most : None or int
        None is no bound.
    optional : bool
        Whether None may be given, and comes back.

    Returns
    -------
    int, or None

    Raises
    ------
    ValueError
        If it is no whole number, or out of bounds.

    Examples
    --------
    >>> import numpy as np
    >>> from kgdists.core.checks import count
    >>> count("num_dims", np.int64(2))
    2
    >>> count("num_dims", True)
    Traceback (most recent call last):
        ...
    ValueError: `num_dims` must be an int >= 1. Received: num_dims=True
    """
    if value is None and optional:
        return None
    if not is_count(value, least, most):
        rule = f"an int >= {least}" if most is None else f"an int from {least} to {_written(most)}"
        raise ValueError(f"`{name}` must be {'None or ' if optional else ''}{rule}. Received: {name}={value!r}")
    return operator.index(value)


def is_count(value: Any, least: int = 1, most: int | None = None) -> bool:
    """Whether `count` takes a value."""
    if isinstance(value, (bool, np.bool_)):  # which NumPy 1 turns into a number, with a warning
        return False
    try:
        number = operator.index(value)
    except (AttributeError, TypeError):  # the first of TensorFlow's tensors
        return False
    return number >= least and (most is None or number <= most)


def is_number(value: Any) -> bool:
    """Whether a value is a finite number, as a float too: of Python or NumPy, and no flag."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # of an int beyond all floats
        return False


def number(name: str, value: Any, least: float | None = None) -> float:
    """An argument that must be a finite number, as a float.

    Parameters
    ----------
    name : str
        Of the argument, for the error.
    value : object
        Numbers of Python and NumPy; flags are none.
    least : None or float
        None is no bound.

    Raises
    ------
    ValueError
        If it is none, or below the bound.

    Examples
    --------
    >>> from kgdists.core.checks import number
    >>> number("spread", 2)
    2.0
    >>> number("spread", -1, least=0)
    Traceback (most recent call last):
        ...
    ValueError: `spread` must be a finite number >= 0. Received: spread=-1
    """
    if not is_number(value) or (least is not None and value < least):
        rule = "a finite number" if least is None else f"a finite number >= {least:g}"
        raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}")
    return float(value)


def positive(name: str, value: Any) -> float:
    """An argument that must be a finite number > 0, as a float; raises ValueError otherwise."""
    if not is_number(value) or not value > 0:
        raise ValueError(f"`{name}` must be a finite number > 0. Received: {name}={value!r}")
    return float(value)


def fraction(name: str, value: Any) -> float:
    """An argument that must be a number > 0 and < 1, as a float; raises ValueError otherwise."""
    if not is_number(value) or not 0.0 < value < 1.0:
        raise ValueError(f"`{name}` must be a number > 0 and < 1. Received: {name}={value!r}")
    return float(value)


def is_schedule(x: Any) -> bool:
    """Whether `x` is a `keras.optimizers.schedules.LearningRateSchedule`, told without importing Keras."""
    return any(cls.__name__ == "LearningRateSchedule" for cls in type(x).__mro__)


def is_optimizer(x: Any) -> bool:
    """Whether `x` is a `keras.optimizers.Optimizer`, told without importing Keras."""
    return any(cls.__name__ == "BaseOptimizer" for cls in type(x).__mro__)


def choice(name: str, value: Any, choices: Iterable[str]) -> str:
    """An argument that must be one of some texts; raises ValueError otherwise."""
    known = list(choices)
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"`{name}` must be one of {', '.join(known)}. Received: {name}={value!r}")
    return value


def _written(number: int) -> str:
    """A number in few digits: large powers of two as such."""
    return f"2**{number.bit_length() - 1}" if number > 10**9 and number.bit_count() == 1 else str(number)


def in_short(x: Any) -> str:
    """What something looks like, in one line."""
    try:
        text = " ".join(repr(x).split())
    except Exception:
        text = f"an object of class {type(x).__name__}"
    return text if len(text) <= 200 else f"{text[:200]} ..."
