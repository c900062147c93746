"""Experience: whole episodes, none of them favored for being short."""

import warnings
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from keras import tree

from kgdists.core.run_warning import RunWarning
from kgdists.core.types import Integer
from kgdists.envs.evaluation import step_limit
from kgdists.envs.rollout import Rollouts

__all__ = ["collect_episodes", "padded", "warn_of_cut"]


def collect_episodes(
    rollouts: Rollouts, act: Callable[[Any], Any], episodes: int, max_steps: Integer | None = None
) -> tuple[tuple[Any, ...], np.ndarray]:
    """Play new episodes to their end.

    How many in which environment is settled before, so that short ones are not favoured. The environments go on
    together until the last episode ends; what those play that are done before is no part of it. Where an episode does
    not end it is cut off, counts as truncated and is the last one of its environment, which a warning says.

    Parameters
    ----------
    rollouts : Rollouts
        Asked for its `n_steps` at a time. Its recent returns and lengths become those of the episodes wanted.
    act : callable
        As for `Rollouts.collect`.
    episodes : int, >= 1
    max_steps : None or int, >= 1
        Steps after which an episode is cut off; see `step_limit`.

    Returns
    -------
    experience : tuple of arrays, shape [T, N, ...], or dicts and tuples of them
        As `Rollouts.collect` returns them.
    is_wanted : bool array, shape [T, N]
        Which steps belong to the episodes wanted.
    """
    num_envs = rollouts.envs.num_envs
    wanted = np.full(num_envs, episodes // num_envs) + (np.arange(num_envs) < episodes % num_envs)
    recent: tuple[deque[Any], deque[Any]] = rollouts.recent_returns.copy(), rollouts.recent_lengths.copy()
    rollouts.reset()
    rollouts.infos.left = wanted
    limit = step_limit(rollouts.envs, max_steps)
    pieces: list[tuple[Any, ...]] = []
    ended, lengths, cut = np.zeros(num_envs, int), np.zeros(num_envs, int), np.zeros(num_envs, bool)
    while (ended < wanted).any():
        pieces.append(rollouts.collect(act))
        terminated, truncated, is_step = _flags(pieces[-1])
        for at_t, truncated_at_t, is_step_at_t in zip(terminated, truncated, is_step, strict=True):
            lengths += is_step_at_t
            too_long = (lengths >= limit) & ~at_t & ~truncated_at_t & (ended < wanted)
            truncated_at_t |= too_long
            ends = at_t | truncated_at_t
            ended += ends
            lengths[ends] = 0
            wanted, cut = np.where(too_long, ended, wanted), cut | too_long
    rollouts.infos.left = None
    if cut.any():
        warn_of_cut(int(np.count_nonzero(cut)), int(wanted.sum()), limit)
    experience = tuple(
        tree.map_structure(lambda *x: np.concatenate(x), *column) for column in zip(*pieces, strict=True)
    )
    experience, is_step = experience[:6], _flags(experience)[2]
    _, _, rewards, _, terminated, truncated = experience
    ends = terminated | truncated
    before = np.cumsum(ends, axis=0) - ends  # episodes ended before the step
    is_wanted = (before < wanted) & is_step
    for values, x in zip(recent, (rewards, is_step.astype(rewards.dtype)), strict=True):
        for i in range(num_envs):
            values.extend(np.sum(x[before[:, i] == k, i]).item() for k in range(wanted[i]))
    rollouts.recent_returns, rollouts.recent_lengths = recent
    return experience, is_wanted


def warn_of_cut(cut: int, episodes: int, limit: int) -> None:
    """Say that episodes were cut off after this many steps."""
    warnings.warn(
        f"{cut} of {episodes} episodes were cut off after {limit} steps, where the environment does not end them; "
        "`max_steps` sets another limit",
        RunWarning,
        stacklevel=3,
    )


def _flags(rollout):
    """Where episodes terminate, where they are truncated, and which steps are steps of one, bools [T, N]."""
    _, _, _, _, terminated, truncated, *is_step = rollout
    return terminated, truncated, is_step[0] if is_step else np.ones_like(terminated)


def padded(experience: Any, length: int) -> Any:
    """Arrays [T, ...] as `collect_episodes` returns them, with more steps behind: a power of two times `length` in all.

    Observations there are the last ones again, since zeros may be none; all else is zeros.
    """
    steps = len(tree.flatten(experience)[0])
    more = length * 2 ** max(0, int(np.ceil(np.log2(steps / length)))) - steps

    def behind(x, mode):
        return np.pad(x, [(0, more)] + [(0, 0)] * (x.ndim - 1), mode)

    observations, actions, rewards, next_observations, *others = experience
    observations, next_observations = (
        tree.map_structure(lambda x: behind(x, "edge"), part) for part in (observations, next_observations)
    )
    actions, rewards, *others = tree.map_structure(lambda x: behind(x, "constant"), (actions, rewards, *others))
    return observations, actions, rewards, next_observations, *others
