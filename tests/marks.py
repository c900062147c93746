"""Which values of a parametrized test may wait for the exhaustive run."""

import itertools

import pytest

__all__ = ["exhaustive", "quick", "waiting"]

TRAINS = ("kgdists/agents/", "kgdists/envs/", "kgdists/evolution/", "kgdists/runs/")  # whose examples train


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


def waiting(items):
    """The collected tests that the marker `few(n)` and the folder of an example put off.

    Of the parameter sets of a test that is marked `few(n)`, n are quick tests: each time the one with most values that
    no other had before.
    """
    found = [item for item in items if isinstance(item, pytest.DoctestItem) and item.nodeid.startswith(TRAINS)]
    marked = [item for item in items if item.get_closest_marker("few") and not item.get_closest_marker("exhaustive")]
    for _, group in itertools.groupby(marked, key=lambda item: item.nodeid.partition("[")[0]):
        left, seen = list(group), set()
        (count,) = left[0].get_closest_marker("few").args
        for _ in range(min(count, len(left))):
            chosen = max(left, key=lambda item: len(_values(item) - seen))
            seen |= _values(chosen)
            left.remove(chosen)
        found += left
    return found


def _values(item):
    # Two parameter sets have the same value if it is the same object, as values of stacked decorators are.
    return {(name, id(value)) for name, value in item.callspec.params.items()}
