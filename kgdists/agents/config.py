"""Settings of agents: fields of a dataclass with a line of help and a rule; those that agents have in common."""

import dataclasses
import math
from typing import Any, ClassVar, Self, cast

from kgdists.agents.other_names import check_settings
from kgdists.core.checks import is_optimizer
from kgdists.core.choices import BOX_FAMILY_NAMES, IMAGE_NETWORKS, MAX_LENGTH, OPTIMIZERS, PREPROCESSING, VECTORIZATIONS
from kgdists.core.rules import Rule, counts, flag, names, numbers, one_of, optimizer, widths
from kgdists.core.types import Optimizer, Schedule
from kgdists.runs.metric_guide import is_metric

__all__ = [
    "ACTIVATIONS",
    "AT_LEAST_0",
    "FLAG",
    "POSITIVE",
    "POSITIVE_OR_SCHEDULE",
    "UNIT",
    "WHOLE",
    "Config",
    "PolicyGradientConfig",
    "TrainingConfig",
    "setting",
    "with_default",
]

ACTIVATIONS = ("tanh", "relu", "elu", "silu", "gelu")
ENCODERS = (*IMAGE_NETWORKS, "flat")

FLAG, WHOLE = flag(), counts()
POSITIVE = numbers("a finite number > 0", lambda x: 0.0 < x < math.inf)
POSITIVE_OR_SCHEDULE = numbers("a finite number > 0", lambda x: 0.0 < x < math.inf, or_schedule=True)
AT_LEAST_0 = numbers("a finite number >= 0", lambda x: 0.0 <= x < math.inf)
UNIT = numbers("in [0, 1]", lambda x: 0.0 <= x <= 1.0)


def setting(default: Any, help_text: str, rule: Rule, unset: str = "none", group: str = "algorithm") -> Any:
    """A field of a config dataclass.

    Parameters
    ----------
    default : object
    help_text : str
        The help of its option on the command line: a sentence that stands alone.
    rule : Rule
        What it may be.
    unset : str
        What None stands for.
    group : str
        Of options: "run", "environment", "networks" or "algorithm".
    """
    return dataclasses.field(
        default=default, metadata={"help": help_text, "rule": rule, "unset": unset, "group": group}
    )


