"""Restarts: a search that has converged begins afresh, perhaps with a larger population."""

from typing import Any

import numpy as np
import tensorflow as tf

from kgdists.evolution import generations

__all__ = ["resize", "restart"]

KEPT = ("seed", "num_restarts", "is_converged", "_progress", "_rows")


def restart(searcher: Any) -> None:
    """Let a searcher that has converged begin at another point, unless it has done so as often as it may."""
    if searcher.num_restarts == searcher.restarts:
        searcher.is_converged = True
        return
    searcher.num_restarts += 1
    if searcher.double_popsize:
        resize(searcher, 2 * searcher.popsize)
    rng = np.random.default_rng([*searcher.seed.numpy().view("uint64").tolist(), searcher.num_restarts])
    state = searcher.init(tf.constant(rng.integers(2**63, size=2)))
    away = tf.constant(rng.normal(size=searcher.center_init.shape), searcher.dtype)
    center = searcher.center_init + searcher.stdev_init * away
    state = state._replace(distribution=state.distribution.modified_copy(mu=center))
    old = searcher._progress
    searcher._progress = generations.begin(state, old.best_fitness.dtype)._replace(
        best=old.best, best_fitness=old.best_fitness
    )


def resize(searcher: Any, popsize: int) -> None:
    """Make all anew that depends on the size of the population, and keep where the search stands."""
    if popsize != searcher.popsize:
        kept = {name: searcher.__dict__[name] for name in KEPT}
        type(searcher).__init__(searcher, **(searcher._arguments | {"popsize": popsize}))
        searcher.__dict__.update(kept)
