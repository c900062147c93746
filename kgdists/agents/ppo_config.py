"""The settings of proximal policy optimization."""

import dataclasses
import math
from typing import Self

from kgdists.agents.config import (
    AT_LEAST_0,
    FLAG,
    POSITIVE,
    POSITIVE_OR_SCHEDULE,
    UNIT,
    WHOLE,
    PolicyGradientConfig,
    setting,
)
from kgdists.core.rules import numbers
from kgdists.core.types import Schedule

__all__ = ["PPOConfig"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PPOConfig(PolicyGradientConfig):
    """Hyperparameters of `PPO`. A schedule is a function of the number of gradient steps taken."""

    FIXED = (*PolicyGradientConfig.FIXED, "share_encoder", "sde_sample_freq")

    learning_rate: float | Schedule = setting(3e-4, "Set the learning rate of the optimizer.", POSITIVE_OR_SCHEDULE)
    n_steps: int = setting(256, "Take N steps in each environment between two updates.", WHOLE)
    batch_size: int = setting(
        64, "Use N steps for each gradient step; N must divide the steps of an update, n_steps x num_envs.", WHOLE
    )
    n_epochs: int = setting(10, "Go through the steps of an update N times.", WHOLE)
    clip_range: float | Schedule = setting(
        0.2,
        "Bound how far the probability ratio of the policies may be from 1; inf sets no bound.",
        numbers("a number > 0, inf included,", lambda x: x > 0.0, or_schedule=True),
    )
    clip_range_value: float | None = setting(
        None, "Bound how far a value may change in its loss.", POSITIVE.or_none(), "no bound"
    )
    gae_lambda: float = setting(
        0.95, "Set the lambda of generalized advantages: 0 is one-step, 1 is returns minus values.", UNIT
    )
    kl_coef: float = setting(0.0, "Set the weight of the KL divergence from the policy that acted.", AT_LEAST_0)
    adaptive_kl: float | None = setting(
        None,
        "Double or halve kl_coef after an update whose KL divergence is far from X.",
        POSITIVE.or_none(),
        "kl_coef stays as it is",
    )
    vtrace: bool = setting(
        False,
        "Compute advantages and returns anew for each epoch, corrected by the ratio to the policy that acted.",
        FLAG,
    )
    target_kl: float | None = setting(
        None, "End an update once its KL divergence exceeds 1.5 times X.", POSITIVE.or_none(), "never"
    )
    normalize_advantages: bool = setting(True, "Standardize the advantages of each batch.", FLAG)
    normalize_rewards: bool = setting(
        False, "Divide rewards by the running standard deviation of the discounted return.", FLAG
    )
    share_encoder: bool | None = setting(
        None,
        "Let the default value network use the encoder of the default policy.",
        FLAG.or_none(),
        "if the encoder has convolutions",
        group="networks",
    )
    sde_sample_freq: int | None = setting(
        None,
        "Draw the state-dependent exploration of a normal policy for a Box anew every N steps.",
        WHOLE.or_none(),
        "no such exploration",
        group="networks",
    )

    def for_envs(self, num_envs: int) -> Self:
        """These settings with another number of environments, and batches that divide their rollouts."""
        batch_size = math.gcd(self.batch_size, self.n_steps * num_envs)
        return dataclasses.replace(self, num_envs=num_envs, batch_size=batch_size)

    def num_gradient_steps(self, total_steps: int) -> int:
        """How many gradient steps are taken in this many environment steps."""
        per_update = self.n_steps * self.num_envs
        return -(-total_steps // per_update) * self.n_epochs * (per_update // self.batch_size)

    def num_steps(self, total_steps: int) -> int:
        """How many environment steps are taken in a training of this many: whole updates."""
        per_update = self.n_steps * self.num_envs
        return -(-total_steps // per_update) * per_update

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_steps * self.num_envs % self.batch_size:
            raise ValueError(
                "`batch_size` must divide `n_steps * num_envs`. "
                f"Received: batch_size={self.batch_size}, n_steps * num_envs={self.n_steps * self.num_envs}"
            )
        if self.adaptive_kl is not None and self.kl_coef == 0.0:
            raise ValueError("`adaptive_kl` needs a `kl_coef` > 0 to start from. Received: kl_coef=0.0")
