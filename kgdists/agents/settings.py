"""Settings of agents: fields of a dataclass with a line of help and a rule."""

import dataclasses
import math
import sys

from keras.optimizers.schedules import LearningRateSchedule

from kgdists.envs.make import VECTORIZATIONS

__all__ = [
    "ACTIVATIONS",
    "check",
    "check_networks",
    "check_schedule",
    "check_training",
    "is_count",
    "is_number",
    "is_positive",
    "setting",
]

ACTIVATIONS = ("tanh", "relu", "elu", "silu", "gelu")


def setting(default, help_text):
    """A field of a config dataclass; the help is that of its option on the command line."""
    return dataclasses.field(default=default, metadata={"help": help_text})


def check(config, name, rule, is_good):
    """Raise unless a setting obeys a rule, given as a function and in words; none may be a bool."""
    value = getattr(config, name)
    if isinstance(value, bool) or not is_good(value):
        raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}")


def check_networks(config):
    """Raise unless the settings of the default networks, and the seed, obey their rules."""
    check(config, "hidden_units", "a tuple of ints >= 1", lambda x: isinstance(x, tuple) and all(map(is_count, x)))
    check(config, "activation", f"one of {', '.join(ACTIVATIONS)}", lambda x: x in ACTIVATIONS)
    check(config, "initial_stddev", "a finite number > 0", is_positive)
    check(
        config,
        "seed",
        "None or an int from 0 to 2**62",
        lambda x: x is None or (isinstance(x, int) and 0 <= x <= 2**62),
    )


def check_training(config):
    """Raise unless the settings that all agents that learn by gradients have obey their rules."""
    check_networks(config)
    check(config, "num_envs", "an int >= 1", is_count)
    check(config, "vectorization", f"one of {', '.join(VECTORIZATIONS)}", lambda x: x in VECTORIZATIONS)
    check(config, "gamma", "in [0, 1]", lambda x: is_number(x) and 0.0 <= x <= 1.0)
    check(
        config,
        "learning_rate",
        "a finite number > 0 or a LearningRateSchedule",
        lambda x: isinstance(x, LearningRateSchedule) or is_positive(x),
    )
    check_schedule(config, "learning_rate")
    if isinstance(config.learning_rate, int):  # which Keras' optimizers refuse
        object.__setattr__(config, "learning_rate", float(config.learning_rate))


def check_schedule(config, name):
    """Raise if a setting is a schedule whose values, at its start or long after its end, are not such numbers."""
    schedule = getattr(config, name)
    for step in (0, 10**9) if isinstance(schedule, LearningRateSchedule) else ():
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


def is_count(x):
    """Whether `x` is an int >= 1."""
    return isinstance(x, int) and x >= 1


def is_number(x):
    """Whether `x` is a finite number, as a float too."""
    return isinstance(x, (int, float)) and abs(x) <= sys.float_info.max


def is_positive(x):
    """Whether `x` is a finite number > 0."""
    return is_number(x) and x > 0.0
