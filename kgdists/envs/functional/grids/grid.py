"""What games on a grid have in common: sticky actions, cells of channels, a picture."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from keras import ops

from kgdists import random
from kgdists.core.types import Seed, Tensor
from kgdists.envs.functional.compiled_env import CompiledEnv

__all__ = ["SIZE", "Grid", "cells"]

SIZE = 10
STICKY = 0.1
CELL = 16  # pixels
COLORS = np.array(
    [
        [18, 22, 38],
        [94, 202, 148],
        [232, 90, 79],
        [120, 124, 150],
        [244, 196, 88],
        [88, 150, 222],
        [178, 120, 210],
        [240, 240, 240],
    ],
    "uint8",
)  # of an empty cell, and of the channels


class Grid(CompiledEnv):
    """A game whose state is a dict with `"last_action"`, and which observes bools [10, 10, channels].

    With probability `sticky_action_prob` the last action is taken once more, in place of the given one.

    Parameters
    ----------
    num_actions : int
    channels : sequence of str
        What is in a cell, or not.
    sticky_action_prob : float, in [0, 1]
    """

    def __init__(self, num_actions: int, channels: Sequence[str], sticky_action_prob: float = STICKY) -> None:
        if not 0.0 <= sticky_action_prob <= 1.0:
            raise ValueError(f"`sticky_action_prob` must be in [0, 1]. Received: {sticky_action_prob}")
        self.channels, self.sticky_action_prob = tuple(channels), sticky_action_prob
        self.action_space = gymnasium.spaces.Discrete(num_actions)
        self.observation_space = gymnasium.spaces.Box(0, 1, (SIZE, SIZE, len(channels)), bool)

    def taken(self, state: Any, action: Tensor, seed: Seed) -> Tensor:
        """The action that is taken, int32 [N]."""
        repeats = random.uniform(action.shape, seed) < self.sticky_action_prob
        return ops.where(repeats, state["last_action"], ops.cast(action, "int32"))

    def picture(self, channels: dict[str, Tensor]) -> Tensor:
        """An observation of channels [N, 10, 10], those that are observed."""
        return ops.stack([channels[name] for name in self.channels], axis=-1)

    def render(self, state: Any) -> Any:
        batch = {name: np.asarray(x)[None] for name, x in state.items()}
        channels = np.asarray(self.observation(batch))[0]
        kind = np.max(channels * np.arange(1, channels.shape[-1] + 1), axis=-1)
        return COLORS[kind].repeat(CELL, axis=0).repeat(CELL, axis=1)


def cells(y: Tensor, x: Tensor, where: Tensor | None = None) -> Tensor:
    """Which cells [N, 10, 10] are at `y`, `x`: ints [N], or [N, K] of which those count where a mask is true."""
    rows, columns = (ops.arange(SIZE) == ops.expand_dims(i, -1) for i in (y, x))
    found = ops.expand_dims(rows, -1) & ops.expand_dims(columns, -2)
    if where is not None:
        found = found & ops.expand_dims(ops.expand_dims(where, -1), -1)
    return ops.any(found, axis=1) if len(found.shape) == 4 else found
