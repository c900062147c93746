"""Settings of agents: fields of a dataclass with a line of help and a rule; those that agents have in common."""

import dataclasses
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Self, cast

from keras.optimizers.schedules import LearningRateSchedule

from kgdists.core.checks import count, is_count, is_number
from kgdists.encoders.arrays import MAX_LENGTH
from kgdists.encoders.image import NETWORKS
from kgdists.envs.array_observations import Encoding
from kgdists.envs.make import VECTORIZATIONS
from kgdists.envs.registered import PREPROCESSING
from kgdists.runs.metric_guide import is_metric
from kgdists.spaces import BOX_FAMILIES

__all__ = [
    "ACTIVATIONS",
    "Config",
    "TrainingConfig",
    "check",
    "check_count",
    "check_schedule",
    "encoding_of",
    "is_number",
    "is_positive",
    "setting",
]

ACTIVATIONS = ("tanh", "relu", "elu", "silu", "gelu")
ENCODERS = (*NETWORKS, "flat")


def setting(default: Any, help_text: str) -> Any:
    """A field of a config dataclass; the help is that of its option on the command line."""
    return dataclasses.field(default=default, metadata={"help": help_text})


def encoding_of(config: type["Config"], settings: Mapping[str, Any]) -> Encoding:
    """How observations become arrays, by some settings of a config; the others are the defaults."""
    names = ("max_length", "encoder", "preprocessing")
    max_length, encoder, preprocessing = (settings.get(name, getattr(config, name)) for name in names)
    return Encoding(max_length, encoder == "flat", preprocessing)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What all agents can be told: of the default networks, and the seed."""

    TOTAL_STEPS = 100_000  # of a training of which nothing else is known
    FAMILIES = tuple(BOX_FAMILIES)
    # Where an algorithm has these settings, they are its fields.
    sde_sample_freq = cast(int | None, None)
    state_dependent_stddev = False

    normalize_observations: bool = setting(
        False, "standardize observations of the default networks by running statistics, which are saved with them"
    )
    encoder: str = setting(
        "auto",
        f"convolutions of the default networks for images: {', '.join(ENCODERS)}; auto takes nature from 36 x 36 "
        "pixels on; flat makes one vector of all that is observed, as 0.1 did",
    )
    preprocessing: str = setting(
        "none",
        f"wrappers that are customary for the environment: {', '.join(PREPROCESSING)}; atari shrinks screens to 84 x "
        "84 shades of gray, repeats an action for 4 frames and stacks 4 screens",
    )
    max_length: int = setting(MAX_LENGTH, "items of an observed sequence, at most")
    leave_out: tuple[str, ...] = setting((), "names of the parts of a dict observation that the default networks skip")
    hidden_units: tuple[int, ...] = setting((64, 64), "widths of the hidden layers of the default networks")
    activation: str = setting("tanh", f"activation of the hidden layers: {', '.join(ACTIVATIONS)}")
    initial_stddev: float = setting(
        1.0,
        "initial standard deviation of the default policy for a Box, in half-widths of the box, before squashing if "
        "squashed; ignored by beta",
    )
    box_family: str = setting("squashed", f"distribution of the default policy for a Box: {', '.join(BOX_FAMILIES)}")
    log_info: tuple[str, ...] = setting(
        (), "entries of the info at the end of an episode to log, by name: their means over the last 100 episodes"
    )
    seed: int | None = setting(None, "seed of the initial weights, the actions and the environments")

    def __post_init__(self) -> None:
        check(
            self,
            "hidden_units",
            "a tuple of ints >= 1",
            lambda x: isinstance(x, tuple) and all(map(is_count, x)),
        )
        object.__setattr__(self, "hidden_units", tuple(map(operator.index, self.hidden_units)))
        check(self, "encoder", f"one of {', '.join(ENCODERS)}", lambda x: x in ENCODERS)
        check(self, "preprocessing", f"one of {', '.join(PREPROCESSING)}", lambda x: x in PREPROCESSING)
        check_count(self, "max_length")
        check(
            self,
            "leave_out",
            "a tuple of names",
            lambda x: isinstance(x, tuple) and all(isinstance(name, str) for name in x),
        )
        check(self, "activation", f"one of {', '.join(ACTIVATIONS)}", lambda x: x in ACTIVATIONS)
        check(self, "initial_stddev", "a finite number > 0", is_positive)
        check(self, "box_family", f"one of {', '.join(self.FAMILIES)}", lambda x: x in self.FAMILIES)
        if isinstance(self.log_info, list):
            object.__setattr__(self, "log_info", tuple(self.log_info))
        check(
            self,
            "log_info",
            "a tuple of texts, none of them the name of a metric",
            lambda x: isinstance(x, tuple) and all(isinstance(name, str) and not is_metric(name) for name in x),
        )
        check_count(self, "seed", least=0, most=2**62, optional=True)

    @property
    def encoding(self) -> Encoding:
        """How observations become arrays."""
        return encoding_of(type(self), vars(self))

    def for_envs(self, num_envs: int) -> Self:
        """These settings for a vector environment of this many."""
        return self

    def num_gradient_steps(self, total_steps: int) -> int | None:
        """How many gradient steps are taken in this many environment steps, None if it is not known beforehand."""
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig(Config):
    """What all agents that learn by gradients can be told. A schedule is a function of the gradient steps taken."""

    num_envs: int = setting(8, "environments stepped together, N")
    vectorization: str = setting("auto", f"how the environments are stepped: {', '.join(VECTORIZATIONS)}")
    learning_rate: float | LearningRateSchedule = setting(3e-4, "learning rate of the optimizer")
    gamma: float = setting(0.99, "discount factor")

    def for_envs(self, num_envs: int) -> Self:
        """These settings for a vector environment of this many."""
        return dataclasses.replace(self, num_envs=num_envs)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self, "num_envs")
        check(self, "vectorization", f"one of {', '.join(VECTORIZATIONS)}", lambda x: x in VECTORIZATIONS)
        check(self, "gamma", "in [0, 1]", lambda x: is_number(x) and 0.0 <= x <= 1.0)
        check(
            self,
            "learning_rate",
            "a finite number > 0 or a LearningRateSchedule",
            lambda x: isinstance(x, LearningRateSchedule) or is_positive(x),
        )
        check_schedule(self, "learning_rate")
        if isinstance(self.learning_rate, int):  # which Keras' optimizers refuse
            object.__setattr__(self, "learning_rate", float(self.learning_rate))


def check(config: Config, name: str, rule: str, is_good: Callable[[Any], bool]) -> None:
    """Raise unless a setting obeys a rule, given as a function and in words; none may be a bool."""
    value = getattr(config, name)
    if isinstance(value, bool) or not is_good(value):
        raise ValueError(f"`{name}` must be {rule}. Received: {name}={value!r}")


def check_count(config: Config, name: str, **bounds: Any) -> None:
    """Raise unless a setting is a whole number within the bounds of `count`; it is an int of Python from now on."""
    object.__setattr__(config, name, count(name, getattr(config, name), **bounds))


def check_schedule(config: Config, name: str) -> None:
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


def is_positive(x: Any) -> bool:
    """Whether `x` is a finite number > 0."""
    return is_number(x) and x > 0.0
