"""Stepping vector environments: rollouts and evaluation episodes."""

import warnings
from collections import deque

import numpy as np
from gymnasium.vector.utils import create_empty_array
from keras import tree

from kgdists.agents import episode_record
from kgdists.agents.files import RunWarning
from kgdists.agents.streams import stream
from kgdists.evaluation import Evaluation
from kgdists.spaces import decode_action

__all__ = ["Evaluation", "Rollouts", "copied", "evaluate"]


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
        self._is_whole = True

    @property
    def starts_anew(self):
        """Whether the next rollout starts new episodes: the first one, and any after one that was broken off.

        What was being stepped then may have moved on, or not: no step would lead from the last observation to the next.
        """
        return self.observations is None or not self._is_whole

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
        if self.starts_anew:
            self.reset()
        space, rows = self.envs.single_action_space, []
        self._is_whole = False
        for _ in range(self.n_steps):
            actions = act(self.observations)
            observations, rewards, terminated, truncated, info = self.envs.step(decode_action(space, actions))
            observations = next_observations = copied(observations)
            ended = terminated | truncated
            if ended.any():
                next_observations = _with_final(observations, ended, info)
            self._count(rewards, ended)
            rows.append(
                (self.observations, actions, rewards.copy(), next_observations, terminated.copy(), truncated.copy())
            )
            self.observations = observations
        self._is_whole = True
        return tuple(map(_stacked, zip(*rows, strict=True)))

    def _count(self, rewards, ended):
        self._returns += rewards
        self._lengths += 1
        if ended.any():
            self.recent_returns.extend(self._returns[ended].tolist())
            self.recent_lengths.extend(self._lengths[ended].tolist())
            self._returns[ended] = 0.0
            self._lengths[ended] = 0

    def arrays(self):
        """Name -> array of what the next rollout follows from, with environments that record their episodes."""
        arrays = {name: np.asarray(getattr(self, name)) for name in ("recent_returns", "recent_lengths")}
        if self.observations is None or not self._is_whole or not episode_record.records_episodes(self.envs):
            return arrays
        arrays |= {"returns": self._returns, "lengths": self._lengths}
        arrays |= {f"observations_{i}": x for i, x in enumerate(tree.flatten(self.observations))}
        return arrays | episode_record.arrays_of(self.envs)

    def restore(self, arrays, seed):
        """Go on where other rollouts gave these arrays, with the episodes that were being played, if they are known.

        Parameters
        ----------
        arrays : dict of str to array
        seed : None or int
            Of new episodes, where there have to be some.
        """
        for name in ("recent_returns", "recent_lengths"):
            setattr(self, name, deque(arrays[name].tolist(), maxlen=100))
        self.seed, self.observations = seed, None
        if "starts" not in arrays:
            return
        like = copied(create_empty_array(self.envs.single_observation_space, self.envs.num_envs))
        leaves = [arrays[f"observations_{i}"] for i in range(len(tree.flatten(like)))]
        observations, returns = tree.pack_sequence_as(like, leaves), arrays["returns"]
        if not episode_record.records_episodes(self.envs):
            warnings.warn(
                "The environments do not record their episodes: new ones are started", RunWarning, stacklevel=2
            )
            return
        self.observations, is_same = episode_record.replay(self.envs, arrays, observations, returns, seed)
        self.seed = None
        self._returns = np.where(is_same, returns, 0.0)
        self._lengths = np.where(is_same, arrays["lengths"], 0)
        new = np.flatnonzero(~is_same).tolist()
        if new:
            warnings.warn(
                f"Environments {new} do not repeat their episodes: new ones are started", RunWarning, stacklevel=2
            )


def _stacked(steps):
    if isinstance(steps[0], np.ndarray):  # in a fraction of the time
        return np.concatenate(steps).reshape(len(steps), *steps[0].shape)
    return tree.map_structure(lambda *x: np.stack(x), *steps)


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
    observations, _ = envs.reset(seed=stream(seed, "evaluation"))
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
