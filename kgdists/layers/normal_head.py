"""Head layer: features -> `NormalDist`."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kgdists.core.checks import count
from kgdists.core.types import Integer, Tensor
from kgdists.distributions import NormalDist
from kgdists.distributions.distribution import Distribution
from kgdists.layers.dense import Dense
from kgdists.layers.head import Head, Orthogonal, check_units, seed_of
from kgdists.numerics import special
from kgdists.random import split

__all__ = ["NormalHead"]


@keras.saving.register_keras_serializable(package="kgdists")
class NormalHead(Head):
    """A dense layer whose outputs are the mean, and optionally the log-variance, of a `NormalDist`.

    `mu = center + scale * dense(features)`, and the standard deviation is `scale` times one that is kept smoothly
    between `min_stddev` and `max_stddev`.

    Parameters
    ----------
    num_dims : int, >= 1
    state_dependent : bool
        Whether the log-variance depends on the features or is one trained vector.
    initial_stddev, min_stddev, max_stddev : float, 0 < min < initial < max
        Standard deviation at the start and its bounds, in units of `scale`.
    center, scale : float or list of float, length `num_dims`, scale > 0
        The units of the event, for instance the middle and half the width of a box of actions.
    kernel_gain : float
        Gain of the orthogonal initial kernels; a small one starts near the same distribution for all features.
    random_seed : None or int
        An int makes the initial weights and the sequence of draws reproducible.

    Examples
    --------
    >>> import keras, kgdists as kg
    >>> head = kg.layers.NormalHead(2, initial_stddev=0.5)
    >>> head(keras.ops.ones((1, 3))).event_shape
    (2,)
    """

    def __init__(
        self,
        num_dims: Integer,
        state_dependent: bool = False,
        initial_stddev: float = 1.0,
        min_stddev: float = 1e-3,
        max_stddev: float = 1e2,
        center: float | Sequence[float] | np.ndarray = 0.0,
        scale: float | Sequence[float] | np.ndarray = 1.0,
        kernel_gain: float = 0.01,
        random_seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        num_dims = count("num_dims", num_dims)
        if not 0 < min_stddev < initial_stddev < max_stddev < np.inf:
            raise ValueError(
                "Standard deviations must satisfy 0 < min_stddev < initial_stddev < max_stddev. Received: "
                f"min_stddev={min_stddev}, initial_stddev={initial_stddev}, max_stddev={max_stddev}"
            )
        if np.shape(center) not in ((), (num_dims,)) or np.shape(scale) not in ((), (num_dims,)):
            raise ValueError(
                f"`center` and `scale` must be numbers or lists of length {num_dims}. "
                f"Received: center={center}, scale={scale}"
            )
        if not np.all(np.isfinite(center)) or not np.all(np.isfinite(scale)) or not np.all(np.asarray(scale) > 0):
            raise ValueError(f"`center` and `scale` must be finite, `scale` > 0. Received: {center} and {scale}")
        check_units(self.compute_dtype, np.abs(center) + scale, np.asarray(scale) / 4)
        self.num_dims = num_dims
        self.state_dependent = state_dependent
        self.initial_stddev = initial_stddev
        self.min_stddev = min_stddev
        self.max_stddev = max_stddev
        self.center = np.asarray(center).tolist()
        self.scale = np.asarray(scale).tolist()
        self.kernel_gain = kernel_gain
        self.random_seed = random_seed = seed_of(random_seed)
        self.seed_generator = keras.random.SeedGenerator(random_seed)
        self.mu = Dense(
            num_dims,
            kernel_initializer=Orthogonal(kernel_gain, seed=random_seed),
            dtype=self.dtype_policy,
            name="mu",
        )
        self.logvar_bounds = (2.0 * np.log(min_stddev).item(), 2.0 * np.log(max_stddev).item())
        start = special.soft_clip_inverse(2.0 * np.log(initial_stddev), *self.logvar_bounds).item()
        self.initial_logvar = keras.initializers.Constant(start)
        if state_dependent:
            self.logvar = Dense(
                num_dims,
                kernel_initializer=Orthogonal(kernel_gain, seed=split(random_seed, 1)[0]),
                bias_initializer=self.initial_logvar,
                dtype=self.dtype_policy,
                name="logvar",
            )

    def build(self, features_shape: Sequence[int | None]) -> None:
        self.mu.build(features_shape)
        if self.state_dependent:
            self.logvar.build(features_shape)
        else:
            self.logvar_weight = self.add_weight((self.num_dims,), self.initial_logvar, name="logvar")

    def call(self, features: Tensor) -> Distribution:
        return NormalDist(*self.mu_and_logvar(features), random_seed=self.seed_generator)

    def mu_and_logvar(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The parameters for these features."""
        mu = self.mu(features)
        raw = self.logvar(features) if self.state_dependent else self.logvar_weight + ops.zeros_like(mu)
        center, scale = (ops.convert_to_tensor(x, mu.dtype) for x in (self.center, self.scale))
        logvar = 2.0 * ops.log(scale) + special.soft_clip(raw, *self.logvar_bounds)
        return center + scale * mu, logvar

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "num_dims": self.num_dims,
            "state_dependent": self.state_dependent,
            "initial_stddev": self.initial_stddev,
            "min_stddev": self.min_stddev,
            "max_stddev": self.max_stddev,
            "center": self.center,
            "scale": self.scale,
            "kernel_gain": self.kernel_gain,
            "random_seed": self.random_seed,
        }
