"""What `evolution.py` measures, in one framework per process: reads lines of JSON, and answers each with one.

Each library is imported only by its own class, so that one file serves both interpreters.
"""

import argparse
import functools
import json
import os
import platform
import sys
import time
from importlib.metadata import version

import numpy as np

STDEV = 2.0  # the first one
STEP = 0.5  # of ClipUp in one dimension; the step size is that times sqrt(D) / 30
STDEV_RATE = 0.1  # of PGPE
ELITE = 0.1  # of CEM
# 20 sin(pi x)^2 / x^2 by x^2, for |x| <= 1/2: relative error 1.4e-8.
SQUARED_SINE = (197.3920853, -649.3932472, 854.5385487, -601.9710638, 260.7422345, -66.72421717)


def first_center(dimensions):
    return np.random.default_rng(0).uniform(-5.12, 5.12, dimensions).astype("float32")


def rastrigin(x):
    """Of one solution, in float64."""
    x = np.asarray(x, "float64")
    return float(np.sum(x**2 + 20.0 * np.sin(np.pi * x) ** 2))


def clip_up_step(dimensions):
    return STEP * dimensions**0.5 / 30.0


def fast_rastrigin(x, rounded, total):
    """Of solutions, by additions and multiplications: a cosine under XLA takes longer than all the rest."""
    y = x - rounded(x)
    y = y * y
    value = SQUARED_SINE[-1]
    for coefficient in SQUARED_SINE[-2::-1]:
        value = value * y + coefficient
    return total(x * x + y * value)


class KGDists:
    VERSIONS = ("kgdists", "tensorflow", "keras")

    def __init__(self):
        import tensorflow as tf

        from kgdists import evolution

        self.tf, self.evolution = tf, evolution

    def make(self, method, dimensions, popsize, seed, objective):
        tf, evolution = self.tf, self.evolution

        def cosine(x):
            return 10.0 * dimensions + tf.reduce_sum(x * x - 10.0 * tf.cos(2.0 * np.pi * x), axis=-1)

        fast = functools.partial(fast_rastrigin, rounded=tf.round, total=lambda x: tf.reduce_sum(x, axis=-1))
        options = {
            "snes": (evolution.SNES, {}),
            "xnes": (evolution.XNES, {}),
            "pgpe": (
                evolution.PGPE,
                {"center_learning_rate": clip_up_step(dimensions), "stdev_learning_rate": STDEV_RATE},
            ),
            "cem": (evolution.CEM, {"parenthood_ratio": ELITE}),
        }
        kind, settings = options[method]
        searcher = kind(
            cosine if objective == "cosine" else fast,
            objective_sense="min",
            solution_length=dimensions,
            popsize=popsize,
            center_init=first_center(dimensions),
            stdev_init=STDEV,
            seed=seed,
            # XLA's cosine is slower than TensorFlow's own, and in long generations a call more costs little.
            evaluation="graph" if objective == "cosine" and dimensions * popsize > 10**6 else "tensorflow",
            **settings,
        )
        return lambda generations: searcher.run(generations, verbose=0), lambda: searcher.center


class EvoTorch:
    VERSIONS = ("evotorch", "torch")

    def __init__(self):
        import logging

        import evotorch
        import torch
        from evotorch import algorithms

        logging.disable(logging.INFO)
        self.torch, self.evotorch, self.algorithms = torch, evotorch, algorithms

    def make(self, method, dimensions, popsize, seed, objective):
        torch, algorithms = self.torch, self.algorithms

        def cosine(x):
            return 10.0 * dimensions + torch.sum(x * x - 10.0 * torch.cos(2.0 * np.pi * x), dim=-1)

        fast = functools.partial(fast_rastrigin, rounded=torch.round, total=lambda x: torch.sum(x, dim=-1))
        problem = self.evotorch.Problem(
            "min",
            cosine if objective == "cosine" else fast,
            solution_length=dimensions,
            initial_bounds=(-5.12, 5.12),
            vectorized=True,
            seed=seed,
        )
        options = {
            "snes": (algorithms.SNES, {}),
            "xnes": (algorithms.XNES, {}),
            "pgpe": (
                algorithms.PGPE,
                {"center_learning_rate": clip_up_step(dimensions), "stdev_learning_rate": STDEV_RATE},
            ),
            "cem": (algorithms.CEM, {"parenthood_ratio": ELITE}),
        }
        kind, settings = options[method]
        center = torch.tensor(first_center(dimensions))
        searcher = kind(problem, popsize=popsize, center_init=center, stdev_init=STDEV, **settings)

        def center():
            searcher.step()  # a generation begins with the update by the last one
            return searcher.status["center"].numpy()

        return searcher.run, center


