"""`PGPE`: policy gradients with parameter-based exploration."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from kgdists.core.checks import count
from kgdists.core.types import Integer, Tensor, TensorLike
from kgdists.evolution.algorithms.gaussian_searcher import GaussianSearcher
from kgdists.evolution.arguments import Sense
from kgdists.evolution.gaussians.separable_gaussian import SeparableGaussian
from kgdists.evolution.gaussians.symmetric_separable_gaussian import SymmetricSeparableGaussian
from kgdists.evolution.optimizers import OptimizerLike
from kgdists.evolution.state import State

__all__ = ["PGPE"]


class PGPE(GaussianSearcher):
    """Search of independent dimensions by pairs of solutions on opposite sides of the center (Sehnke et al. 2010).

    Parameters
    ----------
    objective, objective_sense, solution_length, **kwargs
        See `Searcher`.
    popsize : int
        Even where the search is symmetric.
    center_learning_rate : None or float
        None is a thirtieth of the radius of the first distribution, the rule for `ClipUp` (Toklu et al. 2020).
    stdev_learning_rate : float
    optimizer : None, "clipup", ClipUp or keras.optimizers.Optimizer
        See `GaussianSearcher`. ClipUp's steps do not become shorter as a search converges. With None they do: a
        learning rate near 1 suits.
    ranking_method : str
    stdev_max_change : None, float or float array
    symmetric : bool
        Whether solutions come in pairs.

    Examples
    --------
    >>> import tensorflow as tf
    >>> from kgdists.evolution import PGPE
    >>> def sphere(x):
    ...     return tf.reduce_sum(x**2, axis=-1)
    >>> searcher = PGPE(
    ...     sphere, objective_sense="min", solution_length=5, popsize=20, center_init=1.0, stdev_init=0.3, seed=0
    ... )
    >>> history = searcher.run(100, verbose=0)
    >>> bool(searcher.best.fitness < 0.05)
    True
    """

    def __init__(
        self,
        objective: Callable[..., Any] | None,
        *,
        objective_sense: Sense,
        solution_length: Integer,
        popsize: Integer,
        center_learning_rate: float | None = None,
        stdev_learning_rate: float = 0.1,
        stdev_init: TensorLike | None = None,
        radius_init: TensorLike | None = None,
        optimizer: OptimizerLike = "clipup",
        ranking_method: str = "centered",
        stdev_max_change: TensorLike | None = 0.2,
        symmetric: bool = True,
        **kwargs: Any,
    ) -> None:
        solution_length, popsize = count("solution_length", solution_length), count("popsize", popsize)
        if symmetric and popsize % 2:
            raise ValueError(f"Solutions come in pairs: `popsize` must be even. Received: popsize={popsize}")
        if center_learning_rate is None:
            center_learning_rate = _radius(stdev_init, radius_init, solution_length) / 30.0
        kind = SymmetricSeparableGaussian if symmetric else SeparableGaussian
        divisor = "num_directions" if symmetric else "num_solutions"

        def distribution(parameters: dict[str, Tensor]) -> SeparableGaussian:
            return kind(parameters | {"divide_mu_grad_by": divisor, "divide_sigma_grad_by": divisor})

        super().__init__(
            objective,
            objective_sense=objective_sense,
            solution_length=solution_length,
            popsize=popsize,
            distribution=distribution,
            center_learning_rate=center_learning_rate,
            stdev_learning_rate=stdev_learning_rate,
            stdev_init=stdev_init,
            radius_init=radius_init,
            optimizer=optimizer,
            ranking_method=ranking_method,
            stdev_max_change=stdev_max_change,
            **kwargs,
        )
        if symmetric and self.bounds is not None and self.bounds.method == "reflect":
            on_bound = (self.center_init.numpy() <= self.bounds.least) | (self.center_init.numpy() >= self.bounds.most)
            if on_bound.any():
                raise ValueError(
                    "`center_init` must lie strictly inside `bounds` where solutions come in pairs, of which each is "
                    "the other's reflection there: move it, or pass symmetric=False. "
                    f"Received: center_init={self.center_init.numpy().tolist()}"
                )

    def _tell_asked(self, state: State, samples: Tensor, fitnesses: Tensor) -> State:
        # Which come in pairs, for sure.
        distribution = state.distribution
        weights = distribution.weights(
            fitnesses, objective_sense=self.objective_sense, ranking_method=self.ranking_method
        )
        return self.update(state, distribution.gradients(distribution.weighted_sums(samples, weights), weights))


def _radius(stdev, radius, solution_length):
    """The radius of the first distribution, the mean one of a batch of searches."""
    if radius is None:
        stdev = np.atleast_1d(1.0 if stdev is None else stdev)
        radius = math.sqrt(solution_length) * np.sqrt(np.mean(np.square(stdev), axis=-1))
    return float(np.mean(radius))
