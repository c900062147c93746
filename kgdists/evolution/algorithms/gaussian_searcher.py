"""`GaussianSearcher`: searchers that follow the gradients of their search distribution."""

import math

from kgdists.evolution.optimizers import ascent
from kgdists.evolution.searcher import Searcher, check_number

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
        objective,
        *,
        objective_sense,
        solution_length,
        popsize,
        distribution,
        center_learning_rate,
        stdev_learning_rate,
        optimizer=None,
        **kwargs,
    ):
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

    def init(self, seed=None):
        return self._first(self._first_distribution, self._ascent.init(self.center_init), seed)

    def update(self, state, gradients):
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

    def _within_limits(self, new, old):
        return new.modified_copy(sigma=self._limited(new.sigma, old.sigma))

    def _is_limited(self):
        return not (self.stdev_min is None and self.stdev_max is None and self.stdev_max_change is None)
