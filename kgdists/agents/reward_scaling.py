"""Rewards divided by the running deviation of the discounted return."""

import tensorflow as tf
from keras import ops

from kgdists.layers import RunningNormalization

__all__ = ["RewardScaling"]


class RewardScaling:
    """Divide rewards by the standard deviation of the discounted return, estimated as training goes on.

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
    >>> scaling = RewardScaling(num_envs=1, gamma=0.0)
    >>> rewards, ended = tf.constant([[2.0], [-2.0]]), tf.zeros((2, 1), bool)
    >>> [round(x, 2) for x in scaling(rewards, ended)[:, 0].numpy().tolist()]
    [1.0, -1.0]
    """

    def __init__(self, num_envs, gamma, update=None):
        self.gamma = gamma
        self.update = update or RunningNormalization.update
        self.statistics = RunningNormalization()
        self.statistics.build((None,))
        self.discounted_return = tf.Variable(tf.zeros(num_envs))

    def __call__(self, rewards, ended):
        """Scaled rewards of a rollout; rewards and ends of episodes, both [T, N], count from now on."""

        def step(total, at_t):
            reward, ended = at_t
            total = reward + self.gamma * total
            return ops.where(ended, 0.0, total), total

        last, totals = ops.scan(step, ops.convert_to_tensor(self.discounted_return), (rewards, ended))
        self.discounted_return.assign(last)
        self.update(self.statistics, totals)
        return rewards / ops.sqrt(self.statistics.variance + self.statistics.epsilon)

    @property
    def variables(self):
        """Name -> variable of all that changes."""
        statistics = {f"return_statistics_{i}": variable for i, variable in enumerate(self.statistics.variables)}
        return statistics | {"discounted_return": self.discounted_return}
