"""The rules for arguments: what counts as a whole number, wherever one is asked for."""

import operator

import numpy as np

__all__ = ["count", "is_count"]


def count(name, value, least=1, most=None, optional=False):
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


def is_count(value, least=1, most=None):
    """Whether `count` takes a value."""
    if isinstance(value, (bool, np.bool_)):  # which NumPy 1 turns into a number, with a warning
        return False
    try:
        number = operator.index(value)
    except TypeError:
        return False
    return number >= least and (most is None or number <= most)


def _written(number):
    """A number in few digits: large powers of two as such."""
    return f"2**{number.bit_length() - 1}" if number > 10**9 and number.bit_count() == 1 else str(number)
