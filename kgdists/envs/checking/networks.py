"""Findings about what a policy for the environment is made of: its head, its encoder, and memory for its replay.

Each function returns a line or None.
"""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Tuple
from keras import tree

from kgdists.encoders import encoder_for, example_observation
from kgdists.envs.checking.report import counted
from kgdists.envs.checking.trial import Moment
from kgdists.spaces import head_for

__all__ = ["acting", "encoder", "head", "memory", "observing", "unbounded"]

REPLAYED = 1_000_000  # steps that SAC keeps unless it is told otherwise
MUCH = 4 * 2**30  # bytes
WIDE = 1e4  # an action's range, within which its scale is lost


def head(space: gymnasium.Space) -> str | None:
    """An action space that no head is known for."""
    return _refusal(head_for, space)


def encoder(space: gymnasium.Space) -> str | None:
    """An observation space that no encoder is known for, without its mask."""
    return _refusal(encoder_for, space)


def _refusal(layer_for, space):
    try:
        layer_for(space)
    except ValueError as error:
        return " ".join(str(error).split())
    return None


def acting(space: gymnasium.Space) -> str:
    """Name the head that acts in a space."""
    return "acts" + _by(head_for, space)


def observing(space: gymnasium.Space) -> str:
    """Say how many numbers an observation has, and which encoder takes them in."""
    numbers = sum(x.size for x in tree.flatten(example_observation(space)))
    return f"observes {counted(numbers, 'number')}" + _by(encoder_for, space)


def _by(layer_for, space):
    return "" if _refusal(layer_for, space) else f" through {type(layer_for(space)).__name__}"


def unbounded(space: gymnasium.Space, name: str = "action") -> str | None:
    """Actions without bounds that tell their scale; where there are any, the default head scales by them."""
    if isinstance(space, (Dict, Tuple)):
        parts = space.items() if isinstance(space, Dict) else enumerate(space.spaces)
        return next(filter(None, (unbounded(branch, f"{name}[{key!r}]") for key, branch in parts)), None)
    if not isinstance(space, Box) or space.dtype.kind != "f":
        return None
    widths = np.asarray(space.high, "float64") - space.low
    if np.isfinite(widths).all() and (widths <= WIDE).all():
        return None
    return (
        f"`{name}` has bounds that tell no scale, [{space.low.min():g}, {space.high.max():g}]: give it those that "
        "matter, since the default policy starts all over a bounded range, and else within about 1 of 0 or of its one "
        "bound"
    )


def memory(moment: Moment) -> str | None:
    """Observations that fill the memory when SAC replays them."""
    size = sum(np.asarray(x).nbytes for x in tree.flatten(moment.observation))
    total = size * REPLAYED
    if total <= MUCH:
        return None
    fits = MUCH // size
    return (
        f"an observation takes {size:,} bytes, so that SAC's replay of {REPLAYED:,} steps would take "
        f"{total / 2**30:.0f} GiB: train with `buffer_size` such as {_rounded(fits):,}"
    )


def _rounded(n):
    """The first digit of a number, and zeros."""
    power = 10 ** (len(str(n)) - 1)
    return n // power * power
