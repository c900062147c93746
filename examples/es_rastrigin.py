"""Rastrigin's function, a bowl full of local minima: searchers in many dimensions, and their paths in two."""

import argparse
from typing import Any

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

import kgdists as kg
from kgdists.evolution import CEM, CMAES, PGPE, SNES, XNES

# Where settings differ from the defaults, it is because standard deviations should shrink neither before the bowl is
# found among the local minima, nor much more slowly than that.
SEARCHERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "PGPE": (PGPE, {"optimizer": None, "center_learning_rate": 1.0, "stdev_learning_rate": 0.4}),
    "SNES": (SNES, {}),
    "XNES": (XNES, {"stdev_learning_rate": 0.15, "scale_learning_rate": False}),
    "CEM": (CEM, {"parenthood_ratio": 0.25, "stdev_learning_rate": 0.5}),
    "CMAES": (CMAES, {}),
}

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--searchers", nargs="+", choices=SEARCHERS, default=list(SEARCHERS))
parser.add_argument("--dimensions", type=int, default=30)
parser.add_argument("--popsize", type=int, default=400)
parser.add_argument("--generations", type=int, default=600)
parser.add_argument("--figure", default="es_rastrigin.png")
options = parser.parse_args()


def rastrigin(x):
    """Solutions [..., D] -> fitnesses [...], 0 at the origin and above it elsewhere."""
    return tf.reduce_sum(x**2 + 10.0 * (1.0 - tf.cos(2.0 * np.pi * x)), axis=-1)


def search(name, dimensions, generations, **settings):
    """A searcher that minimises from far off, within the bounds that are usual for this function."""
    kind, own = SEARCHERS[name]
    problem = {"objective_sense": "min", "stdev_init": 2.0, "bounds": (-5.12, 5.12), "seed": 0}
    searcher = kind(rastrigin, solution_length=dimensions, **problem, **own, **settings)
    # The objective is compiled together with the search: up to a thousand generations are one call.
    searcher.run(generations, verbose=0)
    return searcher


print(f"{options.dimensions} dimensions, {options.generations} generations of {options.popsize} solutions")
figure = Figure(figsize=(3.0 * len(options.searchers), 3.4), layout="constrained")
panels = figure.subplots(1, len(options.searchers), sharey=True, squeeze=False)[0]
limits = ((-5.12, 5.12), (-5.12, 5.12))
for axes, name in zip(panels, options.searchers, strict=True):
    searcher = search(name, options.dimensions, options.generations, popsize=options.popsize, center_init=3.0)
    center = float(rastrigin(searcher.center))
    print(f"{name:6} best fitness {searcher.best.fitness:8.3f}, fitness of the center {center:8.3f}")

    # Leading axes of the first center run as many searches at once. One that tracks its path can be drawn.
    starts = [[3.0, 3.0], [1.0, -4.5]]
    paths = search(name, 2, 50, popsize=40, center_init=starts, track=True)
    kg.plotting.search_path(rastrigin, paths, axes=axes, limits=limits, cmap="viridis_r", color=["white", "orange"])
    axes.set(title=f"{name}, best {paths.best.fitness.min():.2f}")
figure.savefig(options.figure, dpi=100)
print(f"figure: {options.figure}")