class Evosax:
    """All generations of a run in one compiled loop, of which only the state comes back."""

    VERSIONS = ("evosax", "jax")

    def __init__(self):
        import jax
        from evosax.algorithms import PGPE, SNES, xNES
        from evosax.core.optimizer import clipup

        self.jax, self.clipup = jax, clipup
        self.kinds = {"snes": SNES, "xnes": xNES, "pgpe": PGPE}

    def make(self, method, dimensions, popsize, seed, objective):
        jax = self.jax
        jnp = jax.numpy

        def cosine(x):
            return 10.0 * dimensions + jnp.sum(x * x - 10.0 * jnp.cos(2.0 * np.pi * x), axis=-1)

        fast = functools.partial(fast_rastrigin, rounded=jnp.round, total=lambda x: jnp.sum(x, axis=-1))
        function = cosine if objective == "cosine" else fast
        settings = {}
        if method == "pgpe":
            step = clip_up_step(dimensions)
            settings = {"optimizer": self.clipup(learning_rate=step, max_velocity=2.0 * step)}
        strategy = self.kinds[method](population_size=popsize, solution=jnp.zeros(dimensions), **settings)
        params = strategy.default_params
        if method == "pgpe":
            params = params.replace(std_init=STDEV, std_lr=STDEV_RATE)
        else:
            # Of xNES the standard deviation and the matrix both start with it.
            params = params.replace(std_init=jnp.asarray(STDEV**0.5 if method == "xnes" else STDEV))
        key, first = jax.random.split(jax.random.key(seed))
        state = strategy.init(first, jnp.asarray(first_center(dimensions)), params)

        @functools.partial(jax.jit, static_argnums=2)
        def run(key, state, generations):
            def generation(carry, _):
                key, state = carry
                key, for_ask, for_tell = jax.random.split(key, 3)
                population, state = strategy.ask(for_ask, state, params)
                state, metrics = strategy.tell(for_tell, population, function(population), state, params)
                return (key, state), metrics["best_fitness_in_generation"]

            return jax.lax.scan(generation, (key, state), None, length=generations)

        place = [key, state]

        def go(generations):
            (key, state), history = run(*place, generations)
            history.block_until_ready()
            place[:] = key, state

        return go, lambda: np.asarray(place[1].mean)


LIBRARIES = {"kgdists": KGDists, "evotorch": EvoTorch, "evosax": Evosax}


class Runs:
    """Searches by name, each compiled by a run that does not count."""

    def __init__(self, library):
        self.library = library
        self.made = {}

    def quality(self, method, dimensions, popsize, seed, generations, objective):
        """The objective at the center after so many generations of a fresh search."""
        run, center = self.library.make(method, dimensions, popsize, seed, objective)
        run(generations)
        return {"value": rastrigin(center())}

    def speed(self, method, dimensions, popsize, generations, objective):
        """Seconds per generation of one search that goes on and on."""
        key = (method, dimensions, popsize, objective)
        if key not in self.made:
            self.made[key] = self.library.make(method, dimensions, popsize, 0, objective)[0]
            self.made[key](generations)
        # It begins where the last one ended: a converged population takes as long.
        run = self.made[key]
        start, busy = time.perf_counter(), time.process_time()
        run(generations)
        seconds, processor = time.perf_counter() - start, time.process_time() - busy
        return {"seconds": seconds / generations, "processor": processor / generations}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=LIBRARIES)
    parser.add_argument("--threads", type=int, help="processors to run on; default: all")
    options = parser.parse_args()
    if options.threads:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    # A library that waits must not keep processors busy from the next one.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    kind = LIBRARIES[options.library]
    answers, sys.stdout = sys.stdout, sys.stderr  # some libraries print
    runs = Runs(kind())
    versions = ", ".join(f"{name} {version(name)}" for name in kind.VERSIONS)
    print(json.dumps(f"Python {platform.python_version()}, {versions}"), file=answers, flush=True)
    for line in sys.stdin:
        what, *arguments = json.loads(line)
        print(json.dumps(getattr(runs, what)(*arguments)), file=answers, flush=True)


if __name__ == "__main__":
    main()
