"""Rollouts of heavy observations, such as images: each is held once."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from keras import tree

from kgdists.core import memory

__all__ = ["HEAVY", "Frames", "as_frames", "check_room", "is_heavy", "stack_frames"]

HEAVY = 4096  # bytes of an observation, from which memory counts more than simple programs
SHARE = 0.9  # of the memory that is there; networks and batches need some, too
ALIGNMENT = 64  # bytes: tensors share the memory of such arrays, and copy others


class Frames(NamedTuple):
    """A rollout of T steps of N environments.

    Attributes
    ----------
    frames : (nested) arrays, shape [T + 1, N, ...]
        Observations: step t leads from the t-th to the next.
    finals : (nested) arrays, shape [F, ...]
        Where a step led elsewhere: the last observations of episodes that were cut off. More rows stand behind them, so
        that there are few different F.
    final_at : int array, shape [F]
        After which step of the T N they were observed; T N for the rows behind.
    actions : (nested) arrays, shape [T, N, ...]
    rewards : float32 array, shape [T, N]
    terminated, truncated : bool arrays, shape [T, N]
    is_step : tuple of bool arrays, shape [T, N]
        None or one, as the last of what `Rollouts.collect` returns.
    """

    frames: Any
    finals: Any
    final_at: np.ndarray
    actions: Any
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    is_step: tuple[np.ndarray, ...] = ()


def is_heavy(example: Any) -> bool:
    """Whether an observation, (nested) arrays, has more than 4,096 bytes."""
    return sum(x.nbytes for x in tree.flatten(example)) > HEAVY


def check_room(example: Any, n_steps: int, num_envs: int) -> None:
    """Raise `NotEnoughMemoryError` if a rollout of such observations does not fit, before any memory is taken.

    Parameters
    ----------
    example : (nested) arrays, shape [1, ...]
    n_steps, num_envs : int, >= 1
        T and N.
    """
    available, of_step = memory.available(), num_envs * sum(x.nbytes for x in tree.flatten(example))
    needed = (n_steps + 1) * of_step
    if available is None or needed <= SHARE * available:
        return
    fitting = int(SHARE * available / of_step) - 1
    advice = f"at most {fitting:,} fit" if fitting > 0 else "take fewer environments or smaller observations"
    raise memory.NotEnoughMemoryError(
        f"`n_steps` steps of {num_envs} environments must fit into memory: they take {needed / 2**30:.2f} GiB, and "
        f"{available / 2**30:.2f} GiB are available; {advice}. Received: n_steps={n_steps}"
    )


def stack_frames(steps: Iterable[tuple[Any, ...]], n_steps: int) -> Frames:
    """A rollout of steps that are taken one by one.

    Parameters
    ----------
    steps : iterable of tuples
        (Nested) arrays [N, ...], in the order of `Rollouts.collect`.
    n_steps : int, >= 1
        How many, T.
    """
    frames, others, finals, final_at = None, [], [], []
    for t, (observations, *rest) in enumerate(steps):
        actions, rewards, next_observations, terminated, truncated, *is_step = rest
        if frames is None:
            frames = tree.map_structure(lambda x: _aligned((n_steps + 1, *x.shape), x.dtype), observations)
        _write(frames, t, observations)
        if t == n_steps - 1:
            _write(frames, n_steps, next_observations)
        else:
            for i in np.flatnonzero(truncated & ~terminated).tolist():
                finals.append(tree.map_structure(lambda x, i=i: x[i].copy(), next_observations))
                final_at.append(t * len(rewards) + i)
        others.append((actions, rewards, terminated, truncated, *is_step))
    columns = (tree.map_structure(lambda *x: np.stack(x), *column) for column in zip(*others, strict=True))
    return _frames(frames, finals, final_at, *columns)


def as_frames(
    observations: Any,
    actions: Any,
    rewards: np.ndarray,
    next_observations: Any,
    terminated: np.ndarray,
    truncated: np.ndarray,
    *is_step: np.ndarray,
) -> Frames:
    """The same of a rollout that holds next observations too: (nested) arrays [T, N, ...]."""
    last = tree.map_structure(lambda x: x[-1:], next_observations)
    frames = tree.map_structure(_joined, observations, last)
    leads_on = np.ones(rewards.shape, bool)
    for x, following in zip(tree.flatten(frames), tree.flatten(next_observations), strict=True):
        for t in range(len(rewards)):
            leads_on[t] &= (x[t + 1] == following[t]).reshape(len(leads_on[t]), -1).all(axis=1)
    at = np.argwhere(~leads_on & ~terminated)
    finals = [tree.map_structure(lambda x, t=t, i=i: x[t, i], next_observations) for t, i in at.tolist()]
    return _frames(frames, finals, at @ [rewards.shape[1], 1], actions, rewards, terminated, truncated, *is_step)


def _frames(frames, finals, final_at, actions, rewards, terminated, truncated, *is_step):
    num_envs = rewards.shape[1]
    rows = num_envs * 2 ** max(0, math.ceil(math.log2(max(1, len(finals)) / num_envs)))
    finals = finals + [tree.map_structure(lambda x: x[0, 0], frames)] * (rows - len(finals))
    index = np.full(rows, rewards.size, "int32")
    index[: len(final_at)] = final_at
    stacked = tree.map_structure(lambda *x: np.stack(x), *finals)
    return Frames(frames, stacked, index, actions, np.asarray(rewards, "float32"), terminated, truncated, is_step)


def _write(frames, t, observations):
    for x, now in zip(tree.flatten(frames), tree.flatten(observations), strict=True):
        x[t] = now


def _joined(x, last):
    made = _aligned((len(x) + 1, *x.shape[1:]), x.dtype)
    made[:-1], made[-1:] = x, last
    return made


def _aligned(shape, dtype):
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + ALIGNMENT, "uint8")
    first = -memory.ctypes.data % ALIGNMENT
    return memory[first : first + size].view(dtype).reshape(shape)
