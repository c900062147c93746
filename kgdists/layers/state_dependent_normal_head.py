"""Head layer: features -> `StateDependentNormalDist`."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kgdists.core.types import Integer, Tensor
from kgdists.distributions import StateDependentNormalDist
from kgdists.layers.normal_head import NormalHead
from kgdists.numerics import special

__all__ = ["StateDependentNormalHead"]


@keras.saving.register_keras_serializable(package="kgdists")
class StateDependentNormalHead(NormalHead):
    r"""A dense layer for the mean and trained standard deviations per feature of a `StateDependentNormalDist`.

    Generalised state-dependent exploration (Raffin et al. 2021): the noise is linear in the features, best those of a
    trunk that ends in tanh. Draws of one seed explore smoothly; see `StateDependentNormalDist`.

    Parameters
    ----------
    num_dims : int, >= 1
    initial_stddev, min_stddev, max_stddev : float, 0 < min < initial < max
        Standard deviation of the action at the start, and its bounds, in units of `scale`, for features of mean square
        1; each feature's share of the variance is the same at the start.
    train_through_features : bool
        Whether the gradient of the noise reaches the features. Without, as in the paper, they learn from the mean.
    **options
        Further arguments of `NormalHead`, but `state_dependent`.

    Examples
    --------
    >>> import keras, kgdists as kg
    >>> head = kg.layers.StateDependentNormalHead(2, initial_stddev=0.5)
    >>> head(keras.ops.ones((1, 3))).loadings.shape
    TensorShape([1, 3, 2])
    """

    def __init__(
        self, num_dims: Integer, initial_stddev: float = 1.0, train_through_features: bool = False, **options: Any
    ) -> None:
        super().__init__(num_dims, initial_stddev=initial_stddev, **options)
        if self.state_dependent:
            raise ValueError("`state_dependent` must be False: features enter by the loadings. Received: True")
        self.train_through_features = train_through_features

    def build(self, features_shape: Sequence[int | None]) -> None:
        self.mu.build(features_shape)
        shape = (features_shape[-1], self.num_dims)
        self.logvar_weight = self.add_weight(shape, self.initial_logvar, name="logvar")

    def call(self, features: Tensor) -> StateDependentNormalDist:
        mu = self.mu(features)
        center, scale = (ops.convert_to_tensor(x, mu.dtype) for x in (self.center, self.scale))
        logvar = special.soft_clip(self.logvar_weight, *self.logvar_bounds)
        stddev = scale * ops.exp(0.5 * logvar) / features.shape[-1] ** 0.5
        exploring = features if self.train_through_features else ops.stop_gradient(features)
        loadings = ops.cast(exploring, mu.dtype)[..., None] * stddev
        return StateDependentNormalDist(center + scale * mu, loadings, random_seed=self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["state_dependent"]
        return config | {"train_through_features": self.train_through_features}
