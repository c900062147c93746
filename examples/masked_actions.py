"""Masked actions: items go into bins, never into one without room; PPO learns where to put them."""

import argparse

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary

import kgdists as kg

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--steps", type=int, default=200_000)
parser.add_argument("--episodes", type=int, default=100)
options = parser.parse_args()


class Bins(gymnasium.Env):
    """Put items of size 1 to 5 into 6 bins of size 10 until one fits nowhere; the return is the size that got in."""

    num_bins = 6
    action_space = Discrete(num_bins)
    observation_space = Dict(observation=Box(0.0, 1.0, (num_bins + 1,)), action_mask=MultiBinary(num_bins))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.room = np.full(self.num_bins, 10)
        self.item = self.np_random.integers(1, 6)
        return self.observe(), {}

    def step(self, action):
        if self.item > self.room[action]:
            return self.observe(), -1.0, True, False, {}  # what the mask rules out ends the episode
        reward = float(self.item)
        self.room[action] -= self.item
        self.item = self.np_random.integers(1, 6)
        return self.observe(), reward, not self.fits().any(), False, {}

    def fits(self):
        """Which bins have room for the item."""
        return self.room >= self.item

    def observe(self):
        # The last observation of an episode allows all: no action follows it.
        mask = self.fits() if self.fits().any() else np.ones(self.num_bins)
        observation = np.append(self.room / 10.0, self.item / 5.0)
        return {"observation": observation.astype("float32"), "action_mask": mask.astype("int8")}


agent = kg.agents.PPO(Bins, num_envs=8, n_steps=128, batch_size=256, learning_rate=1e-3, ent_coef=0.01, seed=0)
print(f"untrained: {agent.evaluate(options.episodes, deterministic=False, seed=0)}")
agent.learn(options.steps)
print(f"trained:   {agent.evaluate(options.episodes, seed=0)}")

env = Bins()
observation, _ = env.reset(seed=0)
pi = agent.policy({name: x[None] for name, x in observation.items()})
print("probabilities of the bins for the first item:", np.round(pi.probs[0], 3))
