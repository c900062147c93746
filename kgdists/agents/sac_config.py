"""The settings of the soft actor-critic."""

import dataclasses
import math

from kgdists.agents.config import (
    AT_LEAST_0,
    FLAG,
    POSITIVE,
    POSITIVE_OR_SCHEDULE,
    WHOLE,
    TrainingConfig,
    setting,
    with_default,
)
from kgdists.core.rules import counts, numbers, one_of
from kgdists.core.types import Schedule

__all__ = ["SACConfig"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SACConfig(TrainingConfig):
    """Hyperparameters of `SAC`. A schedule is a function of the number of gradient steps taken."""

    TOTAL_STEPS = 50_000
    FIXED = (
        *TrainingConfig.FIXED,
        "buffer_size",
        "ent_coef",
        "initial_ent_coef",
        "discrete",
        "state_dependent_stddev",
    )

    num_envs: int = with_default(TrainingConfig, "num_envs", 1)
    learning_rate: float | Schedule = setting(
        3e-4, "Set the learning rate of the optimizer, for policy, critics and temperature.", POSITIVE_OR_SCHEDULE
    )
    hidden_units: tuple[int, ...] = with_default(TrainingConfig, "hidden_units", (256, 256))
    activation: str = with_default(TrainingConfig, "activation", "relu")
    box_family: str = setting(
        "squashed",
        "Choose the distribution of the default policy for a Box.",
        one_of(("squashed", "normal")),  # those that policies learn from by their own draws
        group="networks",
    )
    n_steps: int = setting(1, "Take N steps in each environment between two updates.", WHOLE)
    gradient_steps: int | None = setting(
        None,
        "Take N gradient steps in each update.",
        WHOLE.or_none(),
        "as many as environment steps, n_steps x num_envs",
    )
    learning_starts: int = setting(
        100, "Take N steps, of all environments together, before the first update.", counts(least=0)
    )
    overlap: bool = setting(
        False,
        "Step the environments while the networks learn, by weights that are one update old; faster if a step is slow.",
        FLAG,
    )
    epoch_steps: int = setting(
        1000,
        "Log metrics and save after about N environment steps, which are rounded up to whole updates.",
        WHOLE,
    )
    buffer_size: int = setting(1_000_000, "Keep the last N environment steps for replay.", WHOLE)
    batch_size: int = setting(256, "Replay N steps for each gradient step.", WHOLE)
    n_step_returns: int = setting(1, "Sum up N rewards before the critics estimate the rest.", WHOLE)
    tau: float = setting(
        0.005,
        "Set the Polyak rate of the target critics: how far each gradient step moves them towards the critics.",
        numbers("in (0, 1]", lambda x: 0.0 < x <= 1.0),
    )
    ent_coef: float | None = setting(
        None, "Set the temperature, the weight of the entropy.", AT_LEAST_0.or_none(), "it is learned"
    )
    initial_ent_coef: float = setting(1.0, "Set the temperature at the start, if it is learned.", POSITIVE)
    target_entropy: float | None = setting(
        None,
        "Set the entropy to which a learned temperature leads; for a Discrete at most 0.98 of the highest.",
        numbers("a finite number", math.isfinite).or_none(),
        "minus the number of dimensions of a Box, in units of half its width, and for a Discrete 0.3 of the highest",
    )
    discrete: str = setting(
        "exact",
        "Choose the gradient of the policy for a Discrete. exact: by the expectation; relaxed: by relaxed samples.",
        one_of(("exact", "relaxed")),
    )
    noise_repeat: int = setting(1, "Keep the noise of the exploration for N steps.", WHOLE)
    state_dependent_stddev: bool = setting(
        True,
        "Let the standard deviation of the default policy depend on the observation.",
        FLAG,
        group="networks",
    )
    jit_compile: bool = setting(
        False,
        "Let XLA compile updates, which takes less work in all, but only one thread.",
        FLAG,
    )
    save_replay: bool = setting(True, "Save the replay with the agent.", FLAG, group="run")

    def num_gradient_steps(self, total_steps: int) -> int:
        """How many gradient steps are taken in this many environment steps."""
        per_update = self.n_steps * self.num_envs
        before = -(-max(1, min(self.learning_starts, self.buffer_size)) // per_update) - 1
        return max(1, self.num_steps(total_steps) // per_update - before) * (self.gradient_steps or per_update)

    def num_steps(self, total_steps: int) -> int:
        """How many environment steps are taken in a training of this many: whole epochs of callbacks."""
        per_update = self.n_steps * self.num_envs
        per_epoch = -(-self.epoch_steps // per_update) * per_update
        return -(-total_steps // per_epoch) * per_epoch
