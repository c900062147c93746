"""`SymmetricSeparableGaussian`: solutions in pairs on opposite sides of the centre."""

import numpy as np
import tensorflow as tf

from kgdists.core.types import Integer, Tensor, TensorLike
from kgdists.evolution.gaussians.search_distribution import SearchDistribution
from kgdists.evolution.gaussians.separable_gaussian import SeparableGaussian
from kgdists.evolution.ranking import as_fitnesses

__all__ = ["SymmetricSeparableGaussian"]


class SymmetricSeparableGaussian(SeparableGaussian):
    """A `SeparableGaussian` whose rows `2i` and `2i + 1` are `mu + noise` and `mu - noise` (Sehnke et al. 2010).

    What a fitness is on both sides of the centre cancels in the gradient of `mu`. Populations, and parts of them, have
    an even number of rows. Parameters are those of `SeparableGaussian`.
    """

    SUM_POWERS = SeparableGaussian.SUM_POWERS

    def noise_rows(self, key: Tensor, first_row: Integer | Tensor, num_rows: Integer) -> Tensor:
        _check_even(num_rows, "num_rows")
        if isinstance(first_row, int):
            _check_even(first_row, "first_row")
        return self._noise(key, first_row // 2, num_rows // 2)  # one for a pair

    def _from_noise(self, z):
        shift, mu = self.sigma[..., None, :] * z, self.mu[..., None, :]
        pairs = tf.stack([mu + shift, mu - shift], axis=-2)
        return tf.reshape(pairs, (*shift.shape[:-2], 2 * shift.shape[-2], shift.shape[-1]))

    def _to_noise(self, samples):
        return super()._to_noise(samples[..., 0::2, :])

    def weights(self, fitnesses: TensorLike, *, objective_sense: str, ranking_method: str | None = None) -> Tensor:
        numbers = as_fitnesses(fitnesses)
        _check_even(numbers.shape[-1], "num_solutions")
        return super().weights(numbers, objective_sense=objective_sense, ranking_method=ranking_method)

    def noise_sums(self, z: Tensor, weights: Tensor) -> dict[str, Tensor]:
        plus, minus = weights[..., 0::2], weights[..., 1::2]
        return {
            "mu": tf.linalg.matvec(z, plus - minus, transpose_a=True),
            "sigma": tf.linalg.matvec(z**2, plus + minus, transpose_a=True),
        }

    def _compute_gradients(self, samples, weights, ranking_used):
        plus, minus, mu = samples[..., 0::2, :], samples[..., 1::2, :], self.mu[..., None, :]
        size = tf.abs(plus) + tf.abs(minus) + 2.0 * tf.abs(mu)
        rounding = 8.0 * np.finfo(self.mu.dtype.as_numpy_dtype).eps * size
        in_pairs = tf.reduce_all(tf.abs((plus - mu) + (minus - mu)) <= rounding)
        # The sums of pairs are those of their two samples, so that other samples are told like any.
        sums = tf.cond(
            in_pairs,
            lambda: self.weighted_sums(samples, weights),
            lambda: SearchDistribution.noise_sums(self, SearchDistribution._to_noise(self, samples), weights),
        )
        return self.gradients(sums, weights)

    def _divided(self, mu_gradient, sigma_gradient, weights):
        # A pair is one direction, which counts the mean of its two weights.
        return super()._divided(0.5 * mu_gradient, 0.5 * sigma_gradient, weights)


def _check_even(number, name):
    if number % 2:
        raise ValueError(f"Solutions come in pairs: `{name}` must be even. Received: {name}={number}")