def with_default(config: type["Config"], name: str, default: Any) -> Any:
    """A field of a config dataclass with another default than in its base."""
    return dataclasses.field(default=default, metadata=config.__dataclass_fields__[name].metadata)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What all agents can be told: of the default networks, and the seed."""

    TOTAL_STEPS = 100_000  # of a training of which nothing else is known
    # Settings that a trained agent keeps: what its networks, its random numbers and its epochs are made of.
    FIXED: ClassVar[tuple[str, ...]] = (
        "normalize_observations",
        "encoder",
        "preprocessing",
        "max_length",
        "leave_out",
        "hidden_units",
        "activation",
        "initial_stddev",
        "box_family",
        "seed",
    )
    # Where an algorithm has these settings, they are its fields.
    sde_sample_freq = cast(int | None, None)
    state_dependent_stddev = False

    normalize_observations: bool = setting(
        False,
        "Standardize what the default networks observe, by running statistics that are saved with them.",
        FLAG,
        group="networks",
    )
    encoder: str = setting(
        "auto",
        "Choose the default networks' convolutions for images. auto: nature from 36 x 36 pixels on, else small; flat: "
        "none, all that is observed becomes one vector, as in version 0.1.",
        one_of(ENCODERS),
        group="networks",
    )
    preprocessing: str = setting(
        "none",
        "Choose customary wrappers of the environment. atari: shrink screens to 84 x 84 shades of gray, repeat each "
        "action for 4 frames, and stack 4 screens.",
        one_of(PREPROCESSING),
        group="environment",
    )
    max_length: int = setting(
        MAX_LENGTH, "Observe sequences of up to N items; a longer one is an error.", WHOLE, group="environment"
    )
    leave_out: tuple[str, ...] = setting(
        (), "Hide these parts of a dict observation from the default networks.", names(), group="networks"
    )
    hidden_units: tuple[int, ...] = setting(
        (64, 64), "Set the widths of the hidden layers of the default networks.", widths(), group="networks"
    )
    activation: str = setting(
        "tanh",
        "Choose the activation of the hidden layers of the default networks.",
        one_of(ACTIVATIONS),
        group="networks",
    )
    initial_stddev: float = setting(
        1.0,
        "Set the initial standard deviation of the default policy for a Box, in half-widths of the box, before "
        "squashing if box_family is squashed; beta ignores it.",
        POSITIVE,
        group="networks",
    )
    box_family: str = setting(
        "squashed",
        "Choose the distribution of the default policy for a Box.",
        one_of(BOX_FAMILY_NAMES),
        group="networks",
    )
    log_info: tuple[str, ...] = setting(
        (),
        "Log these entries of the info at the end of an episode, as means over the last 100 episodes.",
        names("a tuple of texts, none of them the name of a metric", lambda name: not is_metric(name)),
        group="environment",
    )
    seed: int | None = setting(
        None,
        "Set the seed of the initial weights, the actions and the environments.",
        counts(least=0, most=2**62).or_none(),
        "another one each time",
        group="run",
    )

    def __new__(cls, *args: Any, **settings: Any) -> Self:
        check_settings(cls, settings)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, field.metadata["rule"](field.name, getattr(self, field.name)))

    def for_envs(self, num_envs: int) -> Self:
        """These settings for a vector environment of this many."""
        return self

    def num_gradient_steps(self, total_steps: int) -> int | None:
        """How many gradient steps are taken in this many environment steps, None if it is not known beforehand."""
        return None

    def num_steps(self, total_steps: int) -> int | None:
        """How many environment steps are taken in a training of this many, None if it is not known beforehand."""
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig(Config):
    """What all agents that learn by gradients can be told. A schedule is a function of the gradient steps taken."""

    FIXED = (*Config.FIXED, "n_steps", "epoch_steps", "optimizer")

    num_envs: int = setting(8, "Step N environments together.", WHOLE, group="environment")
    vectorization: str = setting(
        "auto",
        "Choose how several environments are stepped. sync: one after the other; async: in several processes; native: "
        "by the environment's own vector version; compiled: in one program with the agent; auto: from 16 environments "
        "on compiled where there is such a version, or native, else sync.",
        one_of(VECTORIZATIONS),
        group="environment",
    )
    learning_rate: float | Schedule = setting(3e-4, "Set the learning rate of the optimizer.", POSITIVE_OR_SCHEDULE)
    optimizer: str | Optimizer = setting(
        "adam",
        "Choose the optimizer. In Python one of Keras' with its own settings does too: it has its own learning rate "
        "and bound of gradients then.",
        optimizer(OPTIMIZERS),
    )
    gamma: float = setting(0.99, "Set the discount factor of rewards.", UNIT)

    def __post_init__(self) -> None:
        super().__post_init__()
        own = {name: self.__dataclass_fields__.get(name) for name in ("learning_rate", "max_grad_norm")}
        given = {name: getattr(self, name) for name, x in own.items() if x and getattr(self, name) != x.default}
        if is_optimizer(self.optimizer) and given:
            raise ValueError(
                "An optimizer of Keras has its own learning rate and bound of gradients: give it these, or name it. "
                f"Received: optimizer={self.optimizer!r} and {', '.join(given)}"
            )

    def for_envs(self, num_envs: int) -> Self:
        """These settings for a vector environment of this many."""
        return dataclasses.replace(self, num_envs=num_envs)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PolicyGradientConfig(TrainingConfig):
    """What agents can be told that follow the policy gradient with a value function as its baseline."""

    ent_coef: float = setting(0.0, "Set the weight of the entropy bonus.", AT_LEAST_0)
    vf_coef: float = setting(0.5, "Set the weight of the value loss.", AT_LEAST_0)
    max_grad_norm: float | None = setting(
        0.5, "Bound the norm of the gradient of all weights together.", POSITIVE.or_none(), "no bound"
    )
