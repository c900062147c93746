"""The settings of REINFORCE."""

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

__all__ = ["REINFORCEConfig"]


@dataclasses.dataclass(frozen=True)
class REINFORCEConfig:
    """Hyperparameters of `REINFORCE`. A schedule is a function of the number of gradient steps taken."""

    num_envs: int = setting(8, "environments stepped together, N")
    vectorization: str = setting("auto", f"how they are stepped: {', '.join(VECTORIZATIONS)}")
    episodes: int = setting(16, "whole episodes for each gradient step")
    max_steps: int | None = setting(
        None,
        "steps after which an episode is cut off; by default 10,000, or the limit of the environment if that is more",
    )
    learning_rate: float | LearningRateSchedule = setting(3e-3, "of Adam")
    gamma: float = setting(0.99, "discount factor")
    baseline: bool = setting(True, "subtract the estimates of a value function from the returns")
    ent_coef: float = setting(0.0, "weight of the entropy bonus")
    vf_coef: float = setting(0.5, "weight of the value loss")
    max_grad_norm: float | None = setting(0.5, "bound of the norm of the gradient of all weights together")
    normalize_advantages: bool = setting(True, "standardise the returns, or what is left of them, of an update")
    normalize_observations: bool = setting(
        False, "standardise observations of the default networks by running statistics, saved with them"
    )
    hidden_units: tuple[int, ...] = setting((64, 64), "widths of the layers of the default networks")
    activation: str = setting("tanh", f"of these layers: {', '.join(ACTIVATIONS)}")
    initial_stddev: float = setting(
        1.0, "of the default policy for a Box, in units of half its width or, if squashed, before that; not of beta"
    )
    box_family: str = setting("squashed", f"of the default policy for a Box: {', '.join(BOX_FAMILIES)}")
    seed: int | None = setting(None, "of the initial weights, the actions and the environments")

    def __post_init__(self):
        check_training(self)
        check(self, "episodes", "an int >= 1", is_count)
        check(self, "max_steps", "None or an int >= 1", lambda x: x is None or is_count(x))
        for name in ("ent_coef", "vf_coef"):
            check(self, name, "a finite number >= 0", lambda x: is_number(x) and x >= 0.0)
        check(self, "max_grad_norm", "None or a finite number > 0", lambda x: x is None or is_positive(x))
        check(self, "box_family", f"one of {', '.join(BOX_FAMILIES)}", lambda x: x in tuple(BOX_FAMILIES))

    @property
    def n_steps(self):
        """Steps between two looks at whether all episodes have ended; twice, four times ... so many are compiled."""
        return 16
