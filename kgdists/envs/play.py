"""Whole episodes, for what they come to."""

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from keras import tree

from kgdists.core.checks import count
from kgdists.core.types import Integer
from kgdists.envs.autoreset import kept_where, resets_late, start
from kgdists.envs.checked_vector_env import check_reset, check_step
from kgdists.envs.evaluation import Evaluation, step_limit
from kgdists.envs.rollout import copied
from kgdists.envs.sync_envs import SyncEnvs
from kgdists.random.seeds import stream
from kgdists.spaces import decode_action

__all__ = ["evaluate", "play"]


def evaluate(
    envs: VectorEnv,
    act: Callable[[Any], Any],
    episodes: Integer,
    seed: Integer | None = None,
    max_steps: Integer | None = None,
) -> Evaluation:
    """Play whole episodes; how many in which environment is settled before, so that short ones are not favored.

    Parameters
    ----------
    envs : gymnasium.vector.VectorEnv
        As `make_envs` returns them.
    act : callable
        As for `Rollouts.collect`.
    episodes : int, >= 1
    seed : None or int, >= 0
        Of the environments: episodes that no training with this seed, nor an evaluation with another, starts with.
    max_steps : None or int, >= 1
        Steps after which an episode is cut off and counted as `cut`; see `step_limit`. An environment whose episode
        was cut off waits until the others have played theirs, and all start anew.

    Returns
    -------
    Evaluation
    """
    seed = stream(count("seed", seed, least=0, optional=True), "evaluation")
    return play(envs, act, count("episodes", episodes), seed, step_limit(envs, max_steps))


def play(envs: VectorEnv, act: Callable[[Any], Any], episodes: int, seed: int | None, max_steps: int) -> Evaluation:
    """The same with the seed that the environments get, and the limit of steps; see `evaluate`.

    Environments that can be stepped one by one stand still once they have played their episodes.
    """
    num_envs, space = envs.num_envs, envs.single_action_space
    is_checked = envs.metadata.get("is_checked")
    one_by_one = envs if isinstance(envs, SyncEnvs) else None  # a wrapper around them must see each step
    is_late = resets_late(envs)
    left = np.full(num_envs, episodes // num_envs) + (np.arange(num_envs) < episodes % num_envs)
    returns: list[float] = []
    lengths: list[int] = []
    cut = 0
    while left.any():
        total, length = np.zeros(num_envs), np.zeros(num_envs, int)
        started: Any = start(envs, seed)
        observations = copied(started[0] if is_checked else check_reset(envs, started))
        seed, plays, starts = None, left > 0, np.zeros(num_envs, bool)  # whose step is none, but starts an episode
        while plays.any():
            actions = decode_action(space, tree.map_structure(np.asarray, act(observations)))
            returned = envs.step(actions) if one_by_one is None else one_by_one.step_where(actions, plays)
            following, rewards, terminated, truncated, _ = returned if is_checked else check_step(envs, returned)
            total += np.where(starts, 0.0, rewards)
            length += ~starts
            ends = (terminated | truncated) & ~starts
            is_cut = ~ends & (length >= max_steps)
            ended = ends | is_cut
            counted = ended & plays
            returns.extend(total[counted].tolist())
            lengths.extend(length[counted].tolist())
            cut += int(np.count_nonzero(is_cut & plays))
            left[counted] -= 1
            plays &= (left > 0) & ~is_cut
            total[ended] = length[ended] = 0
            if one_by_one is not None and (counted & plays).any():
                following = one_by_one.reset_where(counted & plays)
            following, starts = copied(following), ends & is_late
            observations = kept_where(starts, observations, following) if starts.any() else following
    return Evaluation(tuple(returns), tuple(lengths), cut)
