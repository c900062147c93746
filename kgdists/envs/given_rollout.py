"""Rollouts that are handed to an agent, in place of those that it collects."""

from typing import Any

import numpy as np
from keras import tree

__all__ = ["as_rollout"]


def as_rollout(
    example: Any,
    num_envs: int,
    n_steps: int | None,
    observations: Any,
    actions: Any,
    rewards: Any,
    next_observations: Any,
    *flags: Any,
) -> tuple[Any, ...]:
    """A rollout as `Rollouts.collect` returns it, of arrays, tensors or lists.

    Parameters
    ----------
    example : (nested) arrays, shape [1, *shape]
        Like the observations.
    num_envs : int
    n_steps : None or int
        The steps there must be; None is any number of them.

    Raises
    ------
    ValueError
        If it is not of T steps of N environments, or not of such observations.
    """
    observations, actions, next_observations = (
        tree.map_structure(np.asarray, np.asarray(x) if isinstance(x, list) else x)
        for x in (observations, actions, next_observations)
    )
    rewards, flags = np.asarray(rewards, "float32"), tuple(np.asarray(x, bool) for x in flags)
    rollout = observations, actions, rewards, next_observations, *flags
    shapes = {x.shape[:2] for x in tree.flatten(rollout)}
    if len(shapes) > 1 or any(x.ndim != 2 for x in (rewards, *flags)) or rewards.shape[1:] != (num_envs,):
        is_rollout = False
    else:
        is_rollout = len(rewards) == n_steps if n_steps else len(rewards) > 0
    if not is_rollout:
        steps = f"`n_steps` = {n_steps}" if n_steps else "T"
        raise ValueError(
            f"`update` needs a rollout of {steps} steps of `num_envs` environments, arrays "
            f"[{n_steps or 'T'}, {num_envs}, ...]. Received: {', '.join(map(str, sorted(shapes)))}"
        )
    wanted = [x.shape[1:] for x in tree.flatten(example)]
    for name, x in (("observations", observations), ("next_observations", next_observations)):
        found = [leaf.shape[2:] for leaf in tree.flatten(x)]
        if found != wanted:
            raise ValueError(
                f"`{name}` must be of shape [T, N, ...] with ... as the policy's inputs, "
                f"{', '.join(map(str, wanted))}. Received: {', '.join(map(str, found))}"
            )
    return rollout
