"""The settings of the soft actor-critic."""

import dataclasses

from keras.optimizers.schedules import LearningRateSchedule

from kgdists.agents.settings import (
    ACTIVATIONS,
    check,
    check_training,
    is_count,
    is_number,
    is_positive,
    setting,
)
from kgdists.envs.make import VECTORIZATIONS

__all__ = ["SACConfig"]

FAMILIES = ("squashed", "normal")  # those that policies learn from by their own draws


@dataclasses.dataclass(frozen=True)
class SACConfig:
    """Hyperparameters of `SAC`. A schedule is a function of the number of gradient steps taken."""

    num_envs: int = setting(1, "environments stepped together, N")
    vectorization: str = setting("auto", f"how they are stepped: {', '.join(VECTORIZATIONS)}")
    n_steps: int = setting(1, "steps of each environment between two updates, T")
    gradient_steps: int | None = setting(None, "of an update; by default N T")
    learning_starts: int = setting(100, "steps of all environments before the first update")
    epoch_steps: int = setting(1000, "steps of all environments in an epoch of callbacks, rounded up to whole updates")
    buffer_size: int = setting(1_000_000, "steps of all environments that are kept for replay")
    batch_size: int = setting(256, "steps replayed per gradient step")
    n_step_returns: int = setting(1, "rewards that are summed up before the critics are asked")
    learning_rate: float | LearningRateSchedule = setting(3e-4, "of Adam, for policy, critics and temperature")
    gamma: float = setting(0.99, "discount factor")
    tau: float = setting(0.005, "part of the way that the target critics go towards the critics per gradient step")
    ent_coef: float | None = setting(None, "temperature, the weight of the entropy; learned by default")
    initial_ent_coef: float = setting(1.0, "temperature at the start, if it is learned")
    target_entropy: float | None = setting(
        None,
        "entropy that a learned temperature leads to; by default minus the number of dimensions of a Box, in units of "
        "half its width, and for a Discrete 0.3 of the highest one of the allowed choices; 0.98 of that at most",
    )
    discrete: str = setting("exact", "gradient for a Discrete: exact, the expectation; relaxed, by relaxed samples")
    noise_repeat: int = setting(1, "steps over which the noise of the exploration stays the same")
    normalize_observations: bool = setting(
        False, "standardise observations of the default networks by running statistics, saved with them"
    )
    hidden_units: tuple[int, ...] = setting((256, 256), "widths of the layers of the default networks")
    activation: str = setting("relu", f"of these layers: {', '.join(ACTIVATIONS)}")
    initial_stddev: float = setting(
        1.0, "of the default policy for a Box, in units of half its width or, if squashed, before that"
    )
    state_dependent_stddev: bool = setting(True, "let it depend on the observation")
    box_family: str = setting("squashed", f"of the default policy for a Box: {', '.join(FAMILIES)}")
    jit_compile: bool = setting(
        False, "let XLA make updates: less work in all, but on one thread; else parts of them run side by side"
    )
    save_replay: bool = setting(True, "save what is kept for replay with the agent")
    seed: int | None = setting(None, "of the initial weights, the actions, the batches and the environments")

    def __post_init__(self):
        check_training(self)
        for name in (
            "n_steps",
            "epoch_steps",
            "buffer_size",
            "batch_size",
            "n_step_returns",
            "noise_repeat",
        ):
            check(self, name, "an int >= 1", is_count)
        check(self, "gradient_steps", "None or an int >= 1", lambda x: x is None or is_count(x))
        check(self, "learning_starts", "an int >= 0", lambda x: x == 0 or is_count(x))
        check(self, "tau", "in (0, 1]", lambda x: is_number(x) and 0.0 < x <= 1.0)
        check(self, "ent_coef", "None or a finite number >= 0", lambda x: x is None or (is_number(x) and x >= 0.0))
        check(self, "target_entropy", "None or a finite number", lambda x: x is None or is_number(x))
        check(self, "initial_ent_coef", "a finite number > 0", is_positive)
        check(self, "discrete", "exact or relaxed", lambda x: x in ("exact", "relaxed"))
        check(self, "box_family", f"one of {', '.join(FAMILIES)}", lambda x: x in FAMILIES)
