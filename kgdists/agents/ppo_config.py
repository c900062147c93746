"""The settings of proximal policy optimisation."""

import dataclasses
import math

from keras.optimizers.schedules import LearningRateSchedule

from kgdists.agents.settings import (
    ACTIVATIONS,
    check,
    check_schedule,
    check_training,
    is_count,
    is_number,
    is_positive,
    setting,
)
from kgdists.envs.make import VECTORIZATIONS
from kgdists.spaces import BOX_FAMILIES

__all__ = ["PPOConfig"]


@dataclasses.dataclass(frozen=True)
class PPOConfig:
    """Hyperparameters of `PPO`. A schedule is a function of the number of gradient steps taken."""

    num_envs: int = setting(8, "environments stepped together, N")
    vectorization: str = setting("auto", f"how they are stepped: {', '.join(VECTORIZATIONS)}")
    n_steps: int = setting(256, "steps of each environment between two updates, T")
    batch_size: int = setting(64, "steps per gradient step; divides N T")
    n_epochs: int = setting(10, "passes over the N T steps in an update")
    learning_rate: float | LearningRateSchedule = setting(3e-4, "of Adam")
    clip_range: float | LearningRateSchedule = setting(0.2, "bound of the policy ratio's distance from 1; inf: none")
    clip_range_value: float | None = setting(None, "bound of the change of a value in its loss; none by default")
    gamma: float = setting(0.99, "discount factor")
    gae_lambda: float = setting(0.95, "0: one-step advantages, 1: returns less values")
    ent_coef: float = setting(0.0, "weight of the entropy bonus")
    vf_coef: float = setting(0.5, "weight of the value loss")
    max_grad_norm: float | None = setting(0.5, "bound of the norm of the gradient of all weights together")
    kl_coef: float = setting(0.0, "weight of the KL divergence from the policy that acted")
    adaptive_kl: float | None = setting(
        None, "divergence in an update that `kl_coef` adapts to, doubled or halved; by default it stays as it is"
    )
    vtrace: bool = setting(
        False, "advantages and returns anew for each epoch, corrected by the ratio to the policy that acted"
    )
    target_kl: float | None = setting(
        None, "end an update once the KL divergence exceeds 1.5 times this; never by default"
    )
    normalize_advantages: bool = setting(True, "standardise the advantages of each batch")
    normalize_observations: bool = setting(
        False, "standardise observations of the default networks by running statistics, saved with them"
    )
    normalize_rewards: bool = setting(False, "divide rewards by the running deviation of the discounted return")
    hidden_units: tuple[int, ...] = setting((64, 64), "widths of the layers of the default networks")
    activation: str = setting("tanh", f"of these layers: {', '.join(ACTIVATIONS)}")
    initial_stddev: float = setting(
        1.0, "of the default policy for a Box, in units of half its width or, if squashed, before that; not of beta"
    )
    box_family: str = setting("squashed", f"of the default policy for a Box: {', '.join(BOX_FAMILIES)}")
    sde_sample_freq: int | None = setting(
        None, "steps between two draws of a state-dependent exploration of a Box, by a normal policy; none by default"
    )
    seed: int | None = setting(None, "of the initial weights, the actions, the minibatches and the environments")

    def for_envs(self, num_envs):
        """These settings with another number of environments, and batches that divide their rollouts."""
        batch_size = math.gcd(self.batch_size, self.n_steps * num_envs)
        return dataclasses.replace(self, num_envs=num_envs, batch_size=batch_size)

    def __post_init__(self):
        check_training(self)
        for name in ("n_steps", "batch_size", "n_epochs"):
            check(self, name, "an int >= 1", is_count)
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
        check(self, "box_family", f"one of {', '.join(BOX_FAMILIES)}", lambda x: x in tuple(BOX_FAMILIES))
        check(self, "sde_sample_freq", "None or an int >= 1", lambda x: x is None or is_count(x))
        if self.n_steps * self.num_envs % self.batch_size:
            raise ValueError(
                "`batch_size` must divide `n_steps * num_envs`. "
                f"Received: batch_size={self.batch_size}, n_steps * num_envs={self.n_steps * self.num_envs}"
            )
        if self.adaptive_kl is not None and self.kl_coef == 0.0:
            raise ValueError("`adaptive_kl` needs a `kl_coef` > 0 to start from. Received: kl_coef=0.0")
