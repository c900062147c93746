"""Stepping environments: vector environments with same-step autoreset, rollouts and evaluation episodes."""

import functools
from collections import deque

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from keras import tree

from kgdists.agents.masks import ActionMask, observes_mask
from kgdists.evaluation import Evaluation
from kgdists.spaces import decode_action

__all__ = ["Evaluation", "Rollouts", "copied", "evaluate", "make_env", "make_envs"]


def make_envs(env, num_envs):
    """Make `num_envs` copies of an environment, stepped together, whose observations are arrays of numbers.

    They reset in the very step in which an episode ends and hand out its final observation in the info, so that no
    reset step ever counts as a step of the environment. Where they observe an action mask, `ActionMask` keeps it apart.

    Parameters
    ----------
    env : str, callable or gymnasium.vector.VectorEnv
        An id, a function that makes one `gymnasium.Env`, or a vector environment of that autoreset mode.
    num_envs : int, >= 1

    Returns
    -------
    gymnasium.vector.VectorEnv

    Raises
    ------
    ValueError
        For a single environment or a vector environment of another autoreset mode.
    """
    if isinstance(env, VectorEnv):
        _check_vector_env(env)
        return env
    if isinstance(env, gymnasium.Env) or not (isinstance(env, str) or callable(env)):
        raise ValueError(
            f"`env` must be an id, a function that makes an environment, or a VectorEnv. Received: {env!r}"
        )
    if not isinstance(num_envs, int) or num_envs < 1:
        raise ValueError(f"`num_envs` must be an int >= 1. Received: num_envs={num_envs!r}")

    # Gymnasium's checks of an environment cost time at each step: one of the copies is enough.
    makers = [functools.partial(make_env, env, is_checked=i == 0) for i in range(num_envs)]
    return SyncVectorEnv(makers, autoreset_mode=AutoresetMode.SAME_STEP)


def make_env(env, is_checked=False):
    """Make one environment as those of `make_envs`, of an id or a function that makes one.

    Parameters
    ----------
    env : str or callable
    is_checked : bool
        Whether Gymnasium checks what an environment of an id does.

    Returns
    -------
    gymnasium.Env
    """
    single = gymnasium.make(env, disable_env_checker=not is_checked) if isinstance(env, str) else env()
    space = single.observation_space
    if isinstance(space, Box) or observes_mask(space, single.action_space):
        return single
    has_mask = isinstance(space, Dict) and "action_mask" in space.keys()
    return ActionMask(single) if has_mask else gymnasium.wrappers.FlattenObservation(single)


def _check_vector_env(envs):
    mode = envs.metadata.get("autoreset_mode")
    if mode != AutoresetMode.SAME_STEP:
        raise ValueError(
            "A VectorEnv must reset in the step in which an episode ends: make it with "
            f"`autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP`. Received: {mode}"
        )
    space = envs.single_observation_space
    if not isinstance(space, Box) and not observes_mask(space, envs.single_action_space):
        raise ValueError(
            "A VectorEnv must observe a Box: wrap its environments in `gymnasium.wrappers.FlattenObservation`, or in "
            f"`kgdists.agents.ActionMask`. Received: {space}"
        )


class Rollouts:
    """Fixed-length pieces of the experience of vector environments, one after the other.

    Parameters
    ----------
    envs : gymnasium.vector.VectorEnv
        As `make_envs` returns them.
    n_steps : int
        Length T of a rollout.
    seed : None or int
        Of the environments' first reset.
    """

    def __init__(self, envs, n_steps, seed=None):
        self.envs = envs
        self.n_steps = n_steps
        self.seed = seed
        self.observations = None
        self.recent_returns = deque(maxlen=100)
        self.recent_lengths = deque(maxlen=100)

    def reset(self):
        """Start new episodes in all environments."""
        observations, _ = self.envs.reset(seed=self.seed)
        self.seed = None
        self.observations = copied(observations)
        self._returns = np.zeros(self.envs.num_envs)
        self._lengths = np.zeros(self.envs.num_envs, int)

    def collect(self, act):
        """Step the environments T times.

        Parameters
        ----------
        act : callable
            Observations [N, *shape], with masks dicts as `ActionMask` makes them, -> actions of the policy's
            distribution: an array or tensor of shape [N, ...], or nested ones.

        Returns
        -------
        tuple of arrays, shape [T, N, ...], or dicts and tuples of them
            observations, actions, rewards, next observations (final ones at the end of an episode), terminated,
            truncated.
        """
        if self.observations is None:
            self.reset()
        space, rows = self.envs.single_action_space, []
        for _ in range(self.n_steps):
            actions = act(self.observations)
            observations, rewards, terminated, truncated, info = self.envs.step(decode_action(space, actions))
            observations = next_observations = copied(observations)
            self._returns += rewards
            self._lengths += 1
            ended = terminated | truncated
            if ended.any():
                next_observations = _with_final(observations, ended, info)
                self.recent_returns.extend(self._returns[ended].tolist())
                self.recent_lengths.extend(self._lengths[ended].tolist())
                self._returns[ended] = 0.0
                self._lengths[ended] = 0
            rows.append(
                (self.observations, actions, rewards.copy(), next_observations, terminated.copy(), truncated.copy())
            )
            self.observations = observations
        return tuple(tree.map_structure(lambda *x: np.stack(x), *column) for column in zip(*rows, strict=True))


def copied(observations):
    """Observations as float32; copies, because the arrays may be used again."""
    if not isinstance(observations, dict):
        return observations.astype("float32")
    mask = tree.map_structure(np.copy, observations["action_mask"])
    return {"observation": observations["observation"].astype("float32"), "action_mask": mask}


def _with_final(observations, ended, info):
    observations = tree.map_structure(np.copy, observations)
    for i in np.flatnonzero(ended):
        for x, final in zip(tree.flatten(observations), tree.flatten(info["final_obs"][i]), strict=True):
            x[i] = final
    return observations


def evaluate(envs, act, episodes, seed=None):
    """Play whole episodes; how many in which environment is settled before, so that short ones are not favoured.

    Parameters
    ----------
    envs : gymnasium.vector.VectorEnv
        As `make_envs` returns them.
    act : callable
        As for `Rollouts.collect`.
    episodes : int, >= 1
    seed : None or int, >= 0

    Returns
    -------
    Evaluation
    """
    if not isinstance(episodes, int) or episodes < 1:
        raise ValueError(f"`episodes` must be an int >= 1. Received: episodes={episodes!r}")
    if seed is not None and (not isinstance(seed, int) or seed < 0):
        raise ValueError(f"`seed` must be None or an int >= 0. Received: seed={seed!r}")
    num_envs, space = envs.num_envs, envs.single_action_space
    left = np.full(num_envs, episodes // num_envs) + (np.arange(num_envs) < episodes % num_envs)
    returns, lengths = [], []
    total, length = np.zeros(num_envs), np.zeros(num_envs, int)
    observations, _ = envs.reset(seed=seed)
    while left.any():
        actions = decode_action(space, tree.map_structure(np.asarray, act(copied(observations))))
        observations, rewards, terminated, truncated, _ = envs.step(actions)
        total += rewards
        length += 1
        ended = terminated | truncated
        counted = ended & (left > 0)
        returns.extend(total[counted].tolist())
        lengths.extend(length[counted].tolist())
        left[counted] -= 1
        total[ended] = length[ended] = 0
    return Evaluation(tuple(returns), tuple(lengths))
