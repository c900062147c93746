"""Evaluations until CMA-ES reaches a fitness of 1e-8, of kgdists and of pycma, each in its own interpreter.

python tests/benchmarks/evaluations.py kgdists
.venv-peers/bin/python tests/benchmarks/evaluations.py pycma
"""

import argparse
import statistics

import numpy as np

TARGET = 1e-8
START = {"rosenbrock": (0.0, 0.5)}  # center and standard deviation; the others begin at 3 with 1
GENERATIONS = 1500  # more than any of these searches needs


def sphere(x, total):
    return total(x**2)


def ellipsoid(x, total):
    return total(10.0 ** np.linspace(0.0, 6.0, x.shape[-1]) * x**2)


def rosenbrock(x, total):
    return total(100.0 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1.0 - x[..., :-1]) ** 2)


def different_powers(x, total):
    return total(abs(x) ** np.linspace(2.0, 6.0, x.shape[-1]))


FUNCTIONS = (sphere, ellipsoid, rosenbrock, different_powers)


def of_kgdists(function, length, center, stdev, seeds):
    import tensorflow as tf

    from kgdists.evolution import CMAES

    searcher = CMAES(
        lambda x: function(x, lambda terms: tf.reduce_sum(terms, axis=-1)),
        objective_sense="min",
        solution_length=length,
        center_init=np.full((seeds, length), center),  # so many searches, each with numbers of its own
        stdev_init=stdev,
        dtype="float64",
        seed=1,
    )
    searcher.run(GENERATIONS, verbose=0)
    reached = np.minimum.accumulate(searcher.history["best"], axis=0) < TARGET
    return [(int(np.argmax(column)) + 1) * searcher.popsize if column.any() else np.inf for column in reached.T]


def of_pycma(function, length, center, stdev, seeds):
    import cma

    evaluations = []
    for seed in range(1, seeds + 1):
        options = {"seed": seed, "ftarget": TARGET, "verbose": -9, "maxfevals": 10**5}
        search = cma.CMAEvolutionStrategy(length * [center], stdev, options)
        search.optimize(lambda x: float(function(np.asarray(x), np.sum)))
        evaluations.append(search.result.evaluations if search.result.fbest < TARGET else np.inf)
    return evaluations


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", choices=("kgdists", "pycma"))
    parser.add_argument("--seeds", type=int, default=9)
    options = parser.parse_args()
    evaluate = {"kgdists": of_kgdists, "pycma": of_pycma}[options.library]
    for length in (5, 10):
        for function in FUNCTIONS:
            found = evaluate(function, length, *START.get(function.__name__, (3.0, 1.0)), options.seeds)
            # A search of Rosenbrock's function that ends in its other minimum counts as infinitely long.
            print(options.library, function.__name__, length, f"{statistics.median(found):g}", flush=True)


if __name__ == "__main__":
    main()
