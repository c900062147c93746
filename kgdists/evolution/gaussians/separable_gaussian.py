"""`SeparableGaussian`: the search distribution of PGPE and of the cross-entropy method."""

import math
import numbers
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import tensorflow as tf

from kgdists.core.checks import choice
from kgdists.core.types import Integer, Tensor, TensorLike
from kgdists.evolution.gaussians.search_distribution import SearchDistribution
from kgdists.evolution.ranking import share

__all__ = ["DIVISORS", "SeparableGaussian"]

SIGMA_FLOOR = 1e-3  # of the old sigma: no update leaves less
DIVISORS = ("num_solutions", "num_directions", "total_weight", "weight_stdev")


class SeparableGaussian(SearchDistribution):
    """A Gaussian of independent dimensions, whose standard deviations are searched additively (Sehnke et al. 2010).

    An update leaves at least a thousandth of each of them.

    Parameters
    ----------
    parameters : dict
        `mu`, `sigma`: tensors, shape [B..., D]; `sigma` > 0.

        `divide_mu_grad_by`, `divide_sigma_grad_by` : optional
            `"num_solutions"`, `"num_directions"` (half of it), `"total_weight"` (sum of magnitudes) or
            `"weight_stdev"`.

        `parenthood_ratio` : optional
            The part of a population, in (0, 1], that is its elite, of at least two. The gradients then lead to the
            mean and the standard deviation of the elite; rankings and divisors make no difference.
    solution_length, dtype, device
        See `SearchDistribution`.

    Examples
    --------
    >>> from kgdists.evolution import SeparableGaussian
    >>> dist = SeparableGaussian({"mu": [0.0, 0.0], "sigma": [1.0, 2.0]})
    >>> samples = dist.sample(100, generator=1)
    >>> gradients = dist.compute_gradients(samples, samples[:, 0], objective_sense="max", ranking_method="centered")
    >>> bool(dist.update_parameters(gradients, learning_rates={"mu": 0.1, "sigma": 0.1}).mu[0] > 1.0)
    True
    """

    OPTIONAL_PARAMETERS = frozenset({"divide_mu_grad_by", "divide_sigma_grad_by", "parenthood_ratio"})

    def _checked(self, fields: dict[str, Any]) -> dict[str, Any]:
        for name in ("divide_mu_grad_by", "divide_sigma_grad_by"):
            if fields[name] is not None:
                choice(name, fields[name], DIVISORS)
        ratio = fields["parenthood_ratio"]
        if ratio is not None and not (isinstance(ratio, numbers.Real) and not ratio <= 0.0 and ratio <= 1.0):
            raise ValueError(f"`parenthood_ratio` must be a number in (0, 1]. Received: {ratio!r}")
        return super()._checked(fields)

    def _weights(self, fitnesses, method, higher_is_better):
        if self.parenthood_ratio is None:
            return super()._weights(fitnesses, method, higher_is_better)
        length = fitnesses.shape[-1]
        elites = self.check_elite(length)
        elite = np.where(np.arange(length) < length - elites, 0.0, 1.0 / elites)
        return share(fitnesses, elite, higher_is_better)

    def check_elite(self, num_solutions: Integer) -> int:
        """The number of solutions of the elite of a population; raises a ValueError unless these are two."""
        elites = math.floor(num_solutions * self.parenthood_ratio)
        if elites < 2:
            raise ValueError(
                f"An elite must have at least 2 solutions. Received: {num_solutions} solutions and "
                f"parenthood_ratio={self.parenthood_ratio}"
            )
        return elites

    def gradients(self, sums: dict[str, Tensor], weights: Tensor) -> dict[str, Tensor]:
        total = tf.reduce_sum(weights, axis=-1, keepdims=True)
        if self.parenthood_ratio is not None:
            elites = self.check_elite(weights.shape[-1])
            variance = tf.maximum(sums["sigma"] - sums["mu"] ** 2, 0.0) * (elites / (elites - 1))
            change = tf.where(total > 0.0, tf.sqrt(variance) - 1.0, 0.0)
            return {"mu": self.sigma * sums["mu"], "sigma": self.sigma * change}
        return self._divided(self.sigma * sums["mu"], self.sigma * (sums["sigma"] - total), weights)

    def _divided(self, mu_gradient, sigma_gradient, weights):
        return {
            "mu": _divided(mu_gradient, weights, self.divide_mu_grad_by),
            "sigma": _divided(sigma_gradient, weights, self.divide_sigma_grad_by),
        }

    def update_parameters(
        self,
        gradients: Mapping[str, TensorLike],
        *,
        learning_rates: Mapping[str, TensorLike | None] | None = None,
        optimizers: Mapping[str, Any] | None = None,
    ) -> Self:
        mu_step, sigma_step = self._steps(gradients, learning_rates, optimizers)
        sigma = tf.maximum(self.sigma + sigma_step, SIGMA_FLOOR * self.sigma)
        return self._with(mu=self.mu + mu_step, sigma=self._positive(sigma))


def _divided(gradient, weights, by):
    length = weights.shape[-1]
    if by is None:
        return gradient
    if by == "num_solutions":
        return gradient / length
    if by == "num_directions":
        return gradient / max(length // 2, 1)
    if by == "total_weight":
        return tf.math.divide_no_nan(gradient, tf.reduce_sum(tf.abs(weights), axis=-1, keepdims=True))
    deviations = weights - tf.reduce_mean(weights, axis=-1, keepdims=True)
    variance = tf.reduce_sum(deviations**2, axis=-1, keepdims=True) / max(length - 1, 1)
    return tf.math.divide_no_nan(gradient, tf.sqrt(variance))
