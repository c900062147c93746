"""Head layer: features -> `MultivariateNormalDist`."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kgdists.core.types import Integer, Tensor
from kgdists.distributions import MultivariateNormalDist
from kgdists.layers.dense import Dense
from kgdists.layers.head import Orthogonal
from kgdists.layers.normal_head import NormalHead
from kgdists.numerics import cholesky
from kgdists.random import split

__all__ = ["MultivariateNormalHead"]


@keras.saving.register_keras_serializable(package="kgdists")
class MultivariateNormalHead(NormalHead):
    r"""A dense layer whose outputs are the mean, and optionally the covariance, of a `MultivariateNormalDist`.

    The Cholesky factor of the covariance is :math:`\mathrm{diag}(\sigma) (1 + W)`: standard deviations as those of a
    `NormalHead`, within its bounds, and a strictly lower triangular W, which starts at (or, state-dependent, near) 0:
    independent dimensions.

    Parameters
    ----------
    num_dims : int, >= 1
    state_dependent : bool
        Whether the covariance depends on the features or is one trained matrix.
    **options
        Further arguments of `NormalHead`.

    Examples
    --------
    >>> import keras, kgdists as kg
    >>> head = kg.layers.MultivariateNormalHead(2, initial_stddev=0.5)
    >>> head(keras.ops.ones((1, 3))).covariance().shape
    TensorShape([1, 2, 2])
    """

    def __init__(self, num_dims: Integer, state_dependent: bool = False, **options: Any) -> None:
        super().__init__(num_dims, state_dependent, **options)
        self.num_lower = self.num_dims * (self.num_dims - 1) // 2
        if state_dependent and self.num_lower:
            self.lower = Dense(
                self.num_lower,
                kernel_initializer=Orthogonal(self.kernel_gain, seed=split(self.random_seed, 2)[1]),
                dtype=self.dtype_policy,
                name="lower",
            )

    def build(self, features_shape: Sequence[int | None]) -> None:
        super().build(features_shape)
        if self.num_lower and self.state_dependent:
            self.lower.build(features_shape)
        elif self.num_lower:
            self.lower_weight = self.add_weight((self.num_lower,), "zeros", name="lower")

    def call(self, features: Tensor) -> MultivariateNormalDist:
        mu, logvar = self.mu_and_logvar(features)
        unit = ops.eye(self.num_dims, dtype=mu.dtype)
        if self.num_lower:
            entries = self.lower(features) if self.state_dependent else self.lower_weight
            unit = unit + cholesky.strictly_lower(entries, self.num_dims)
        scale_tril = ops.exp(0.5 * logvar)[..., None] * unit
        return MultivariateNormalDist(mu, scale_tril, random_seed=self.seed_generator)
