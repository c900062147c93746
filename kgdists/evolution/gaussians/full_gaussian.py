"""`FullGaussian`: any Gaussian, without the inverse of its square root."""

import tensorflow as tf

from kgdists.evolution.gaussians.exp_gaussian import ExpGaussian
from kgdists.evolution.gaussians.search_distribution import SearchDistribution

__all__ = ["FullGaussian"]


class FullGaussian(ExpGaussian):
    """An `ExpGaussian` that keeps only `mu` and `sigma`: its inverse is computed where it is asked for.

    Parameters
    ----------
    parameters : dict
        `mu`: tensor, shape [B..., D]. `sigma`: tensor A, shape [B..., D, D], or the diagonal of one, shape [B..., D].
    solution_length, dtype, device
        See `SearchDistribution`.
    """

    OPTIONAL_PARAMETERS = frozenset()
    TENSORS = ("mu", "sigma")

    def _checked(self, fields):
        fields = super()._checked(fields | {"sigma_inv": None})
        return {"mu": fields["mu"], "sigma": fields["sigma"]}

    @property
    def sigma_inv(self):
        """The inverse of `sigma`."""
        return tf.linalg.inv(self.sigma)

    def modified_copy(self, *, dtype=None, device=None, **parameters):
        return SearchDistribution.modified_copy(self, dtype=dtype, device=device, **parameters)

    def update_parameters(self, gradients, *, learning_rates=None, optimizers=None):
        updated = ExpGaussian(self.parameters).update_parameters(
            gradients, learning_rates=learning_rates, optimizers=optimizers
        )
        return self._with(mu=updated.mu, sigma=updated.sigma)
