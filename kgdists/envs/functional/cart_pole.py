"""A pole on a cart (Barto et al. 1983)."""

import math
from typing import Any

import gymnasium
import numpy as np
from keras import ops

from kgdists import random
from kgdists.core.types import Seed, Tensor
from kgdists.envs.functional.classic_control import ClassicControl, symmetric_box

__all__ = ["CartPole"]

GRAVITY = 9.8
MASS_POLE, MASS = 0.1, 1.1  # of the pole, of pole and cart
HALF_LENGTH = 0.5
FORCE = 10.0
TIME_STEP = 0.02
LARGEST_POSITION, LARGEST_ANGLE = 2.4, 12 * 2 * math.pi / 360


class CartPole(ClassicControl):
    """Gymnasium's CartPole-v1: push the cart left or right, and keep the pole upright.

    A state [N, 4] is position, velocity, angle and angular velocity. Euler steps of 0.02 s; each is worth 1.
    """

    id = "CartPole-v1"
    max_episode_steps = 500
    action_space = gymnasium.spaces.Discrete(2)

    observation_space = symmetric_box(2 * LARGEST_POSITION, np.inf, 2 * LARGEST_ANGLE, np.inf)

    def initial(self, num_envs: int, seed: Seed) -> Any:
        return ops.cast(0.1 * random.uniform((num_envs, 4), seed) - 0.05, self.dtype)

    def transition(self, state: Any, action: Any, seed: Seed) -> Any:
        x, velocity, angle, spin = ops.unstack(state, axis=-1)
        force = ops.cast(ops.where(action == 1, FORCE, -FORCE), self.dtype)
        cosine, sine = ops.cos(angle), ops.sin(angle)
        pushed = (force + MASS_POLE * HALF_LENGTH * ops.square(spin) * sine) / MASS
        inertia = HALF_LENGTH * (4.0 / 3.0 - MASS_POLE * ops.square(cosine) / MASS)
        spin_rate = (GRAVITY * sine - cosine * pushed) / inertia
        acceleration = pushed - MASS_POLE * HALF_LENGTH * spin_rate * cosine / MASS
        rates = ops.stack([velocity, acceleration, spin, spin_rate], axis=-1)
        return state + TIME_STEP * rates

    def observation(self, state: Any) -> Any:
        return state

    def reward(self, state: Any, action: Any, next_state: Any) -> Tensor:
        return ops.ones_like(next_state[:, 0])

    def terminal(self, state: Any) -> Tensor:
        return (ops.abs(state[:, 0]) > LARGEST_POSITION) | (ops.abs(state[:, 2]) > LARGEST_ANGLE)
