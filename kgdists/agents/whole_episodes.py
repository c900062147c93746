"""Experience in whole episodes."""

import warnings

import numpy as np
from keras import tree

from kgdists.agents.files import RunWarning
from kgdists.evaluation import step_limit

__all__ = ["collect_episodes", "padded"]


def collect_episodes(rollouts, act, episodes, max_steps=None):
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
    recent = rollouts.recent_returns.copy(), rollouts.recent_lengths.copy()
    rollouts.reset()
    limit, pieces = step_limit(rollouts.envs, max_steps), []
    ended, lengths, cut = np.zeros(num_envs, int), np.zeros(num_envs, int), np.zeros(num_envs, bool)
    while (ended < wanted).any():
        pieces.append(rollouts.collect(act))
        _, _, _, _, terminated, truncated = pieces[-1]
        for at_t, truncated_at_t in zip(terminated, truncated, strict=True):
            lengths += 1
            too_long = (lengths >= limit) & ~at_t & ~truncated_at_t & (ended < wanted)
            truncated_at_t |= too_long
            ends = at_t | truncated_at_t
            ended += ends
            lengths[ends] = 0
            wanted, cut = np.where(too_long, ended, wanted), cut | too_long
    if cut.any():
        warnings.warn(
            f"{np.count_nonzero(cut)} of {wanted.sum()} episodes were cut off after {limit} steps, where the "
            "environment does not end them; `max_steps` sets another limit",
            RunWarning,
            stacklevel=2,
        )
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
