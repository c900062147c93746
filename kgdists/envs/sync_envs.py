"""Environments stepped one after the other."""

import functools
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.vector.utils import concatenate, iterate
from keras import tree

__all__ = ["SyncEnvs"]


class SyncEnvs(SyncVectorEnv):
    """A `SyncVectorEnv` that resets in the step in which an episode ends, and of infos keeps what there is at the end.

    That is the final observation and, in `"final_info"`, numbers that a `CheckedEnv` was told to keep. Gymnasium stacks
    infos into arrays, which not all infos can be; agents read none else.
    """

    def __init__(self, makers: Sequence[Callable[[], gymnasium.Env]], copy: bool = True) -> None:
        made: list[gymnasium.Env] = []

        def kept(make: Callable[[], gymnasium.Env]) -> gymnasium.Env:
            made.append(make())
            return made[-1]

        try:
            super().__init__(
                [functools.partial(kept, make) for make in makers],
                copy=copy,
                autoreset_mode=AutoresetMode.SAME_STEP,
            )
        except BaseException:  # one cannot be made: the others may hold a robot or a licence
            for env in made:
                env.close()
            raise
        self.spec = self.envs[0].spec

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Step all environments; those in which an episode ends start a new one.

        As that of Gymnasium, in two thirds of the time: arrays are filled row by row.
        """
        rewards, terminated, truncated = [], [], []
        infos: dict[str, Any] = {}
        for i, (env, action) in enumerate(zip(self.envs, iterate(self.action_space, actions), strict=True)):
            observation, reward, terminates, truncates, info = env.step(action)
            if terminates or truncates:
                self._add_info(infos, {"final_obs": observation, "final_info": info}, i)
                observation, _ = env.reset()
            self._env_obs[i] = observation
            rewards.append(reward)
            terminated.append(terminates)
            truncated.append(truncates)
        return self._stacked(), np.array(rewards, float), np.array(terminated, bool), np.array(truncated, bool), infos

    def _stacked(self):
        if type(self._observations) is np.ndarray:
            for i, x in enumerate(self._env_obs):
                self._observations[i] = x
        else:
            self._observations = concatenate(self.single_observation_space, self._env_obs, self._observations)
        return deepcopy(self._observations) if self.copy else self._observations

    def step_where(
        self, actions: Any, where: np.ndarray
    ) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Step only some of the environments, none of which starts a new episode; the others stay as they are.

        Parameters
        ----------
        actions : batch of actions
            Of all environments.
        where : bool array, shape [N]

        Returns
        -------
        tuple, as `step` returns it: rewards are 0, and nothing has ended, where no step was taken.
        """
        rewards = np.zeros(self.num_envs)
        terminated, truncated = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        infos: dict[str, Any] = {}
        for i, action in enumerate(iterate(self.action_space, actions)):
            if where[i]:
                observation, rewards[i], terminated[i], truncated[i], info = self.envs[i].step(action)
                self._keep(i, observation)
                if terminated[i] or truncated[i]:
                    self._add_final_info(infos, info, i)
        return self._observations, rewards, terminated, truncated, infos

    def reset_where(self, where: np.ndarray) -> Any:
        """Start new episodes in some of the environments: the observations of all, as `reset` returns them."""
        for i in np.flatnonzero(where).tolist():
            self._keep(i, self.envs[i].reset()[0])
        return self._observations

    def _keep(self, i: int, observation: Any) -> None:
        for rows, x in zip(tree.flatten(self._observations), tree.flatten(observation), strict=True):
            rows[i] = x

    def _add_info(self, vector_infos, env_info, env_num):
        if "final_obs" in env_info and "final_info" in env_info:
            for name, fill in (("final_obs", None), ("_final_obs", False)):
                vector_infos.setdefault(name, np.full(self.num_envs, fill))
            vector_infos["final_obs"][env_num], vector_infos["_final_obs"][env_num] = env_info["final_obs"], True
            self._add_final_info(vector_infos, env_info["final_info"], env_num)
        return vector_infos

    def _add_final_info(self, infos, info, i):
        numbers = infos.setdefault("final_info", {})
        for name, x in info.items():
            if isinstance(x, float):  # as a `CheckedEnv` hands them on
                numbers.setdefault(name, np.full(self.num_envs, np.nan))[i] = x
