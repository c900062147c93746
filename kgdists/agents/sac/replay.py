"""The replay for what is observed: rows of floats, or frames that are held once; memory is asked for before."""

import math
from typing import Any

import numpy as np
from keras import tree

from kgdists.agents.sac.frame_replay import FrameReplay
from kgdists.agents.sac.replay_buffer import ReplayBuffer
from kgdists.core import memory
from kgdists.policy import split_mask

__all__ = ["make_replay"]

SHARE = 0.9  # of the memory that is there; networks and batches need some, too


def make_replay(
    example: tuple[Any, Any], buffer_size: int, num_envs: int, has_gaps: bool = False
) -> ReplayBuffer | FrameReplay:
    """A replay for observations and actions like an example of one environment.

    Vectors of floats, with action masks or without, are rows of one matrix; of all else a frame is held once, in its
    own dtype.

    Parameters
    ----------
    example : nested arrays, shape [1, ...]
        Observations and actions, a pair.
    buffer_size : int, >= 1
        Steps of all environments together.
    num_envs : int, >= 1
    has_gaps : bool
        Whether some of what is added is no step of an episode; see `ReplayBuffer`.

    Raises
    ------
    ValueError
        For frames with gaps.
    NotEnoughMemoryError
        If so many steps take more memory than nine tenths of what is there, before any is taken.
    """
    observation, _ = split_mask(example[0])
    are_vectors = all(x.ndim <= 2 and np.issubdtype(x.dtype, np.floating) for x in tree.flatten(observation))
    kind = ReplayBuffer if are_vectors else FrameReplay
    _check_memory(lambda capacity: kind.nbytes(example, capacity, num_envs), buffer_size)
    if kind is ReplayBuffer:
        return ReplayBuffer(example, buffer_size, num_envs, has_gaps)
    if has_gaps:
        raise ValueError(
            "SAC replays other observations than vectors of floats only of environments that start a new episode in "
            "the step in which one ends: make the VectorEnv with `AutoresetMode.SAME_STEP`. Received: one that starts "
            "it a step later"
        )
    return FrameReplay(example, buffer_size, num_envs)


def _check_memory(nbytes, buffer_size):
    available, needed = memory.available(), nbytes(buffer_size)
    if available is None or needed <= SHARE * available:
        return
    fitting = _rounded_down(buffer_size * SHARE * available / needed)
    advice = f"; buffer_size={fitting} fits" if fitting and nbytes(fitting) <= SHARE * available else ""
    raise memory.NotEnoughMemoryError(
        f"A replay of `buffer_size` steps must fit into memory, with a tenth to spare: it needs "
        f"{needed / 2**30:.1f} GiB, and {available / 2**30:.1f} GiB are there{advice}. "
        f"Received: buffer_size={buffer_size}"
    )


def _rounded_down(x):
    """The largest number of two digits and zeros that is not above."""
    unit = 10 ** max(0, int(math.log10(max(x, 1.0))) - 1)
    return int(x // unit * unit)
