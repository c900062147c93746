"""Experience in whole episodes."""

import numpy as np
from keras import tree

__all__ = ["collect_episodes", "padded"]


def collect_episodes(rollouts, act, episodes):
    """Play new episodes to their end.

    How many in which environment is settled before, so that short ones are not favoured. The environments go on
    together until the last episode ends; what those play that are done before is no part of it.

    Parameters
    ----------
    rollouts : Rollouts
        Asked for its `n_steps` at a time. Its recent returns and lengths become those of the episodes wanted.
    act : callable
        As for `Rollouts.collect`.
    episodes : int, >= 1

    Returns
    -------
    experience : tuple of arrays, shape [T, N, ...], or dicts and tuples of them
        As `Rollouts.collect` returns them.
    is_wanted : bool array, shape [T, N]
        Which steps belong to the episodes wanted.
    """
    num_envs = rollouts.envs.num_envs
    wanted = np.full(num_envs, episodes // num_envs) + (np.arange(num_envs) < episodes % num_envs)
    recent = rollouts.recent_returns.copy(), rollouts.recent_lengths.copy()
    rollouts.reset()
    pieces, ended = [], np.zeros(num_envs, int)
    while (ended < wanted).any():
        pieces.append(rollouts.collect(act))
        ended += np.sum(pieces[-1][4] | pieces[-1][5], axis=0)
    experience = tuple(
        tree.map_structure(lambda *x: np.concatenate(x), *column) for column in zip(*pieces, strict=True)
    )
    _, _, rewards, _, terminated, truncated = experience
    ends = terminated | truncated
    before = np.cumsum(ends, axis=0) - ends  # episodes ended before the step
    is_wanted = before < wanted
    for deque, x in zip(recent, (rewards, np.ones_like(rewards)), strict=True):
        for i in range(num_envs):
            deque.extend(np.sum(x[before[:, i] == k, i]).item() for k in range(wanted[i]))
    rollouts.recent_returns, rollouts.recent_lengths = recent
    return experience, is_wanted


def padded(arrays, length):
    """(Nested) arrays [T, ...] with zeros behind, as long as the next power of two times `length`."""
    steps = len(tree.flatten(arrays)[0])
    more = length * 2 ** max(0, int(np.ceil(np.log2(steps / length)))) - steps
    return tree.map_structure(lambda x: np.pad(x, [(0, more)] + [(0, 0)] * (x.ndim - 1)), arrays)
