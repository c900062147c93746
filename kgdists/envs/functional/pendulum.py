"""A pendulum that is swung up."""

import math
from typing import Any

import numpy as np
from keras import ops

from kgdists import random
from kgdists.core.types import Seed, Tensor
from kgdists.envs.functional.classic_control import ClassicControl, symmetric_box

__all__ = ["Pendulum"]

GRAVITY = 10.0
TIME_STEP = 0.05
LARGEST_TORQUE, LARGEST_SPIN = 2.0, 8.0


class Pendulum(ClassicControl):
    """Gymnasium's Pendulum-v1: turn the pendulum, of mass and length 1, upright by little torque.

    A state [N, 2] is the angle, 0 upright, and its velocity; cosine and sine of the angle are observed. A step costs
    the squares of the angle, of a tenth of the velocity and of a thousandth of the torque. It ends by its limit alone.
    """

    id = "Pendulum-v1"
    max_episode_steps = 200

    observation_space = symmetric_box(1.0, 1.0, LARGEST_SPIN)
    action_space = symmetric_box(LARGEST_TORQUE)

    def initial(self, num_envs: int, seed: Seed) -> Any:
        return ops.cast((2.0 * random.uniform((num_envs, 2), seed) - 1.0) * np.array([math.pi, 1.0]), self.dtype)

    def transition(self, state: Any, action: Any, seed: Seed) -> Any:
        angle, spin = ops.unstack(state, axis=-1)
        spin = spin + (1.5 * GRAVITY * ops.sin(angle) + ops.cast(3.0 * _torque(action), self.dtype)) * TIME_STEP
        spin = ops.clip(spin, -LARGEST_SPIN, LARGEST_SPIN)
        return ops.stack([angle + spin * TIME_STEP, spin], axis=-1)

    def observation(self, state: Any) -> Any:
        angle, spin = ops.unstack(state, axis=-1)
        return ops.stack([ops.cos(angle), ops.sin(angle), spin], axis=-1)

    def reward(self, state: Any, action: Any, next_state: Any) -> Tensor:
        angle, spin = ops.unstack(state, axis=-1)
        from_upright = ops.mod(angle + math.pi, 2 * math.pi) - math.pi
        effort = ops.cast(0.001 * ops.square(_torque(action)), self.dtype)
        return -(ops.square(from_upright) + 0.1 * ops.square(spin) + effort)

    def terminal(self, state: Any) -> Tensor:
        return ops.zeros_like(state[:, 0], "bool")


def _torque(action):
    return ops.clip(action[:, 0], -LARGEST_TORQUE, LARGEST_TORQUE)
