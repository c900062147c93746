"""Whole episodes, for what they come to."""

import numpy as np
from keras import tree

from kgdists.core.checks import count
from kgdists.envs.checked_vector_env import check_reset, check_step
from kgdists.envs.evaluation import Evaluation, step_limit
from kgdists.envs.rollout import copied
from kgdists.random.seeds import stream
from kgdists.spaces import decode_action

__all__ = ["evaluate"]


def evaluate(envs, act, episodes, seed=None, max_steps=None):
    """Play whole episodes; how many in which environment is settled before, so that short ones are not favoured.

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
    episodes = count("episodes", episodes)
    seed = stream(count("seed", seed, least=0, optional=True), "evaluation")
    num_envs, space, max_steps = envs.num_envs, envs.single_action_space, step_limit(envs, max_steps)
    is_checked = envs.metadata.get("is_checked")
    left = np.full(num_envs, episodes // num_envs) + (np.arange(num_envs) < episodes % num_envs)
    returns, lengths, cut = [], [], 0
    while left.any():
        total, length = np.zeros(num_envs), np.zeros(num_envs, int)
        returned = envs.reset(seed=seed)
        observations = copied(returned[0] if is_checked else check_reset(envs, returned))
        seed, plays = None, left > 0
        while plays.any():
            actions = decode_action(space, tree.map_structure(np.asarray, act(observations)))
            returned = envs.step(actions)
            observations, rewards, terminated, truncated, _ = returned if is_checked else check_step(envs, returned)
            observations = copied(observations)
            total += rewards
            length += 1
            is_cut = ~(terminated | truncated) & (length >= max_steps)
            ended = terminated | truncated | is_cut
            counted = ended & plays
            returns.extend(total[counted].tolist())
            lengths.extend(length[counted].tolist())
            cut += np.count_nonzero(is_cut & plays)
            left[counted] -= 1
            plays &= (left > 0) & ~is_cut
            total[ended] = length[ended] = 0
    return Evaluation(tuple(returns), tuple(lengths), int(cut))
