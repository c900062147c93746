"""`XNES`: exponential natural evolution strategies."""

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from kgdists.core.checks import count
from kgdists.core.types import Integer, Tensor, TensorLike
from kgdists.evolution.algorithms.coordinates import coordinates
from kgdists.evolution.algorithms.gaussian_searcher import GaussianSearcher
from kgdists.evolution.algorithms.snes import default_popsize
from kgdists.evolution.arguments import Sense, check_number
from kgdists.evolution.gaussians.exp_gaussian import ExpGaussian
from kgdists.evolution.gaussians.search_distribution import SearchDistribution
from kgdists.evolution.optimizers import OptimizerLike
from kgdists.evolution.state import State, checked, drawn, told

__all__ = ["XNES"]


class XNES(GaussianSearcher):
    """Search with a full covariance matrix by natural gradients, the same in any coordinates (Glasmachers et al. 2010).

    A generation takes time of the order of D^3.

    Parameters
    ----------
    objective, objective_sense, solution_length, **kwargs
        See `Searcher`. Limits of standard deviations are those of the axes of the space.
    popsize : None or int
        None is `4 + floor(3 log D)`.
    center_learning_rate : float
    stdev_learning_rate : None or float
        None is `0.6 (3 + log D) / (D sqrt(D))`; a number is multiplied by that, unless
    scale_learning_rate : bool
        is False.
    optimizer : None, "clipup", ClipUp or keras.optimizers.Optimizer
        See `GaussianSearcher`. Its steps are those of the coordinates in which the distribution is a standard normal.
    ranking_method : str

    Examples
    --------
    >>> import tensorflow as tf
    >>> from kgdists.evolution import XNES
    >>> def rosenbrock(x):
    ...     return tf.reduce_sum(100.0 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1.0 - x[..., :-1]) ** 2, axis=-1)
    >>> searcher = XNES(rosenbrock, objective_sense="min", solution_length=2, stdev_init=0.3, seed=0)
    >>> history = searcher.run(300, verbose=0)
    >>> bool(searcher.best.fitness < 1e-6)
    True
    """

    MOVES_BY_SUMS = True

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
        natural = 0.6 * (3.0 + math.log(solution_length)) / (solution_length * math.sqrt(solution_length))
        if stdev_learning_rate is None:
            stdev_learning_rate = natural
        elif scale_learning_rate:
            stdev_learning_rate *= natural
        super().__init__(
            objective,
            objective_sense=objective_sense,
            solution_length=solution_length,
            popsize=default_popsize(solution_length) if popsize is None else popsize,
            distribution=ExpGaussian,
            center_learning_rate=center_learning_rate,
            stdev_learning_rate=stdev_learning_rate,
            optimizer=optimizer,
            ranking_method=ranking_method,
            **kwargs,
        )

    def tell(self, state: State, samples: TensorLike, fitnesses: TensorLike) -> State:
        """The next state, by the fitnesses [B..., N] of any samples [B..., N, D]; see `Searcher.tell`.

        The coordinates z of what `ask` returned are drawn again: once a direction is as thin as the samples' rounding,
        they do not follow from the samples. Those of others are solved for, see `coordinates`.
        """
        x, ranked = told(state, samples, fitnesses)
        numbers = drawn(state, max(self.popsize, x.shape[-2]))
        return checked(self._moved(state, coordinates(state.distribution, numbers, x), ranked))

    def _tell_asked(self, state: State, samples: Tensor, fitnesses: Tensor) -> State:
        return self._moved(state, drawn(state, fitnesses.shape[-1]), fitnesses)

    def _moved(self, state: State, z: Tensor, fitnesses: Tensor) -> State:
        distribution = state.distribution
        weights = distribution.weights(
            fitnesses, objective_sense=self.objective_sense, ranking_method=self.ranking_method
        )
        return self.update(state, distribution.gradients(distribution.noise_sums(z, weights), weights))

    def _within_limits(self, new: SearchDistribution, old: SearchDistribution) -> SearchDistribution:
        # Dimensions are scaled, which leaves their correlations.
        stdev = tf.norm(new.sigma, axis=-1)
        scale = self._limited(stdev, tf.norm(old.sigma, axis=-1)) / stdev
        return new.modified_copy(sigma=scale[..., None] * new.sigma, sigma_inv=new.sigma_inv / scale[..., None, :])
