"""Checks of values where they are at hand: made at once, put off until a compiled function has run, or left out."""

import contextlib
import threading
from collections.abc import Callable, Iterator

from kgdists.core import backend
from kgdists.core.types import Tensor

__all__ = ["check_values", "is_unchecked", "postponed_checks", "unchecked"]


class _Postponed(threading.local):
    checks: list[tuple[Callable[..., None], tuple[Tensor, ...]]] | None = None
    is_off: bool = False


_postponed = _Postponed()


def check_values(check: Callable[..., None], *tensors: Tensor) -> None:
    """Run a check of values where they are at hand: at once, or after the call of a formula that is compiled.

    Parameters
    ----------
    check : callable
        Of NumPy arrays, one for each tensor; it raises where one is wrong.
    """
    if _postponed.is_off:
        return
    values = [backend.concrete(x) for x in tensors]
    if all(x is not None for x in values):
        check(*values)
    elif _postponed.checks is not None:
        _postponed.checks.append((check, tensors))


@contextlib.contextmanager
def postponed_checks() -> Iterator[list[tuple[Callable[..., None], tuple[Tensor, ...]]]]:
    """Collect the checks of values within, and their tensors, in place of leaving them out."""
    before, was_off = _postponed.checks, _postponed.is_off
    _postponed.checks, _postponed.is_off = [], False
    try:
        yield _postponed.checks
    finally:
        _postponed.checks, _postponed.is_off = before, was_off


@contextlib.contextmanager
def unchecked() -> Iterator[None]:
    """Leave all checks of values within out, as in a graph: what is outside of a support has probability zero."""
    before, _postponed.is_off = _postponed.is_off, True
    try:
        yield
    finally:
        _postponed.is_off = before


def is_unchecked() -> bool:
    """Whether checks of values are left out."""
    return _postponed.is_off
