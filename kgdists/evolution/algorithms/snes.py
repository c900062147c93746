"""`SNES`: separable natural evolution strategies."""

import math
from collections.abc import Callable
from typing import Any

from kgdists.core.checks import count
from kgdists.core.types import Integer
from kgdists.evolution.algorithms.gaussian_searcher import GaussianSearcher
from kgdists.evolution.arguments import Sense, check_number
from kgdists.evolution.gaussians.exp_separable_gaussian import ExpSeparableGaussian
from kgdists.evolution.optimizers import OptimizerLike

__all__ = ["SNES", "default_popsize"]


def default_popsize(solution_length: Integer) -> int:
    """`4 + floor(3 log D)`, the size of a population for D dimensions (Hansen and Ostermeier 2001)."""
    solution_length = count("solution_length", solution_length)
    return 4 + math.floor(3.0 * math.log(solution_length))


class SNES(GaussianSearcher):
    """Search of independent dimensions by natural gradients of log standard deviations (Schaul et al. 2011).

    Parameters
    ----------
    objective, objective_sense, solution_length, **kwargs
        See `Searcher`.
    popsize : None or int
        None is `4 + floor(3 log D)`.
    center_learning_rate : float
    stdev_learning_rate : None or float
        None is `0.2 (3 + log D) / sqrt(D)`; a number is multiplied by that, unless
    scale_learning_rate : bool
        is False.
    optimizer : None, "clipup", ClipUp or keras.optimizers.Optimizer
        See `GaussianSearcher`.
    ranking_method : str

    Examples
    --------
    >>> import tensorflow as tf
    >>> from kgdists.evolution import SNES
    >>> def sphere(x):
    ...     return tf.reduce_sum(x**2, axis=-1)
    >>> searcher = SNES(sphere, objective_sense="min", solution_length=5, center_init=1.0, stdev_init=0.3, seed=0)
    >>> history = searcher.run(200, verbose=0)
    >>> bool(searcher.best.fitness < 1e-6)
    True
    """

    def __init__(
        self,
        objective: Callable[..., Any] | None,
        *,
        objective_sense: Sense,
        solution_length: Integer,
        popsize: Integer | None = None,
        center_learning_rate: float = 1.0,
        stdev_learning_rate: float | None = None,
        scale_learning_rate: bool = True,
        optimizer: OptimizerLike = None,
        ranking_method: str = "nes",
        **kwargs: Any,
    ) -> None:
        solution_length = count("solution_length", solution_length)
        if stdev_learning_rate is not None:
            check_number("stdev_learning_rate", stdev_learning_rate, 0.0, math.inf)
        natural = 0.2 * (3.0 + math.log(solution_length)) / math.sqrt(solution_length)
        if stdev_learning_rate is None:
            stdev_learning_rate = natural
        elif scale_learning_rate:
            stdev_learning_rate *= natural
        super().__init__(
            objective,
            objective_sense=objective_sense,
            solution_length=solution_length,
            popsize=default_popsize(solution_length) if popsize is None else popsize,
            distribution=ExpSeparableGaussian,
            center_learning_rate=center_learning_rate,
            stdev_learning_rate=stdev_learning_rate,
            optimizer=optimizer,
            ranking_method=ranking_method,
            **kwargs,
        )
