"""A car in a valley that must take a run-up to leave it (Moore 1990)."""

from typing import Any

import gymnasium
import numpy as np
from keras import ops

from kgdists import random
from kgdists.core.types import Seed, Tensor
from kgdists.envs.functional.classic_control import ClassicControl

__all__ = ["MountainCar", "MountainCarContinuous"]

LEAST_POSITION, LARGEST_POSITION = -1.2, 0.6
LARGEST_SPEED = 0.07
SLOPE = 0.0025


class MountainCar(ClassicControl):
    """Gymnasium's MountainCar-v0: push left, not at all, or right. Each step costs 1 until the flag.

    A state [N, 2] is position and velocity.
    """

    id = "MountainCar-v0"
    max_episode_steps = 200
    GOAL, POWER = 0.5, 0.001
    action_space: gymnasium.Space = gymnasium.spaces.Discrete(3)

    observation_space = gymnasium.spaces.Box(
        np.array([LEAST_POSITION, -LARGEST_SPEED], "float32"), np.array([LARGEST_POSITION, LARGEST_SPEED], "float32")
    )

    def initial(self, num_envs: int, seed: Seed) -> Any:
        position = 0.2 * random.uniform((num_envs, 1), seed) - 0.6
        return ops.cast(ops.concatenate([position, ops.zeros_like(position)], axis=-1), self.dtype)

    def transition(self, state: Any, action: Any, seed: Seed) -> Any:
        position, velocity = ops.unstack(state, axis=-1)
        velocity = velocity + (self.POWER * self._push(action) - self._pull(position))
        velocity = ops.clip(velocity, -LARGEST_SPEED, LARGEST_SPEED)
        position = ops.clip(position + velocity, LEAST_POSITION, LARGEST_POSITION)
        is_stopped = (position <= LEAST_POSITION) & (velocity < 0.0)  # by the wall
        return ops.stack([position, ops.where(is_stopped, ops.zeros_like(velocity), velocity)], axis=-1)

    def observation(self, state: Any) -> Any:
        return state

    def reward(self, state: Any, action: Any, next_state: Any) -> Tensor:
        return -ops.ones_like(next_state[:, 0])

    def terminal(self, state: Any) -> Tensor:
        return (state[:, 0] >= self.GOAL) & (state[:, 1] >= 0.0)

    def _push(self, action):
        return ops.cast(action - 1, self.dtype)

    def _pull(self, position):
        return SLOPE * ops.cos(3.0 * position)


class MountainCarContinuous(MountainCar):
    """Gymnasium's MountainCarContinuous-v0: the flag is worth 100, a push a tenth of its square less.

    As there, states have the precision of float32, whatever their dtype.
    """

    id = "MountainCarContinuous-v0"
    max_episode_steps = 999
    GOAL, POWER = 0.45, 0.0015
    action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,))

    def reward(self, state: Any, action: Any, next_state: Any) -> Tensor:
        return 100.0 * ops.cast(self.terminal(next_state), self.dtype) - 0.1 * ops.square(
            ops.cast(action[:, 0], self.dtype)
        )

    def transition(self, state: Any, action: Any, seed: Seed) -> Any:
        return ops.cast(super().transition(ops.cast(state, "float32"), action, seed), self.dtype)

    def _push(self, action):
        return ops.clip(action[:, 0], -1.0, 1.0)

    def _pull(self, position):
        return ops.cast(SLOPE * ops.cos(ops.cast(3.0 * position, "float64")), "float32")
