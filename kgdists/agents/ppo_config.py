"""The settings of proximal policy optimisation."""

import dataclasses
import math
from typing import Self

from keras.optimizers.schedules import LearningRateSchedule

from kgdists.agents.config import TrainingConfig, check, check_count, check_schedule, is_number, is_positive, setting

__all__ = ["PPOConfig"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PPOConfig(TrainingConfig):
    """Hyperparameters of `PPO`. A schedule is a function of the number of gradient steps taken."""

    learning_rate: float | LearningRateSchedule = setting(3e-4, "learning rate of Adam")
    n_steps: int = setting(256, "steps of each environment between two updates, T")
    batch_size: int = setting(64, "steps per gradient step; divides N T")
    n_epochs: int = setting(10, "passes over the N T steps in an update")
    clip_range: float | LearningRateSchedule = setting(0.2, "how far the policy ratio may be from 1; inf for no bound")
    clip_range_value: float | None = setting(None, "bound of the change of a value in its loss; none by default")
    gae_lambda: float = setting(0.95, "lambda of the generalized advantages: 0 is one-step, 1 is returns minus values")
    ent_coef: float = setting(0.0, "weight of the entropy bonus")
    vf_coef: float = setting(0.5, "weight of the value loss")
    max_grad_norm: float | None = setting(0.5, "bound of the norm of the gradient of all weights together")
    kl_coef: float = setting(0.0, "weight of the KL divergence from the policy that acted")
    adaptive_kl: float | None = setting(
        None, "divergence in an update that `kl_coef` adapts to, doubled or halved; by default it stays as it is"
    )
    vtrace: bool = setting(
        False, "compute advantages and returns anew for each epoch, corrected by the ratio to the policy that acted"
    )
    target_kl: float | None = setting(
        None, "end an update once the KL divergence exceeds 1.5 times this; never by default"
    )
    normalize_advantages: bool = setting(True, "standardize the advantages of each batch")
    normalize_rewards: bool = setting(False, "divide rewards by the running deviation of the discounted return")
    sde_sample_freq: int | None = setting(
        None, "steps between two draws of a state-dependent exploration of a Box, by a normal policy; none by default"
    )

    def for_envs(self, num_envs: int) -> Self:
        """These settings with another number of environments, and batches that divide their rollouts."""
        batch_size = math.gcd(self.batch_size, self.n_steps * num_envs)
        return dataclasses.replace(self, num_envs=num_envs, batch_size=batch_size)

    def num_gradient_steps(self, total_steps: int) -> int:
        """How many gradient steps are taken in this many environment steps."""
        per_update = self.n_steps * self.num_envs
        return -(-total_steps // per_update) * self.n_epochs * (per_update // self.batch_size)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("n_steps", "batch_size", "n_epochs"):
            check_count(self, name)
        check(self, "gae_lambda", "in [0, 1]", lambda x: is_number(x) and 0.0 <= x <= 1.0)
        for name in ("ent_coef", "vf_coef", "kl_coef"):
            check(self, name, "a finite number >= 0", lambda x: is_number(x) and x >= 0.0)
        check(
            self,
            "clip_range",
            "a number > 0, inf included, or a LearningRateSchedule",
            lambda x: isinstance(x, LearningRateSchedule) or is_positive(x) or x == math.inf,
        )
        check_schedule(self, "clip_range")
        for name in ("clip_range_value", "max_grad_norm", "target_kl", "adaptive_kl"):
            check(self, name, "None or a finite number > 0", lambda x: x is None or is_positive(x))
        check_count(self, "sde_sample_freq", optional=True)
        if self.n_steps * self.num_envs % self.batch_size:
            raise ValueError(
                "`batch_size` must divide `n_steps * num_envs`. "
                f"Received: batch_size={self.batch_size}, n_steps * num_envs={self.n_steps * self.num_envs}"
            )
        if self.adaptive_kl is not None and self.kl_coef == 0.0:
            raise ValueError("`adaptive_kl` needs a `kl_coef` > 0 to start from. Received: kl_coef=0.0")
