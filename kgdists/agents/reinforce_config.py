"""The settings of REINFORCE."""

import dataclasses

from kgdists.agents.config import (
    AT_LEAST_0,
    FLAG,
    POSITIVE,
    POSITIVE_OR_SCHEDULE,
    WHOLE,
    TrainingConfig,
    setting,
)
from kgdists.core.types import Schedule

__all__ = ["REINFORCEConfig"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class REINFORCEConfig(TrainingConfig):
    """Hyperparameters of `REINFORCE`. A schedule is a function of the number of gradient steps taken."""

    FIXED = (*TrainingConfig.FIXED, "episodes", "baseline")

    learning_rate: float | Schedule = setting(3e-3, "Set the learning rate of Adam.", POSITIVE_OR_SCHEDULE)
    episodes: int = setting(16, "Play N whole episodes for each gradient step.", WHOLE)
    max_steps: int | None = setting(
        None,
        "Cut an episode off after N steps.",
        WHOLE.or_none(),
        "10,000, or the limit of the environment if that is more",
    )
    baseline: bool = setting(True, "Subtract the estimates of a value function from the returns.", FLAG)
    ent_coef: float = setting(0.0, "Set the weight of the entropy bonus.", AT_LEAST_0)
    vf_coef: float = setting(0.5, "Set the weight of the value loss.", AT_LEAST_0)
    max_grad_norm: float | None = setting(
        0.5, "Bound the norm of the gradient of all weights together.", POSITIVE.or_none(), "no bound"
    )
    normalize_advantages: bool = setting(
        True, "Standardize the returns of an update, or what the baseline leaves of them.", FLAG
    )

    @property
    def n_steps(self) -> int:
        """Steps between two checks of whether all episodes have ended; rollouts are padded to powers of two of it."""
        return 16
