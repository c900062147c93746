"""The rules for arguments: what counts as a whole number, wherever one is asked for."""

import operator
from typing import Any, Literal, overload

__all__ = ["count", "is_count"]


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
    try:
        number = operator.index(value)
    except TypeError:
        return False
    return not isinstance(value, bool) and number >= least and (most is None or number <= most)


def _written(number: int) -> str:
    """A number in few digits: large powers of two as such."""
    return f"2**{number.bit_length() - 1}" if number > 10**9 and number.bit_count() == 1 else str(number)
