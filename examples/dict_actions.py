"""A dict of actions: choose a beacon, and steer towards it; one policy with a joint density for both."""

import argparse

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete

import kgdists as kg

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--steps", type=int, default=150_000)
parser.add_argument("--episodes", type=int, default=100)
options = parser.parse_args()


class Beacons(gymnasium.Env):
    """One of three beacons is lit: call it by its number, and go there. The best return is just below 40."""

    places = np.array([[0.0, 1.0], [0.87, -0.5], [-0.87, -0.5]])
    action_space = Dict(call=Discrete(3, start=1), push=Box(-1.0, 1.0, (2,)))
    observation_space = Box(-2.0, 2.0, (5,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position = self.np_random.uniform(-1.0, 1.0, 2)
        self.lit = self.np_random.integers(3)
        self.steps = 0
        return self.observe(), {}

    def step(self, action):
        self.position = np.clip(self.position + 0.2 * action["push"], -2.0, 2.0)
        distance = np.linalg.norm(self.position - self.places[self.lit])
        reward = float(action["call"] == self.lit + 1) + 1.0 - distance
        self.steps += 1
        return self.observe(), reward, False, self.steps == 20, {}

    def observe(self):
        return np.append(self.position, np.eye(3)[self.lit]).astype("float32")


agent = kg.agents.PPO(Beacons, num_envs=8, n_steps=64, batch_size=128, learning_rate=1e-3, gamma=0.9, seed=0)
print(f"untrained: {agent.evaluate(options.episodes, seed=0)}")
agent.learn(options.steps)
print(f"trained:   {agent.evaluate(options.episodes, seed=0)}")

pi = agent.policy(np.array([[0.0, 0.0, 0.0, 1.0, 0.0]], "float32"))
action = pi.sample_action()
print("distribution:", {name: type(part).__name__ for name, part in pi.dists.items()})
print("action:", kg.decode_action(Beacons.action_space, action), "log-probability:", float(pi.log_proba(action)[0]))
