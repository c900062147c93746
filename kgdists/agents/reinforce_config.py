"""The settings of REINFORCE."""

import dataclasses

from keras.optimizers.schedules import LearningRateSchedule

from kgdists.agents.config import TrainingConfig, check, check_count, is_number, is_positive, setting

__all__ = ["REINFORCEConfig"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class REINFORCEConfig(TrainingConfig):
    """Hyperparameters of `REINFORCE`. A schedule is a function of the number of gradient steps taken."""

    learning_rate: float | LearningRateSchedule = setting(3e-3, "learning rate of Adam")
    episodes: int = setting(16, "whole episodes for each gradient step")
    max_steps: int | None = setting(
        None,
        "steps after which an episode is cut off; by default 10,000, or the limit of the environment if that is more",
    )
    baseline: bool = setting(True, "subtract the estimates of a value function from the returns")
    ent_coef: float = setting(0.0, "weight of the entropy bonus")
    vf_coef: float = setting(0.5, "weight of the value loss")
    max_grad_norm: float | None = setting(0.5, "bound of the norm of the gradient of all weights together")
    normalize_advantages: bool = setting(
        True, "standardize the returns of an update, or what the baseline leaves of them"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_count(self, "episodes")
        check_count(self, "max_steps", optional=True)
        for name in ("ent_coef", "vf_coef"):
            check(self, name, "a finite number >= 0", lambda x: is_number(x) and x >= 0.0)
        check(self, "max_grad_norm", "None or a finite number > 0", lambda x: x is None or is_positive(x))

    @property
    def n_steps(self) -> int:
        """Steps between two checks of whether all episodes have ended; rollouts are padded to powers of two of it."""
        return 16
