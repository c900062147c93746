"""Two links that are swung up by the joint between them (Sutton 1996)."""

import math
from typing import Any

import gymnasium
import numpy as np
from keras import ops

from kgdists import random
from kgdists.core.types import Seed, Tensor
from kgdists.envs.functional.classic_control import ClassicControl, symmetric_box

__all__ = ["Acrobot"]

GRAVITY = 9.8
TO_CENTER = 0.5  # from a link's joint to its center of mass; masses, lengths and moments of inertia are 1
TIME_STEP = 0.2
LARGEST_SPINS = np.array([4.0 * math.pi, 9.0 * math.pi])


class Acrobot(ClassicControl):
    """Gymnasium's Acrobot-v1: turn the joint by a torque of -1, 0 or 1 until the tip is above the bar.

    A state [N, 4] is two angles and their velocities. Runge-Kutta steps of fourth order over 0.2 s; each costs 1, but
    for the last.
    """

    id = "Acrobot-v1"
    max_episode_steps = 500
    action_space = gymnasium.spaces.Discrete(3)

    observation_space = symmetric_box(1.0, 1.0, 1.0, 1.0, *LARGEST_SPINS)

    def initial(self, num_envs: int, seed: Seed) -> Any:
        return ops.cast(0.2 * random.uniform((num_envs, 4), seed) - 0.1, self.dtype)

    def transition(self, state: Any, action: Any, seed: Seed) -> Any:
        torque = ops.cast(action - 1, self.dtype)
        slope_1 = _rates(state, torque)
        slope_2 = _rates(state + TIME_STEP / 2.0 * slope_1, torque)
        slope_3 = _rates(state + TIME_STEP / 2.0 * slope_2, torque)
        slope_4 = _rates(state + TIME_STEP * slope_3, torque)
        moved = state + TIME_STEP / 6.0 * (slope_1 + 2.0 * slope_2 + 2.0 * slope_3 + slope_4)
        angles, spins = moved[:, :2], moved[:, 2:]
        turns = ops.ceil((ops.abs(angles) - math.pi) / (2.0 * math.pi))  # whole ones too many
        angles = angles - 2.0 * math.pi * ops.sign(angles) * ops.maximum(turns, 0.0)
        bound = LARGEST_SPINS.astype(self.dtype)
        return ops.concatenate([angles, ops.clip(spins, -bound, bound)], axis=-1)

    def observation(self, state: Any) -> Any:
        first, second, spin_1, spin_2 = ops.unstack(state, axis=-1)
        parts = [ops.cos(first), ops.sin(first), ops.cos(second), ops.sin(second), spin_1, spin_2]
        return ops.stack(parts, axis=-1)

    def reward(self, state: Any, action: Any, next_state: Any) -> Tensor:
        return ops.where(self.terminal(next_state), 0.0, -1.0)

    def terminal(self, state: Any) -> Tensor:
        return -ops.cos(state[:, 0]) - ops.cos(state[:, 1] + state[:, 0]) > 1.0


def _rates(state, torque):
    """The velocities and accelerations of the angles, by the equations of Sutton and Barto's book."""
    first, second, spin_1, spin_2 = ops.unstack(state, axis=-1)
    cosine, sine = ops.cos(second), ops.sin(second)
    d_1 = TO_CENTER**2 + (1.0 + TO_CENTER**2 + 2.0 * TO_CENTER * cosine) + 2.0
    d_2 = TO_CENTER**2 + TO_CENTER * cosine + 1.0
    phi_2 = TO_CENTER * GRAVITY * ops.cos(first + second - math.pi / 2.0)
    phi_1 = (
        -TO_CENTER * ops.square(spin_2) * sine
        - 2.0 * TO_CENTER * spin_2 * spin_1 * sine
        + (TO_CENTER + 1.0) * GRAVITY * ops.cos(first - math.pi / 2.0)
        + phi_2
    )
    rest = torque + d_2 / d_1 * phi_1 - TO_CENTER * ops.square(spin_1) * sine - phi_2
    spin_rate_2 = rest / (TO_CENTER**2 + 1.0 - ops.square(d_2) / d_1)
    spin_rate_1 = -(d_2 * spin_rate_2 + phi_1) / d_1
    return ops.stack([spin_1, spin_2, spin_rate_1, spin_rate_2], axis=-1)
