"""Settings of agents: fields of a dataclass with a line of help and a rule."""

import dataclasses
import math

__all__ = ["ACTIVATIONS", "VECTORIZATIONS", "check", "is_count", "is_number", "is_positive", "setting"]

ACTIVATIONS = ("tanh", "relu", "elu", "silu", "gelu")
VECTORIZATIONS = ("auto", "sync", "async", "native")  # of `make_envs`


def setting(default, help_text):
    """A field of a config dataclass; the help is that of its option on the command line."""
    return dataclasses.field(default=default, metadata={"help": help_text})


def check(config, name, rule, is_good):
    """Raise unless a setting obeys a rule, given as a function and in words; none may be a bool."""
    value = getattr(config, name)
    if isinstance(value, bool) or not is_good(value):
        raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}")


def is_count(x):
    """Whether `x` is an int >= 1."""
    return isinstance(x, int) and x >= 1


def is_number(x):
    """Whether `x` is a finite number."""
    return isinstance(x, (int, float)) and math.isfinite(x)


def is_positive(x):
    """Whether `x` is a finite number > 0."""
    return is_number(x) and x > 0.0
