"""What Gymnasium's classic environments have in common here: numbers of one dtype, and Gymnasium's drawing."""

import functools
from typing import Any

import gymnasium
import numpy as np

from kgdists.envs.functional.compiled_env import CompiledEnv

__all__ = ["ClassicControl", "symmetric_box"]


class ClassicControl(CompiledEnv):
    """An environment of Gymnasium's, by the same equations.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        Of the state.
    """

    def __init__(self, dtype: str = "float32") -> None:
        self.dtype = dtype

    def render(self, state: Any) -> np.ndarray:
        """The picture that Gymnasium draws of a state."""
        env = _drawing(self.id)
        env.state = np.asarray(state)
        return np.asarray(env.render())


@functools.cache
def _drawing(env_id):
    env: Any = gymnasium.make(env_id, render_mode="rgb_array").unwrapped
    env.reset()  # which sets what else is drawn
    return env


def symmetric_box(*bounds: float) -> gymnasium.spaces.Box:
    """Float32 vectors whose numbers are at most these, and at least their negatives."""
    high = np.array(bounds, "float32")
    return gymnasium.spaces.Box(-high, high)
