"""The settings of the advantage actor-critic."""

import dataclasses

from keras.optimizers.schedules import LearningRateSchedule

from kgdists.agents.config import TrainingConfig, check, check_count, is_number, is_positive, setting

__all__ = ["A2CConfig"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class A2CConfig(TrainingConfig):
    """Hyperparameters of `A2C`. A schedule is a function of the number of gradient steps taken."""

    learning_rate: float | LearningRateSchedule = setting(7e-4, "learning rate of RMSprop")
    n_steps: int = setting(5, "steps of each environment between two updates, T")
    n_epochs: int = setting(1, "gradient steps on the same N T steps; of more than one, `vtrace` corrects the later")
    epoch_steps: int = setting(1000, "steps of all environments in an epoch of callbacks, rounded up to whole updates")
    epsilon: float = setting(
        1e-10,
        "epsilon of RMSprop, added to a gradient's mean square, under the root: the square of what others add outside",
    )
    gae_lambda: float = setting(1.0, "lambda of the generalized advantages: 0 is one-step, 1 is returns minus values")
    vtrace: bool = setting(False, "correct advantages and returns by the ratio to the policy that acted")
    kl_coef: float = setting(0.0, "weight of the KL divergence from the policy that acted")
    ent_coef: float = setting(0.0, "weight of the entropy bonus")
    vf_coef: float = setting(0.5, "weight of the value loss")
    max_grad_norm: float | None = setting(0.5, "bound of the norm of the gradient of all weights together")
    normalize_advantages: bool = setting(False, "standardize the advantages of each batch")
    normalize_rewards: bool = setting(False, "divide rewards by the running deviation of the discounted return")

    def num_gradient_steps(self, total_steps: int) -> int:
        """How many gradient steps are taken in this many environment steps."""
        per_update = self.n_steps * self.num_envs
        per_epoch = -(-self.epoch_steps // per_update)
        epochs = -(-total_steps // (per_epoch * per_update))  # an epoch is never left half done
        return epochs * per_epoch * self.n_epochs

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("n_steps", "n_epochs", "epoch_steps"):
            check_count(self, name)
        check(self, "gae_lambda", "in [0, 1]", lambda x: is_number(x) and 0.0 <= x <= 1.0)
        for name in ("kl_coef", "ent_coef", "vf_coef"):
            check(self, name, "a finite number >= 0", lambda x: is_number(x) and x >= 0.0)
        check(self, "max_grad_norm", "None or a finite number > 0", lambda x: x is None or is_positive(x))
        check(self, "epsilon", "a finite number > 0", is_positive)
