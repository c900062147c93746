"""A network that balances a pole, searched on all cores of this machine, or on all machines of a Ray cluster.

On one machine there is nothing to prepare. Many are made a cluster by `ray start`: see docs/many_machines.md.
"""

import argparse
import time

import gymnasium
import numpy as np

from kgdists.evolution import PGPE, RaySearch

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--workers", type=int, help="processes: one for each core if not given; 0 does without Ray")
parser.add_argument("--generations", type=int, default=30)
parser.add_argument("--popsize", type=int, default=64)
parser.add_argument("--episodes", type=int, default=4, help="for each solution")
args = parser.parse_args()

HIDDEN = 8


def choose(weights, observation):
    """Push to the left or to the right: a network of 4 inputs, a hidden layer and one output."""
    hidden = np.tanh(observation @ weights[: 4 * HIDDEN].reshape(4, HIDDEN) + weights[4 * HIDDEN : 5 * HIDDEN])
    return int(hidden @ weights[5 * HIDDEN :] > 0.0)


def mean_return(weights, first_seed=0, episodes=args.episodes):
    """The fitness of one solution. Workers are sent this function; it may do whatever Python can."""
    env = gymnasium.make("CartPole-v1")
    total = 0.0
    for seed in range(first_seed, first_seed + episodes):
        observation, _ = env.reset(seed=seed)
        terminated = truncated = False
        while not (terminated or truncated):
            observation, reward, terminated, truncated, _ = env.step(choose(weights, observation))
            total += float(reward)
    return total / episodes


searcher = PGPE(
    mean_return,
    objective_sense="max",
    solution_length=6 * HIDDEN,
    popsize=args.popsize,
    center_init=np.random.default_rng(0).normal(0.0, 0.5, 6 * HIDDEN),  # at 0, opposite weights are one network
    stdev_init=0.3,
    center_learning_rate=0.3,
    seed=0,
    evaluation="solution",
)
with RaySearch(searcher, args.workers, block_size=2) as search:
    start = time.perf_counter()
    search.run(args.generations)
    seconds = time.perf_counter() - start
    print(f"{args.generations / seconds:.1f} generations per second; bytes per generation: {search.traffic}")

searcher.save("cartpole_search")  # a new searcher of the same arguments goes on with it after `load`
print(f"mean return of the center over 100 other episodes: {mean_return(searcher.center, 1000, 100):.1f}")
