"""`FullGaussian`: any Gaussian, without the inverse of its square root."""

from collections.abc import Mapping
from typing import Any, Self

import tensorflow as tf

from kgdists.core.types import Tensor, TensorLike
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

    def _checked(self, fields: dict[str, Any]) -> dict[str, Any]:
        fields = super()._checked(fields | {"sigma_inv": None})
        return {"mu": fields["mu"], "sigma": fields["sigma"]}

    @property
    def sigma_inv(self) -> Tensor:
        """The inverse of `sigma`."""
        return tf.linalg.inv(self.sigma)

    def modified_copy(
        self, *, dtype: str | tf.DType | None = None, device: str | None = None, **parameters: Any
    ) -> Self:
        return SearchDistribution.modified_copy(self, dtype=dtype, device=device, **parameters)

    def update_parameters(
        self,
        gradients: Mapping[str, TensorLike],
        *,
        learning_rates: Mapping[str, TensorLike | None] | None = None,
        optimizers: Mapping[str, Any] | None = None,
    ) -> Self:
        updated = ExpGaussian(self.parameters).update_parameters(
            gradients, learning_rates=learning_rates, optimizers=optimizers
        )
        return self._with(mu=updated.mu, sigma=updated.sigma)
