"""The settings of the advantage actor-critic."""

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
from kgdists.spaces import BOX_FAMILIES

__all__ = ["A2CConfig"]


@dataclasses.dataclass(frozen=True)
class A2CConfig:
    """Hyperparameters of `A2C`. A schedule is a function of the number of gradient steps taken."""

    num_envs: int = setting(8, "environments stepped together, N")
    vectorization: str = setting("auto", f"how they are stepped: {', '.join(VECTORIZATIONS)}")
    n_steps: int = setting(5, "steps of each environment between two updates, T")
    n_epochs: int = setting(1, "gradient steps on the same N T steps; of more than one, `vtrace` corrects the later")
    epoch_steps: int = setting(1000, "steps of all environments in an epoch of callbacks, rounded up to whole updates")
    learning_rate: float | LearningRateSchedule = setting(7e-4, "of RMSprop")
    epsilon: float = setting(
        1e-10, "of RMSprop, added to a gradient's mean square, under the root: the square of what others add outside"
    )
    gamma: float = setting(0.99, "discount factor")
    gae_lambda: float = setting(1.0, "0: one-step advantages, 1: returns less values")
    vtrace: bool = setting(False, "correct advantages and returns by the ratio to the policy that acted")
    kl_coef: float = setting(0.0, "weight of the KL divergence from the policy that acted")
    ent_coef: float = setting(0.0, "weight of the entropy bonus")
    vf_coef: float = setting(0.5, "weight of the value loss")
    max_grad_norm: float | None = setting(0.5, "bound of the norm of the gradient of all weights together")
    normalize_advantages: bool = setting(False, "standardise the advantages of each batch")
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
    seed: int | None = setting(None, "of the initial weights, the actions and the environments")

    def __post_init__(self):
        check_training(self)
        for name in ("n_steps", "n_epochs", "epoch_steps"):
            check(self, name, "an int >= 1", is_count)
        check(self, "gae_lambda", "in [0, 1]", lambda x: is_number(x) and 0.0 <= x <= 1.0)
        for name in ("kl_coef", "ent_coef", "vf_coef"):
            check(self, name, "a finite number >= 0", lambda x: is_number(x) and x >= 0.0)
        check(self, "max_grad_norm", "None or a finite number > 0", lambda x: x is None or is_positive(x))
        check(self, "epsilon", "a finite number > 0", is_positive)
        check(self, "box_family", f"one of {', '.join(BOX_FAMILIES)}", lambda x: x in tuple(BOX_FAMILIES))
