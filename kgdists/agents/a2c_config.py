"""The settings of the advantage actor-critic."""

import dataclasses

from kgdists.agents.config import (
    AT_LEAST_0,
    FLAG,
    POSITIVE,
    POSITIVE_OR_SCHEDULE,
    UNIT,
    WHOLE,
    PolicyGradientConfig,
    setting,
    with_default,
)
from kgdists.core.types import Optimizer, Schedule

__all__ = ["A2CConfig"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class A2CConfig(PolicyGradientConfig):
    """Hyperparameters of `A2C`. A schedule is a function of the number of gradient steps taken."""

    learning_rate: float | Schedule = setting(7e-4, "Set the learning rate of the optimizer.", POSITIVE_OR_SCHEDULE)
    optimizer: str | Optimizer = with_default(PolicyGradientConfig, "optimizer", "rmsprop")
    n_steps: int = setting(5, "Take N steps in each environment between two updates.", WHOLE)
    n_epochs: int = setting(
        1, "Take N gradient steps on the steps of an update; vtrace corrects those after the first.", WHOLE
    )
    epoch_steps: int = setting(
        1000,
        "Log metrics and save after about N environment steps, which are rounded up to whole updates.",
        WHOLE,
    )
    epsilon: float = setting(
        1e-10,
        "Set the epsilon of RMSprop, or of Adam. RMSprop adds it to the mean square of a gradient under the root; "
        "libraries that add it outside the root take its root.",
        POSITIVE,
    )
    gae_lambda: float = setting(
        1.0, "Set the lambda of generalized advantages: 0 is one-step, 1 is returns minus values.", UNIT
    )
    vtrace: bool = setting(False, "Correct advantages and returns by the ratio to the policy that acted.", FLAG)
    kl_coef: float = setting(0.0, "Set the weight of the KL divergence from the policy that acted.", AT_LEAST_0)
    normalize_advantages: bool = setting(False, "Standardize the advantages of each batch.", FLAG)
    normalize_rewards: bool = setting(
        False, "Divide rewards by the running standard deviation of the discounted return.", FLAG
    )

    def num_gradient_steps(self, total_steps: int) -> int:
        """How many gradient steps are taken in this many environment steps."""
        return self.num_steps(total_steps) // (self.n_steps * self.num_envs) * self.n_epochs

    def num_steps(self, total_steps: int) -> int:
        """How many environment steps are taken in a training of this many: whole epochs of callbacks."""
        per_update = self.n_steps * self.num_envs
        per_epoch = -(-self.epoch_steps // per_update) * per_update
        return -(-total_steps // per_epoch) * per_epoch
