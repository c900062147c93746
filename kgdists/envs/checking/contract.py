"""Findings about what `reset` and `step` return, beyond what a `CheckedEnv` refuses.

Each function takes the observation space and two moments, the present one and the one before it or None, and returns
a line or None.
"""

from collections.abc import Mapping

import gymnasium
import numpy as np
from gymnasium.spaces import Dict

from kgdists.core.checks import in_short
from kgdists.envs.checking.leaves import boxes, place
from kgdists.envs.checking.trial import Moment

__all__ = ["action_mask", "bounds", "buffer", "dtype", "flag", "info", "reward", "unknown_key"]


def dtype(space: gymnasium.Space, moment: Moment, before: Moment | None) -> str | None:
    """Arrays of another dtype than their space, or no arrays at all."""
    for name, box, x in boxes(space, moment.returned[0]):
        found = f"has dtype {x.dtype}" if isinstance(x, (np.ndarray, np.generic)) else f"is a {type(x).__name__}"
        if not isinstance(x, np.ndarray) or x.dtype != box.dtype:
            return f"`{name}` {found}, and is cast at each step: return an array of {box.dtype}, as its space says"
    return None


def bounds(space: gymnasium.Space, moment: Moment, before: Moment | None) -> str | None:
    """Numbers outside of their Box."""
    for name, box, x in boxes(space, moment.returned[0]):
        x = np.asarray(x)
        outside = (x < box.low) | (x > box.high)
        if outside.any():
            at = tuple(np.argwhere(outside)[0])
            low, high = box.low[at], box.high[at]
            return (
                f"{place(name, outside)} left the bounds of its Box at step {moment.step}, {x[at]:.6g} is not in "
                f"[{low:.6g}, {high:.6g}]: widen the bounds or clip the observation"
            )
    return None


def buffer(space: gymnasium.Space, moment: Moment, before: Moment | None) -> str | None:
    """Memory that is handed out again and written to."""
    if before is None:
        return None
    now, then = boxes(space, before.returned[0]), boxes(space, before.kept)
    for (name, _, x), (_, _, kept) in zip(now, then, strict=True):
        if not np.array_equal(x, kept, equal_nan=True):
            return (
                f"`{name}` was changed after it had been returned: return a copy, on which others can rely "
                "(agents make one of their own)"
            )
    return None


def unknown_key(space: gymnasium.Space, moment: Moment, before: Moment | None) -> str | None:
    """Keys of a dict that its space does not have."""
    if not isinstance(space, Dict):
        return None
    unknown = [key for key in moment.returned[0] if key not in space.keys()]
    if not unknown:
        return None
    return f"the observation has {unknown[0]!r}, which its space lacks and agents do not see: add it to the Dict"


def reward(space: gymnasium.Space, moment: Moment, before: Moment | None) -> str | None:
    """Rewards that are no plain numbers."""
    if moment.step == 0:
        return None
    x = moment.returned[1]
    if isinstance(x, (int, float, np.integer, np.floating)):
        return None
    return f"the reward is {in_short(x)}, of type {type(x).__name__}: return a float"


def flag(space: gymnasium.Space, moment: Moment, before: Moment | None) -> str | None:
    """Flags that are no bools."""
    if moment.step == 0:
        return None
    for name, x in zip(("terminated", "truncated"), moment.returned[2:4], strict=True):
        if not isinstance(x, (bool, np.bool_)):
            return f"`{name}` is {in_short(x)}, of type {type(x).__name__}: return a bool"
    return None


def info(space: gymnasium.Space, moment: Moment, before: Moment | None) -> str | None:
    """Infos that are no dicts."""
    if isinstance(moment.info, dict):
        return None
    method = "step" if moment.step else "reset"
    return f"the info of `{method}` is {in_short(moment.info)}: return a dict, which wrappers of Gymnasium write to"


def action_mask(space: gymnasium.Space, moment: Moment, before: Moment | None) -> str | None:
    """A mask in the info, which agents see only where it is part of the observation."""
    is_observed = isinstance(space, Dict) and "action_mask" in space.keys()
    if is_observed or not isinstance(moment.info, Mapping) or "action_mask" not in moment.info:
        return None
    return (
        "the info has an action mask, which agents do not see: wrap the environment in `kgdists.envs.ActionMask` so "
        "that no other action is taken"
    )
