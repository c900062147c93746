"""`ExpSeparableGaussian`: the search distribution of SNES."""

from collections.abc import Mapping
from typing import Any, Self

import tensorflow as tf

from kgdists.core.types import Tensor, TensorLike
from kgdists.evolution.gaussians.search_distribution import SearchDistribution

__all__ = ["ExpSeparableGaussian"]


class ExpSeparableGaussian(SearchDistribution):
    """A Gaussian of independent dimensions, whose log standard deviations are searched (Schaul et al. 2011).

    Weights other than `"nes"` are divided by the sum of their magnitudes.

    Parameters
    ----------
    parameters : dict
        `mu`, `sigma`: tensors, shape [B..., D]; `sigma` > 0.
    solution_length, dtype, device
        See `SearchDistribution`.
    """

    def _balanced(self, utilities, method):
        if method == "nes":
            return utilities
        return tf.math.divide_no_nan(utilities, tf.reduce_sum(tf.abs(utilities), axis=-1, keepdims=True))

    def gradients(self, sums: dict[str, Tensor], weights: Tensor) -> dict[str, Tensor]:
        total = tf.reduce_sum(weights, axis=-1, keepdims=True)
        return {"mu": self.sigma * sums["mu"], "sigma": sums["sigma"] - total}

    def update_parameters(
        self,
        gradients: Mapping[str, TensorLike],
        *,
        learning_rates: Mapping[str, TensorLike | None] | None = None,
        optimizers: Mapping[str, Any] | None = None,
    ) -> Self:
        mu_step, sigma_step = self._steps(gradients, learning_rates, optimizers)
        return self._with(mu=self.mu + mu_step, sigma=self._positive(self.sigma * tf.exp(0.5 * sigma_step)))
