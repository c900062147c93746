"""`GaussianSearcher`: searchers that follow the gradients of their search distribution."""

import math
from collections.abc import Callable
from typing import Any

from kgdists.core.types import Integer, Seed, Tensor
from kgdists.evolution.arguments import Sense, check_number
from kgdists.evolution.gaussians.search_distribution import SearchDistribution
from kgdists.evolution.optimizers import OptimizerLike, ascent
from kgdists.evolution.searcher import Searcher
from kgdists.evolution.state import State

__all__ = ["GaussianSearcher"]


class GaussianSearcher(Searcher):
    """A searcher whose distribution climbs its own gradients.

    Parameters
    ----------
    objective, objective_sense, solution_length, popsize, **kwargs
        See `Searcher`.
    distribution : callable
        `parameters -> SearchDistribution` of `mu` and `sigma`.
    center_learning_rate, stdev_learning_rate : float, > 0
    optimizer : None, "clipup", ClipUp or keras.optimizers.Optimizer
        What moves the center, instead of the learning rate alone; `"clipup"` has that as its step size. A Keras
        optimizer has its own learning rate, which may be a schedule over the generations.
    """

    def __init__(
        self,
        objective: Callable[..., Any] | None,
        *,
        objective_sense: Sense,
        solution_length: Integer,
        popsize: Integer,
        distribution: Callable[[dict[str, Tensor]], SearchDistribution],
        center_learning_rate: float,
        stdev_learning_rate: float,
        optimizer: OptimizerLike = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            objective, objective_sense=objective_sense, solution_length=solution_length, popsize=popsize, **kwargs
        )
        for name, rate in (
            ("center_learning_rate", center_learning_rate),
            ("stdev_learning_rate", stdev_learning_rate),
        ):
            check_number(name, rate, 0.0, math.inf)
        self.center_learning_rate = center_learning_rate
        self.stdev_learning_rate = stdev_learning_rate
        self._first_distribution = distribution({"mu": self.center_init, "sigma": self.stdev_init})
        self._ascent = ascent(optimizer, center_learning_rate, self.center_init)

    def init(self, seed: Seed = None) -> State:
        return self._first(self._first_distribution, self._ascent.init(self.center_init), seed)

    def update(self, state: State, gradients: dict[str, Tensor]) -> State:
        old = state.distribution
        center, stdev = old.GRADIENTS
        step, memory = self._ascent.ascent(gradients[center], state.extra, old.mu)
        new = old.update_parameters(
            {center: step, stdev: gradients[stdev]},
            learning_rates={center: 1.0, stdev: self.stdev_learning_rate},
        )
        if self._is_limited():
            new = self._within_limits(new, old)
        return state._replace(generation=state.generation + 1, distribution=new, extra=memory)

    def _within_limits(self, new: SearchDistribution, old: SearchDistribution) -> SearchDistribution:
        return new.modified_copy(sigma=self._limited(new.sigma, old.sigma))

    def _is_limited(self) -> bool:
        return not (self.stdev_min is None and self.stdev_max is None and self.stdev_max_change is None)
