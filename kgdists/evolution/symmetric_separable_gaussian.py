"""`SymmetricSeparableGaussian`: solutions in pairs on opposite sides of the centre."""

import tensorflow as tf

from kgdists.evolution.separable_gaussian import SeparableGaussian

__all__ = ["SymmetricSeparableGaussian"]


class SymmetricSeparableGaussian(SeparableGaussian):
    """A `SeparableGaussian` whose rows `2i` and `2i + 1` are `mu + noise` and `mu - noise` (Sehnke et al. 2010).

    What a fitness is on both sides of the centre cancels in the gradient of `mu`. Populations, and parts of them, have
    an even number of rows. Parameters are those of `SeparableGaussian`.
    """

    def sample_rows(self, key, first_row, num_rows):
        _check_even(num_rows, "num_rows")
        if isinstance(first_row, int):
            _check_even(first_row, "first_row")
        shift = self.sigma[..., None, :] * self._noise(key, first_row // 2, num_rows // 2)
        mu = self.mu[..., None, :]
        pairs = tf.stack([mu + shift, mu - shift], axis=-2)
        return tf.reshape(pairs, (*self.batch_shape, num_rows, self.solution_length))

    def weights(self, fitnesses, *, objective_sense, ranking_method=None):
        _check_even(fitnesses.shape[-1], "num_solutions")
        return super().weights(fitnesses, objective_sense=objective_sense, ranking_method=ranking_method)

    def weighted_sums(self, samples, weights):
        if self.parenthood_ratio is not None:
            return super().weighted_sums(samples, weights)
        plus, minus = weights[..., 0::2], weights[..., 1::2]
        one_side = samples[..., 0::2, :]
        odd, even = (
            super().weighted_sums(one_side, 0.5 * (plus - minus)),
            super().weighted_sums(one_side, 0.5 * (plus + minus)),
        )
        return {"mu": odd["mu"], "sigma": even["sigma"]}

    def gradients(self, sums, weights):
        if self.parenthood_ratio is not None:
            return super().gradients(sums, weights)
        # A pair is one direction, which counts the mean of its two weights.
        total = 0.5 * tf.reduce_sum(weights, axis=-1, keepdims=True)
        return self._divided(self.sigma * sums["mu"], self.sigma * (sums["sigma"] - total), weights)


def _check_even(number, name):
    if number % 2:
        raise ValueError(f"Solutions come in pairs: `{name}` must be even. Received: {name}={number}")
