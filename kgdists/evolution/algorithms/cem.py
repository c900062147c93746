"""`CEM`: the cross-entropy method."""

import functools
from collections.abc import Callable
from typing import Any

from kgdists.core.types import Integer, Tensor
from kgdists.evolution.algorithms.gaussian_searcher import GaussianSearcher
from kgdists.evolution.arguments import Sense
from kgdists.evolution.gaussians.separable_gaussian import SeparableGaussian

__all__ = ["CEM"]


class CEM(GaussianSearcher):
    """The Gaussian of independent dimensions that fits the elite of the population (Rubinstein 1999, Duan et al. 2016).

    Parameters
    ----------
    objective, objective_sense, solution_length, popsize, **kwargs
        See `Searcher`.
    parenthood_ratio : float
        The part of the population that is its elite, in (0, 1], of at least two solutions.
    center_learning_rate, stdev_learning_rate : float
        1 replaces the distribution, less averages over generations (Kroese et al. 2006).

    Examples
    --------
    >>> import tensorflow as tf
    >>> from kgdists.evolution import CEM
    >>> def sphere(x):
    ...     return tf.reduce_sum(x**2, axis=-1)
    >>> searcher = CEM(
    ...     sphere, objective_sense="min", solution_length=5, popsize=100, parenthood_ratio=0.2, stdev_init=1.0, seed=0
    ... )
    >>> history = searcher.run(30, verbose=0)
    >>> bool(searcher.best.fitness < 1e-6)
    True
    """

    def __init__(
        self,
        objective: Callable[..., Any] | None,
        *,
        objective_sense: Sense,
        solution_length: Integer,
        popsize: Integer,
        parenthood_ratio: float,
        center_learning_rate: float = 1.0,
        stdev_learning_rate: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            objective,
            objective_sense=objective_sense,
            solution_length=solution_length,
            popsize=popsize,
            distribution=functools.partial(_distribution, parenthood_ratio),
            center_learning_rate=center_learning_rate,
            stdev_learning_rate=stdev_learning_rate,
            **kwargs,
        )
        self._first_distribution.check_elite(self.popsize)


def _distribution(parenthood_ratio: float, parameters: dict[str, Tensor]) -> SeparableGaussian:
    return SeparableGaussian(parameters | {"parenthood_ratio": parenthood_ratio})
