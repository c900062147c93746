"""The settings of REINFORCE."""

import dataclasses

from kgdists.agents.config import (
    FLAG,
    POSITIVE_OR_SCHEDULE,
    WHOLE,
    PolicyGradientConfig,
    setting,
)
from kgdists.core.types import Schedule

__all__ = ["REINFORCEConfig"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class REINFORCEConfig(PolicyGradientConfig):
    """Hyperparameters of `REINFORCE`. A schedule is a function of the number of gradient steps taken."""

    FIXED = (*PolicyGradientConfig.FIXED, "episodes", "baseline")

    learning_rate: float | Schedule = setting(3e-3, "Set the learning rate of the optimizer.", POSITIVE_OR_SCHEDULE)
    episodes: int = setting(16, "Play N whole episodes for each gradient step.", WHOLE)
    max_steps: int | None = setting(
        None,
        "Cut an episode off after N steps.",
        WHOLE.or_none(),
        "10,000, or the limit of the environment if that is more",
    )
    baseline: bool = setting(True, "Subtract the estimates of a value function from the returns.", FLAG)
    normalize_advantages: bool = setting(
        True, "Standardize the returns of an update, or what the baseline leaves of them.", FLAG
    )

    @property
    def n_steps(self) -> int:
        """Steps between two checks of whether all episodes have ended; rollouts are padded to powers of two of it."""
        return 16
