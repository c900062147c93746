"""When vector environments start the episode after one that has ended: in that step, or one step later."""

import inspect
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from keras import tree

__all__ = ["kept_where", "mode_of", "resets_late", "start"]


def mode_of(envs: VectorEnv) -> AutoresetMode:
    """When a vector environment starts new episodes; one that does not say so does it one step later, as EnvPool does.

    Raises
    ------
    ValueError
        If its metadata have something else as `autoreset_mode`.
    """
    mode = (envs.metadata or {}).get("autoreset_mode")
    try:
        return AutoresetMode.NEXT_STEP if mode is None else AutoresetMode(mode)
    except ValueError as error:
        raise ValueError(
            f"`metadata['autoreset_mode']` must be a gymnasium.vector.AutoresetMode. Received: {mode!r}, of {envs}"
        ) from error


def resets_late(envs: VectorEnv) -> bool:
    """Whether the step after the end of an episode is none, but starts the next one."""
    return mode_of(envs) == AutoresetMode.NEXT_STEP


def start(envs: VectorEnv, seed: int | None = None) -> Any:
    """What `reset` of a vector environment returns, also of one that takes no seed."""
    takes_seed = isinstance(envs, VectorWrapper) or "seed" in inspect.signature(envs.reset).parameters
    return envs.reset(seed=seed) if takes_seed else envs.reset()


def kept_where(where: np.ndarray, kept: Any, others: Any) -> Any:
    """Rows of `kept` where a mask [N] is true, else of `others`: (nested) arrays [N, ...]."""

    def rows(x, y):
        return np.where(where.reshape(-1, *[1] * (y.ndim - 1)), x, y)

    return tree.map_structure(rows, kept, others)
