"""Pictures of states, by Gymnasium's own drawing."""

import contextlib
from typing import Any

import gymnasium
import numpy as np

__all__ = ["drawn_by_gymnasium"]


def drawn_by_gymnasium(env_id: str, state: Any) -> np.ndarray:
    """A picture of a state of one of Gymnasium's classic environments.

    Parameters
    ----------
    env_id : str
    state : array
        As its attribute `state` has it.

    Returns
    -------
    uint8 array, shape [height, width, 3]
    """
    with contextlib.closing(gymnasium.make(env_id, render_mode="rgb_array")) as env:
        env.reset()
        inner: Any = env.unwrapped
        inner.state = np.asarray(state)
        return np.asarray(inner.render())
