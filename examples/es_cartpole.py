"""Solve CartPole by evolution: PGPE and SNES search for the weights of a small policy, without any gradient of it."""

import argparse

import gymnasium
import keras

import kgdists as kg
from kgdists.evolution.gym import PolicySearch

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--steps", type=int, default=400_000)
parser.add_argument("--popsize", type=int, default=100)
parser.add_argument("--episodes", type=int, default=100)
options = parser.parse_args()

SEARCHERS = {
    "pgpe": {"stdev_init": 0.3, "center_learning_rate": 0.2},
    "snes": {"stdev_init": 0.5},
}


def small_policy():
    initializer = keras.initializers.Orthogonal(seed=0)
    trunk = keras.Sequential([keras.Input((4,)), keras.layers.Dense(16, "tanh", kernel_initializer=initializer)])
    return kg.Policy(trunk, kg.head_for(gymnasium.spaces.Discrete(2), random_seed=0))


def report(epoch, logs):
    if epoch % 5 == 0:
        print(f"{logs['steps']:7.0f} steps: return {logs['return']:6.1f}, best solution {logs['best_fitness']:6.1f}")


for searcher, settings in SEARCHERS.items():
    print(searcher)
    search = PolicySearch(small_policy(), "CartPole-v1", searcher, popsize=options.popsize, seed=0, **settings)
    search.learn(options.steps, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=report)])
    search.policy.save(f"cartpole_{searcher}.keras")  # the center of the search
    print(search.evaluate(options.episodes, seed=0))
