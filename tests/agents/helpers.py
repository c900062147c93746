"""Environments whose every number is known beforehand, and small agents."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, OneOf, Tuple

from kgdists.agents import PPO


class Counter(gymnasium.Env):
    """Observes (episode, step) and rewards the n-th step of an episode with n; episodes have a fixed length.

    `end` is what they end with: "terminated", "truncated" or "both".
    """

    def __init__(self, length=3, end="terminated", action_space=None):
        self.observation_space = Box(-np.inf, np.inf, (2,), "float32")
        self.action_space = Discrete(2) if action_space is None else action_space
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


class Strict(Noise):
    """Refuses what is not in its action space."""

    def step(self, action):
        assert self.action_space.contains(action), action
        return super().step(action)


class Bandit(gymnasium.Env):
    """Episodes of one step: action 2 of Discrete(4), or being close to 0.5 in a Box, pays best; see `score`."""

    observation_space = Box(-1.0, 1.0, (1,), "float32")

    def __init__(self, action_space=None, scale=1.0):
        self.action_space = Discrete(4) if action_space is None else action_space
        self.scale = scale

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.ones(1, "float32"), {}

    def step(self, action):
        assert self.action_space.contains(action), f"{action!r} is not in {self.action_space}"
        return np.ones(1, "float32"), self.scale * score(self.action_space, action), True, False, {}


def score(space, action):
    """How good an action of a `Bandit` is: at best 1 for choices, 0 for a Box, the sum of these for nested spaces."""
    match space:
        case Dict():
            return sum(score(space[name], x) for name, x in action.items())
        case Tuple():
            return sum(score(branch, x) for branch, x in zip(space.spaces, action, strict=True))
        case OneOf():
            return score(space.spaces[action[0]], action[1]) if action[0] == 1 else -1.0
        case Box():
            return -float(np.square(action - 0.5).sum())
        case MultiBinary():
            return float(np.mean(action.ravel() == np.arange(action.size) % 2))
        case MultiDiscrete():
            return float(np.mean(action == space.start + 1))
    return float(action == space.start + 2)


class Trap(gymnasium.Env):
    """Five steps of which a wrong action ends the episode: the highest action that the mask allows pays 1.

    `where` is where the mask is handed out, "observation" or "info".
    """

    action_space = Discrete(4, start=2)

    def __init__(self, where="observation"):
        self.where = where
        self.observation_space = Box(-1.0, 1.0, (2,), "float32")
        if where == "observation":
            self.observation_space = Dict(observation=self.observation_space, action_mask=Box(0, 1, (4,), "int8"))
        self.wrong = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self._next()

    def step(self, action):
        index = action - self.action_space.start
        is_wrong = not self.mask[index]
        reward = float(index == np.flatnonzero(self.mask)[-1])
        self.wrong += is_wrong
        self.count += 1
        observation, info = self._next()
        return observation, reward, is_wrong or self.count == 5, False, info

    def _next(self):
        self.mask = np.zeros(4, "int8")
        self.mask[self.np_random.choice(4, 2, replace=False)] = 1
        observation = self.np_random.uniform(-1.0, 1.0, 2).astype("float32")
        if self.where == "info":
            return observation, {"action_mask": self.mask}
        return {"observation": observation, "action_mask": self.mask}, {}


class Broken(Noise):
    """Rewards with more than a loss can hold from a given step on."""

    def __init__(self, first_bad_step=0):
        self.steps_left = first_bad_step

    def step(self, action):
        observation, reward, *rest = super().step(action)
        self.steps_left -= 1
        return observation, reward if self.steps_left >= 0 else 1e30, *rest


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


def saved_run(folder):
    """Write a run with checkpoints of 16 and 32 steps into a folder, and return it."""
    agent = small("CartPole-v1")
    for agent.steps in (16, 32):
        agent.save(folder)
    return folder
