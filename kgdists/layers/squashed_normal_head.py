"""Head layer: features -> `SquashedNormalDist`."""

from typing import Any

import keras
import numpy as np

from kgdists.core.types import Integer, Tensor, TensorLike
from kgdists.distributions import SquashedNormalDist
from kgdists.distributions.box import box_of, canonical
from kgdists.layers.head import check_units
from kgdists.layers.normal_head import NormalHead

__all__ = ["SquashedNormalHead"]


@keras.saving.register_keras_serializable(package="kgdists")
class SquashedNormalHead(NormalHead):
    """A dense layer whose outputs are the mean, and optionally the log-variance, of a `SquashedNormalDist`.

    Parameters
    ----------
    num_dims : int, >= 1
    low, high : float or list of float, length `num_dims`
        The bounds, infinite where there are none.
    **options
        Further arguments of `NormalHead`. They concern the normal before it is squashed, where the whole box is between
        -3 and 3 or so, whatever its bounds.

    Examples
    --------
    >>> import keras, kgdists as kg
    >>> head = kg.layers.SquashedNormalHead(2, low=0.0, high=[1.0, 5.0], initial_stddev=0.5)
    >>> head(keras.ops.ones((1, 3))).high
    (1.0, 5.0)
    """

    def __init__(self, num_dims: Integer, low: TensorLike = -1.0, high: TensorLike = 1.0, **options: Any) -> None:
        super().__init__(num_dims, **options)
        self.low, self.high = canonical(low, high, self.num_dims)
        box = box_of(self.low, self.high, "float64")
        check_units(self.compute_dtype, np.abs(box.center) + box.half, box.half / 4)

    def call(self, features: Tensor) -> SquashedNormalDist:
        mu, logvar = self.mu_and_logvar(features)
        return SquashedNormalDist(mu, logvar, self.low, self.high, random_seed=self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"low": self.low, "high": self.high}
