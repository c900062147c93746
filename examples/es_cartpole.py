"""Solve CartPole by evolution: a search for the weights of a small policy, without any gradient of it."""

import argparse
from typing import Any

import gymnasium
import keras

import kgdists as kg
from kgdists.evolution import PolicySearch

SETTINGS: dict[str, dict[str, Any]] = {
    "pgpe": {"stdev_init": 0.3, "center_learning_rate": 0.2},
    "snes": {"stdev_init": 0.5},
}

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--searcher", choices=SETTINGS, default="pgpe")
parser.add_argument("--steps", type=int, default=600_000)
parser.add_argument("--popsize", type=int, default=100)
parser.add_argument("--episodes", type=int, default=100)
options = parser.parse_args()

initializer = keras.initializers.Orthogonal(seed=0)
trunk = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16, "tanh", kernel_initializer=initializer)])
policy = kg.Policy(trunk, kg.head_for(gymnasium.spaces.Discrete(2), random_seed=0))

settings = SETTINGS[options.searcher]
search = PolicySearch(policy, "CartPole-v1", options.searcher, popsize=options.popsize, seed=0, **settings)


def report(epoch, logs):
    if epoch % 5 == 0:
        print(f"{logs['steps']:7.0f} steps: return {logs['return']:6.1f}, best solution {logs['best_fitness']:6.1f}")


search.learn(options.steps, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=report)], verbose=0)
policy.save("cartpole.keras")  # with the weights of the search's center
print(search.evaluate(options.episodes, seed=0))
