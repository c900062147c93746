"""Rewards divided by the running deviation of the discounted return."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras import ops

from kgdists.core.types import Tensor
from kgdists.layers import RunningNormalization

__all__ = ["RewardNormalizer"]

LARGEST = 10.0  # as Gymnasium's and Stable-Baselines3's wrappers have it


class RewardNormalizer:
    """Divide rewards by the standard deviation of the discounted return, estimated as training goes on.

    Where returns hardly vary they would come out as large as you like; scaled rewards lie between -10 and 10.

    Parameters
    ----------
    num_envs : int
    gamma : float
        Discount factor.
    update : None or callable
        `update(statistics, x)` takes numbers into the `RunningNormalization`; None: its own method.

    Examples
    --------
    >>> import tensorflow as tf
    >>> scaling = RewardNormalizer(num_envs=1, gamma=0.0)
    >>> rewards, ended = tf.constant([[2.0], [-2.0]]), tf.zeros((2, 1), bool)
    >>> [round(x, 2) for x in scaling(rewards, ended)[:, 0].numpy().tolist()]
    [1.0, -1.0]
    """

    def __init__(self, num_envs: int, gamma: float, update: Callable[..., None] | None = None) -> None:
        self.gamma = gamma
        self.update = update or RunningNormalization.update
        self.statistics = RunningNormalization()
        self.statistics.build((None,))
        self.discounted_return = tf.Variable(tf.zeros(num_envs, "float64"))  # of float32 rewards none overflows

    def __call__(self, rewards: Tensor, ended: Tensor, *is_step: Tensor) -> Tensor:
        """Scaled rewards of a rollout; rewards and ends of episodes, both [T, N], count from now on.

        Where some steps are none of an episode, `is_step` says which are: what `update` takes as a third argument.
        """

        def step(total, at_t):
            reward, ended = at_t
            total = reward + self.gamma * total
            return ops.where(ended, 0.0, total), total

        exact = ops.cast(rewards, "float64")
        last, totals = ops.scan(step, ops.convert_to_tensor(self.discounted_return), (exact, ended))
        self.discounted_return.assign(last)
        self.update(self.statistics, totals, *is_step)
        scaled = exact / ops.sqrt(self.statistics.variance + self.statistics.epsilon)
        return ops.cast(ops.clip(scaled, -LARGEST, LARGEST), rewards.dtype)

    @property
    def variables(self) -> dict[str, Any]:
        """Name -> variable of all that changes."""
        statistics = {f"return_statistics_{i}": variable for i, variable in enumerate(self.statistics.variables)}
        return statistics | {"discounted_return": self.discounted_return}
