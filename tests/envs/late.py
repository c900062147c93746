"""A vector environment as EnvPool's: it starts episodes one step late, takes no seed, and tells arrays in its infos."""

import numpy as np
from gymnasium.vector import VectorEnv
from gymnasium.vector.utils import batch_space

__all__ = ["Pool"]


class Pool(VectorEnv):
    """Steps environments; its observations lie in one buffer, and its metadata say nothing."""

    def __init__(self, makers):
        self.members = [make() for make in makers]
        self.num_envs = len(self.members)
        self.single_observation_space = self.members[0].observation_space
        self.single_action_space = self.members[0].action_space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.metadata = {}

    def reset(self):
        self._observations = np.stack([env.reset()[0] for env in self.members])
        self._ended = np.zeros(self.num_envs, bool)
        return self._observations, {"env_id": np.arange(self.num_envs)}

    def step(self, actions):
        rewards, flags = np.zeros(self.num_envs, "float32"), np.zeros((2, self.num_envs), bool)
        infos = {"env_id": np.arange(self.num_envs), "players": {"env_id": np.arange(self.num_envs)}}
        for i, env in enumerate(self.members):
            if self._ended[i]:
                self._observations[i] = env.reset()[0]
            else:
                self._observations[i], rewards[i], *flags[:, i], _ = env.step(actions[i])
        self._ended = flags.any(axis=0)
        return self._observations, rewards, *flags, infos
