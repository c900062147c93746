"""Head layer: features -> `DiscretizedLogisticDist`."""

from typing import Any

import keras
import numpy as np
from keras import ops

from kgdists.core.checks import count
from kgdists.core.types import Integer, Tensor, TensorLike
from kgdists.distributions import DiscretizedLogisticDist
from kgdists.distributions.discretized_logistic import as_ints
from kgdists.layers.head import check_units
from kgdists.layers.normal_head import NormalHead

__all__ = ["DiscretizedLogisticHead"]


@keras.saving.register_keras_serializable(package="kgdists")
class DiscretizedLogisticHead(NormalHead):
    """A dense layer whose outputs are the location, and optionally the log-scale, of a `DiscretizedLogisticDist`.

    Parameters
    ----------
    num_dims : int, >= 1
    low, high : int or list of int, length `num_dims`
        Bounds, both included.
    initial_stddev : float
        Of the logistic distribution at the start, in units of half the distance of the bounds.
    **options
        Further arguments of `NormalHead`, without `center` and `scale`, which the bounds settle.

    Examples
    --------
    >>> import keras, kgdists as kg
    >>> head = kg.layers.DiscretizedLogisticHead(2, low=0, high=255)
    >>> head(keras.ops.ones((1, 3))).sample_action().shape
    TensorShape([1, 2])
    """

    def __init__(
        self,
        num_dims: Integer,
        low: TensorLike,
        high: TensorLike,
        initial_stddev: float = 0.5,
        **options: Any,
    ) -> None:
        num_dims = count("num_dims", num_dims)
        low, high = (list(as_ints(bound, num_dims, name)) for bound, name in ((low, "low"), (high, "high")))
        center = [(a + b) / 2 for a, b in zip(low, high, strict=True)]
        scale = [max((b - a) / 2, 0.5) for a, b in zip(low, high, strict=True)]
        options |= {"center": center, "scale": scale}  # also those of a saved head
        super().__init__(num_dims, initial_stddev=initial_stddev, **options)
        check_units(self.compute_dtype, np.maximum(np.abs(low), np.abs(high)), 1)
        self.low, self.high = low, high

    def call(self, features: Tensor) -> DiscretizedLogisticDist:
        mu, logvar = self.mu_and_logvar(features)
        # A logistic distribution of scale s has the variance (pi s)^2 / 3.
        logscale = 0.5 * (logvar + ops.cast(np.log(3.0 / np.pi**2), logvar.dtype))
        return DiscretizedLogisticDist(mu, logscale, self.low, self.high, random_seed=self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"low": self.low, "high": self.high}
