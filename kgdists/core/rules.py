"""What a setting may be, in words and as a check."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, Self

from kgdists.core.checks import choice, count, is_number, is_optimizer, is_schedule

__all__ = ["Rule", "counts", "flag", "names", "numbers", "one_of", "optimizer", "widths"]


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a setting may be.

    Parameters
    ----------
    text : str
        What comes after "must be".
    check : callable
        (name, value) -> the value as it is kept; raises ValueError for one that breaks the rule.
    is_optional : bool
        Whether None is a value too.
    choices : sequence of str
        All values, where they are few.
    """

    text: str
    check: Callable[[str, Any], Any]
    is_optional: bool = False
    choices: Sequence[str] = ()

    def __call__(self, name: str, value: Any) -> Any:
        """The value of a setting as it is kept; raises ValueError if it breaks the rule."""
        if not self.is_optional:
            return self.check(name, value)
        try:
            return None if value is None else self.check(name, value)
        except ValueError as error:
            raise ValueError(str(error).replace("must be ", "must be None or ", 1)) from None

    def or_none(self) -> Self:
        """The same rule, and None besides."""
        return dataclasses.replace(self, is_optional=True)


def counts(least: int = 1, most: int | None = None) -> Rule:
    """A whole number within bounds."""
    text = f"a whole number >= {least}" if most is None else f"a whole number from {least} to {most}"
    return Rule(text, lambda name, value: count(name, value, least, most))


def numbers(text: str, is_good: Callable[[float], bool], or_schedule: bool = False) -> Rule:
    """A finite number that a function takes, infinity too if it does; or a schedule of such numbers."""
    full = f"{text} or a LearningRateSchedule" if or_schedule else text

    def check(name: str, value: Any) -> Any:
        if or_schedule and is_schedule(value):
            return _checked_schedule(name, value)
        is_infinite = isinstance(value, float) and value == math.inf
        if not (is_number(value) or is_infinite) or not is_good(value):
            raise ValueError(f"`{name}` must be {full}. Received: {name}={value!r}")
        return float(value) if or_schedule else value  # Keras' optimizers refuse ints

    return Rule(text, check)


def one_of(choices: Sequence[str]) -> Rule:
    """One of some texts."""
    return Rule(f"one of {', '.join(choices)}", lambda name, value: choice(name, value, choices), choices=choices)


def optimizer(choices: Sequence[str]) -> Rule:
    """One of some texts, or an optimizer of Keras."""

    def check(name: str, value: Any) -> Any:
        if is_optimizer(value) or isinstance(value, str) and value in choices:
            return value
        raise ValueError(
            f"`{name}` must be one of {', '.join(choices)}, or a keras.optimizers.Optimizer. Received: {name}={value!r}"
        )

    return Rule(f"one of {', '.join(choices)}", check, choices=choices)


def _of_tuple(text, is_good, keep=tuple):
    def check(name, value):
        if not isinstance(value, (tuple, list)) or not all(map(is_good, value)):
            raise ValueError(f"`{name}` must be {text}. Received: {name}={value!r}")
        return keep(value)

    return Rule(text, check)


def names(text: str = "a tuple of names", is_good: Callable[[str], bool] = bool) -> Rule:
    """Several texts."""
    return _of_tuple(text, lambda x: isinstance(x, str) and is_good(x))


def widths() -> Rule:
    """Several whole numbers."""
    return _of_tuple("a tuple of ints >= 1", _is_width, lambda value: tuple(map(int, value)))


def _is_width(x):
    try:
        return bool(count("", x))
    except ValueError:
        return False


def _flag(name, value):
    if not isinstance(value, bool):
        raise ValueError(f"`{name}` must be True or False. Received: {name}={value!r}")
    return value


def flag() -> Rule:
    """True or False."""
    return Rule("True or False", _flag)


def _checked_schedule(name, schedule):
    """A schedule whose values, at its start and long after its end, are numbers."""
    for step in (0, 10**9):
        try:
            value = float(schedule(step))
        except Exception as error:  # there is no end of what schedules of one's own raise
            raise ValueError(
                f"`{name}` must be a schedule of numbers. Received: {type(schedule).__name__}, "
                f"which raised {type(error).__name__} for step {step}"
            ) from error
        if not value >= 0.0 or step == 0 and value == math.inf:  # what grows slowly may grow for ever
            raise ValueError(
                f"`{name}` must be a schedule of finite numbers >= 0. "
                f"Received: {type(schedule).__name__}, with {value} for step {step}"
            )
    return schedule
