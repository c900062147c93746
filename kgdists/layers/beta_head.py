"""Head layer: features -> `BetaDist`."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kgdists.core.checks import count
from kgdists.core.types import Integer, Tensor, TensorLike
from kgdists.distributions import BetaDist
from kgdists.distributions.box import box_of, canonical
from kgdists.layers.dense import Dense
from kgdists.layers.head import Head, Orthogonal, check_units, seed_of
from kgdists.numerics import special

__all__ = ["BetaHead"]


@keras.saving.register_keras_serializable(package="kgdists")
class BetaHead(Head):
    """A dense layer whose outputs are the concentrations of a `BetaDist`.

    `alpha` and `beta` are `dense(features)`, kept smoothly between `min_concentration` and `max_concentration`: near
    the lower one they are `min_concentration + softplus(...)`.

    Parameters
    ----------
    num_dims : int, >= 1
    low, high : float or list of float, length `num_dims`, finite
        The bounds.
    initial_concentration, min_concentration, max_concentration : float, 0 < min < initial < max
        Concentrations at the start and their bounds. With at least 1 the density has a single peak, and stays finite at
        the bounds.
    kernel_gain : float
        Gain of the orthogonal initial kernel; a small one starts near the same distribution for all features.
    random_seed : None or int
        An int makes the initial weights and the sequence of draws reproducible.

    Examples
    --------
    >>> import keras, kgdists as kg
    >>> head = kg.layers.BetaHead(2, low=-1.0, high=[1.0, 5.0])
    >>> head(keras.ops.ones((1, 3))).event_shape
    (2,)
    """

    def __init__(
        self,
        num_dims: Integer,
        low: TensorLike = 0.0,
        high: TensorLike = 1.0,
        initial_concentration: float = 2.0,
        min_concentration: float = 1.0,
        max_concentration: float = 1e4,
        kernel_gain: float = 0.01,
        random_seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        num_dims = count("num_dims", num_dims)
        if not 0 < min_concentration < initial_concentration < max_concentration < np.inf:
            raise ValueError(
                "Concentrations must satisfy 0 < min_concentration < initial_concentration < max_concentration. "
                f"Received: min_concentration={min_concentration}, initial_concentration={initial_concentration}, "
                f"max_concentration={max_concentration}"
            )
        self.num_dims = num_dims
        self.low, self.high = canonical(low, high, num_dims)
        if not np.isfinite(self.low).all() or not np.isfinite(self.high).all():
            raise ValueError(f"`low` and `high` must be finite. Received: low={low}, high={high}")
        box = box_of(self.low, self.high, "float64")
        check_units(self.compute_dtype, np.abs(box.center) + box.half, box.half / 4)
        self.initial_concentration = initial_concentration
        self.min_concentration = min_concentration
        self.max_concentration = max_concentration
        self.kernel_gain = kernel_gain
        self.random_seed = random_seed = seed_of(random_seed)
        self.seed_generator = keras.random.SeedGenerator(random_seed)
        start = special.soft_clip_inverse(initial_concentration, min_concentration, max_concentration).item()
        self.dense = Dense(
            2 * num_dims,
            kernel_initializer=Orthogonal(kernel_gain, seed=random_seed),
            bias_initializer=keras.initializers.Constant(start),
            dtype=self.dtype_policy,
            name="concentrations",
        )

    def build(self, features_shape: Sequence[int | None]) -> None:
        self.dense.build(features_shape)

    def call(self, features: Tensor) -> BetaDist:
        concentrations = special.soft_clip(self.dense(features), self.min_concentration, self.max_concentration)
        alpha, beta = ops.split(concentrations, 2, axis=-1)
        return BetaDist(alpha, beta, self.low, self.high, random_seed=self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "num_dims": self.num_dims,
            "low": self.low,
            "high": self.high,
            "initial_concentration": self.initial_concentration,
            "min_concentration": self.min_concentration,
            "max_concentration": self.max_concentration,
            "kernel_gain": self.kernel_gain,
            "random_seed": self.random_seed,
        }
