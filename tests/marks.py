"""Which values of a parametrized test may wait for the exhaustive run."""

import pytest

__all__ = ["exhaustive", "quick"]


def exhaustive(*values):
    """Parameters of the exhaustive tests only."""
    return [pytest.param(value, marks=pytest.mark.exhaustive) for value in values]


def quick(some, values):
    """All parameters, of which only `some` are part of the quick tests.

    Parameters
    ----------
    some : container
        Values, or names where `values` is a dict.
    values : iterable, or dict of name -> value or tuple of values
    """
    if not isinstance(values, dict):
        return [value if value in some else pytest.param(value, marks=pytest.mark.exhaustive) for value in values]
    return [
        pytest.param(
            *(row if isinstance(row, tuple) else (row,)), id=name, marks=() if name in some else pytest.mark.exhaustive
        )
        for name, row in values.items()
    ]
