"""Times of kgdists beside an earlier checkout of it: agents, searches, distributions and fits.

python tests/benchmarks/before.py --before CHECKOUT [--rounds 5] [--only ppo sac]

The two take turns in fresh processes; a ratio is that of one round, below 1 where today's is faster.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent.parent


def ppo():
    import kgdists as kg

    return _training(kg.agents.PPO("CartPole-v1", num_envs=8, n_steps=32, batch_size=256, n_epochs=20, seed=0), 20_480)


def a2c():
    import kgdists as kg

    return _training(kg.agents.A2C("CartPole-v1", num_envs=8, seed=0), 40_000)


def sac():
    import kgdists as kg

    return _training(kg.agents.SAC("Pendulum-v1", num_envs=1, learning_starts=100, seed=0), 1_500)


def _training(agent, steps):
    agent.learn(steps // 10)
    return _seconds(lambda: agent.learn(steps), 1)


def snes():
    import keras

    import kgdists as kg

    def rastrigin(x):
        return keras.ops.sum(x * x - 10 * keras.ops.cos(6.2831853 * x) + 10, axis=-1)

    searcher = kg.evolution.SNES(
        rastrigin, objective_sense="min", solution_length=100, popsize=200, stdev_init=1.0, center_init=3.0
    )
    searcher.run(200)
    return _seconds(lambda: searcher.run(2000), 3)


def categorical():
    import keras
    import tensorflow as tf

    import kgdists as kg

    rng = np.random.default_rng(0)
    logits, others = (tf.constant(rng.normal(size=(65_536, 18)), "float32") for _ in range(2))
    labels = tf.constant(rng.integers(18, size=65_536), "int32")

    @tf.function(jit_compile=True, autograph=False)
    def rows(logits, others, labels):
        p, q = kg.CategoricalDist(logits), kg.CategoricalDist(others)
        return keras.ops.sum(p.log_proba(labels) + p.entropy() + p.kl_divergence(q))

    rows(logits, others, labels)
    return _seconds(lambda: rows(logits, others, labels).numpy(), 100)


def em():
    import kgdists as kg

    x = kg.targets.DiagonalGaussianMixture.create_gmm40().sample(10_000, seed=0)
    return _fit(lambda: kg.mixtures.fit(x, 40, method="em", covariance="diag", seed=0))


def em_large():
    import kgdists as kg

    rng = np.random.default_rng(0)
    x = rng.normal(size=(300_000, 6)) + 4.0 * rng.integers(6, size=(300_000, 1))
    return _fit(lambda: kg.mixtures.fit(x, 6, method="em", iterations=30, tolerance=-1.0, seed=0))


def gradient():
    import kgdists as kg

    rng = np.random.default_rng(0)
    x = rng.normal(size=(5_000, 2)) + 4.0 * rng.integers(3, size=(5_000, 1))
    return _fit(lambda: kg.mixtures.fit(x, 3, iterations=2000, seed=0))


def _fit(function):
    function()
    return _seconds(function, 3)


def _seconds(function, times):
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


WORK = {work.__name__: work for work in (ppo, a2c, sac, snes, categorical, em, em_large, gradient)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", type=Path, help="folder of the earlier checkout")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each (default: 5)")
    parser.add_argument("--only", nargs="+", choices=WORK, default=list(WORK), help="what to measure (default: all)")
    parser.add_argument("--worker", choices=WORK, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(WORK[options.worker]())
        return
    print("| | before, s | now, s | ratio | ratios of the rounds |\n| --- | --- | --- | --- | --- |")
    for name in options.only:
        times = np.array([[run(name, root) for root in (options.before, ROOT)] for _ in range(options.rounds)])
        ratios = times[:, 1] / times[:, 0]
        before, now = np.median(times, axis=0)
        rounds = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"| {name} | {before:.4f} | {now:.4f} | {np.median(ratios):.2f} | {rounds} |", flush=True)


def run(name, root):
    environment = os.environ | {"PYTHONPATH": str(root), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, "--worker", name]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    return float(output.splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
