"""Head layer: features -> `ClippedNormalDist`."""

from typing import Any

import keras
import numpy as np

from kgdists.core.checks import count
from kgdists.core.types import Integer, Tensor, TensorLike
from kgdists.distributions import ClippedNormalDist
from kgdists.distributions.box import box_of, canonical
from kgdists.layers.normal_head import NormalHead

__all__ = ["ClippedNormalHead"]


@keras.saving.register_keras_serializable(package="kgdists")
class ClippedNormalHead(NormalHead):
    """A dense layer whose outputs are the mean, and optionally the log-variance, of a `ClippedNormalDist`.

    Parameters
    ----------
    num_dims : int, >= 1
    low, high : float or list of float, length `num_dims`
        The bounds, infinite where there are none.
    **options
        Further arguments of `NormalHead`, `center` and `scale` apart: these are the middle and half the width of the
        box; with one bound a point 1 inside of it and 1, with none 0 and 1.

    Examples
    --------
    >>> import keras, kgdists as kg
    >>> head = kg.layers.ClippedNormalHead(2, low=0.0, high=[1.0, 5.0], initial_stddev=0.5)
    >>> head.center, head.scale
    ([0.5, 2.5], [0.5, 2.5])
    """

    def __init__(self, num_dims: Integer, low: TensorLike = -1.0, high: TensorLike = 1.0, **options: Any) -> None:
        bounds = canonical(low, high, count("num_dims", num_dims))
        box = box_of(*bounds, "float64")
        open_center = np.where(box.constant, box.low, box.low + box.high + box.below * 1.0 - box.above * 1.0)
        center = np.where(box.both, box.center, open_center).tolist()
        super().__init__(num_dims, **options | {"center": center, "scale": np.asarray(box.half).tolist()})
        self.low, self.high = bounds

    def call(self, features: Tensor) -> ClippedNormalDist:
        mu, logvar = self.mu_and_logvar(features)
        return ClippedNormalDist(mu, logvar, self.low, self.high, random_seed=self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"low": self.low, "high": self.high}
