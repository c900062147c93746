"""The arrays of an observation, by the names under which its user knows them."""

from collections.abc import Iterator
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Tuple

__all__ = ["boxes", "place"]


def boxes(space: gymnasium.Space, x: Any, name: str = "observation") -> Iterator[tuple[str, Box, Any]]:
    """Find what an observation has in each `Box` of its space, without an action mask.

    Parameters
    ----------
    space : gymnasium.Space
    x : observation
        A value of the space.
    name : str

    Yields
    ------
    name, Box, value
    """
    if isinstance(space, Box):
        yield name, space, x
    elif isinstance(space, Dict):
        for key, branch in space.items():
            if (name, key) != ("observation", "action_mask"):
                yield from boxes(branch, x[key], f"{name}[{key!r}]")
    elif isinstance(space, Tuple):
        for i, branch in enumerate(space.spaces):
            yield from boxes(branch, x[i], f"{name}[{i}]")


def place(name: str, where: np.ndarray) -> str:
    """Name the first place of an array where a flag is true, and how many others there are."""
    found = np.argwhere(where)
    index = ", ".join(map(str, found[0].tolist()))
    others = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return f"`{name}[{index}]`{others}" if index else f"`{name}`"
