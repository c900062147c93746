"""Arguments by wrong names: errors that say which name is meant."""

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar

from kgdists.core.checks import in_short

__all__ = ["check_names", "suggests"]

P = ParamSpec("P")
R = TypeVar("R")


def check_names(
    owner: str,
    given: Mapping[str, Any],
    known: Iterable[str],
    meant: Mapping[str, str] | None = None,
    hints: Mapping[str, str] | None = None,
    otherwise: str | None = None,
) -> None:
    """Raise unless all arguments have a known name.

    Parameters
    ----------
    owner : str
        Whose arguments they are, for the error.
    given : dict of str to object
    known : iterable of str
    meant : None or dict of str to str
        Names that other libraries have -> the name here, where it is known.
    hints : None or dict of str to str
        Names of what is not an argument -> a sentence on what to do.
    otherwise : None or str
        The sentence where nothing is near; None lists the names.

    Raises
    ------
    TypeError
        With the name that is meant, the hint, or the nearest name.

    Examples
    --------
    >>> from kgdists.core.did_you_mean import check_names
    >>> check_names("PPO", {"gae_lamda": 0.9}, ["gae_lambda", "gamma"])
    Traceback (most recent call last):
        ...
    TypeError: PPO has no argument `gae_lamda`: did you mean `gae_lambda`? Received: gae_lamda=0.9
    """
    names = list(known)
    for name, value in given.items():
        if name not in names:
            hint = _hint(name, names, meant or {}, hints or {}) or otherwise or f"it has {', '.join(names)}."
            raise TypeError(f"{owner} has no argument `{name}`: {hint} Received: {name}={in_short(value)}")


def suggests(meant: Mapping[str, str], hints: Mapping[str, str]) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator: arguments of a function or method by wrong names raise an error that says which one is meant."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        known = [
            name
            for name, x in inspect.signature(function).parameters.items()
            if name not in ("self", "cls") and x.kind in (x.POSITIONAL_OR_KEYWORD, x.KEYWORD_ONLY)
        ]

        @functools.wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            check_names(f"`{function.__name__}`", kwargs, known, meant, hints)
            return function(*args, **kwargs)

        return called

    return decorate


def _hint(name, names, meant, hints):
    if meant.get(name) in names:
        return f"did you mean `{meant[name]}`?"
    if name in hints:
        return hints[name]
    near = difflib.get_close_matches(name, names, 1)
    return f"did you mean `{near[0]}`?" if near else ""
