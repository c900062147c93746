"""Environments whose every number is known beforehand, and small agents."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from kgdists.agents import PPO


class Counter(gymnasium.Env):
    """Observes (episode, step) and rewards the n-th step of an episode with n; episodes have a fixed length.

    `end` is what they end with: "terminated", "truncated" or "both".
    """

    def __init__(self, length=3, end="terminated", action_space=None):
        self.observation_space = Box(-np.inf, np.inf, (2,), "float32")
        self.action_space = action_space or Discrete(2)
        self.length = length
        self.end = end
        self.episode = 0
        self.actions = []

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.count = self.episode + 1, 0
        return self._observation(), {}

    def step(self, action):
        assert self.action_space.contains(action), f"{action!r} is not in {self.action_space}"
        self.actions.append(action)
        self.count += 1
        ended = self.count == self.length
        terminated, truncated = ended and self.end != "truncated", ended and self.end != "terminated"
        return self._observation(), float(self.count), terminated, truncated, {}

    def _observation(self):
        return np.array([self.episode, self.count], "float32")


class Noise(gymnasium.Env):
    """Observes noise and rewards with noise, all drawn from the environment's own generator."""

    observation_space = Box(-np.inf, np.inf, (2,), "float32")
    action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._observation(), {}

    def step(self, action):
        return self._observation(), self.np_random.normal(), self.np_random.random() < 0.2, False, {}

    def _observation(self):
        return self.np_random.normal(size=2).astype("float32")


class Bandit(gymnasium.Env):
    """Episodes of one step: action 2 of Discrete(4), or being close to 0.5 in a Box, pays best."""

    observation_space = Box(-1.0, 1.0, (1,), "float32")

    def __init__(self, action_space=None, scale=1.0):
        self.action_space = action_space or Discrete(4)
        self.scale = scale

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, "float32"), {}

    def step(self, action):
        assert self.action_space.contains(action), f"{action!r} is not in {self.action_space}"
        is_discrete = isinstance(self.action_space, Discrete)
        reward = float(action == 2) if is_discrete else -float(np.square(action - 0.5).sum())
        return np.zeros(1, "float32"), self.scale * reward, True, False, {}


class Broken(Noise):
    """Rewards with NaN from a given step on."""

    def __init__(self, first_bad_step=0):
        self.steps_left = first_bad_step

    def step(self, action):
        observation, reward, *rest = super().step(action)
        self.steps_left -= 1
        return observation, reward if self.steps_left >= 0 else np.nan, *rest


def counters(*lengths, **options):
    """A function that makes one `Counter` after the other, of these lengths."""
    remaining = iter(lengths)
    return lambda: Counter(next(remaining), **options)


def small(env=Noise, **config):
    """An agent of 16 steps and one gradient step an update."""
    default = {"num_envs": 2, "n_steps": 8, "batch_size": 16, "n_epochs": 1, "hidden_units": (8,), "seed": 0}
    return PPO(env, **{**default, **config})


def weights(agent):
    """All trained weights of an agent as one vector."""
    return np.concatenate([np.ravel(variable) for variable in agent.variables])
