"""Head layer: features -> `GaussianMixtureDist`."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.core.checks import count, number
from kgdists.core.types import Integer, Tensor
from kgdists.distributions import GaussianMixtureDist
from kgdists.layers.dense import Dense
from kgdists.layers.head import Orthogonal, seed_of
from kgdists.layers.normal_head import NormalHead
from kgdists.layers.tempered_head import Temperature, TemperedHead
from kgdists.numerics import cholesky

__all__ = ["GaussianMixtureHead"]


@keras.saving.register_keras_serializable(package="kgdists")
class GaussianMixtureHead(TemperedHead):
    """A dense layer whose outputs are the weights, means and covariances of a `GaussianMixtureDist`.

    A mixture density network (Bishop 1994) ends in it. The means start apart, because equal components would stay so.

    Parameters
    ----------
    num_components, num_dims : int, >= 1
    covariance : "diag" or "full"
    initial_spread : float, >= 0
        The means start uniformly distributed within this distance from `center` in each dimension, in units of `scale`.
    initial_stddev, min_stddev, max_stddev : float, 0 < min < initial < max
        Standard deviations of the components at the start and their bounds, in units of `scale`; with full covariances
        those of each dimension given the ones before it.
    center, scale : float or list of float, length `num_dims`, scale > 0
        The units of the event, for instance mean and standard deviation of the data.
    gumbel_tau : float > 0, scalar variable, or schedule
        Temperature at which the distribution's relaxed samples choose among the components, as `boltzmann_tau` of a
        `CategoricalHead`.
    kernel_gain : float
        Gain of the orthogonal initial kernels; a small one starts near the same distribution for all features.
    random_seed : None or int
        An int makes the initial weights and the sequence of draws reproducible.

    Examples
    --------
    >>> import keras, kgdists as kg
    >>> head = kg.layers.GaussianMixtureHead(5, 2)
    >>> head(keras.ops.ones((1, 3))).num_components
    5
    """

    TEMPERATURE = "gumbel_tau"

    def __init__(
        self,
        num_components: Integer,
        num_dims: Integer,
        covariance: Literal["diag", "full"] = "diag",
        initial_spread: float = 1.0,
        initial_stddev: float = 0.5,
        min_stddev: float = 1e-3,
        max_stddev: float = 1e2,
        center: float | Sequence[float] | np.ndarray = 0.0,
        scale: float | Sequence[float] | np.ndarray = 1.0,
        gumbel_tau: Temperature = 0.2,
        kernel_gain: float = 0.01,
        random_seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(gumbel_tau, **kwargs)
        num_components, num_dims = count("num_components", num_components), count("num_dims", num_dims)
        if covariance not in ("diag", "full"):
            raise ValueError(f'`covariance` must be "diag" or "full". Received: covariance={covariance!r}')
        initial_spread = number("initial_spread", initial_spread, least=0)
        self.num_components = num_components
        self.num_dims = num_dims
        self.covariance = covariance
        self.initial_spread = initial_spread
        self.kernel_gain = kernel_gain
        self.random_seed = random_seed = seed_of(random_seed)
        self.seed_generator = keras.random.SeedGenerator(random_seed)
        self.logits = self._dense(num_components, "logits")
        # The means and variances of all components side by side.
        self.components = NormalHead(
            num_components * num_dims,
            state_dependent=True,
            initial_stddev=initial_stddev,
            min_stddev=min_stddev,
            max_stddev=max_stddev,
            center=center if np.ndim(center) == 0 else np.tile(center, num_components),
            scale=scale if np.ndim(scale) == 0 else np.tile(scale, num_components),
            kernel_gain=kernel_gain,
            random_seed=random_seed,
            dtype=self.dtype_policy,
            name="components",
        )
        self.components.mu.bias_initializer = keras.initializers.RandomUniform(
            -initial_spread, initial_spread, seed=random_seed
        )
        self.center, self.scale = np.asarray(center).tolist(), np.asarray(scale).tolist()
        num_lower = num_dims * (num_dims - 1) // 2
        self.lower = self._dense(num_components * num_lower, "lower") if covariance == "full" and num_lower else None

    def _dense(self, units, name):
        initializer = Orthogonal(self.kernel_gain, seed=self.random_seed)
        return Dense(units, kernel_initializer=initializer, dtype=self.dtype_policy, name=name)

    def build(self, features_shape: Sequence[int | None]) -> None:
        super().build(features_shape)
        for layer in (self.logits, self.components, self.lower):
            if layer is not None:
                layer.build(features_shape)

    gumbel_tau = TemperedHead.present_temperature

    def call(self, features: Tensor, training: bool | None = None) -> GaussianMixtureDist:
        mu, logvar = (self._per_component(x) for x in self.components.mu_and_logvar(features))
        spread = {"logvar": logvar}
        if self.covariance == "full":
            unit = ops.eye(self.num_dims, dtype=mu.dtype)
            if self.lower is not None:
                unit = unit + cholesky.strictly_lower(self._per_component(self.lower(features)), self.num_dims)
            spread = {"scale_tril": ops.exp(0.5 * logvar)[..., None] * unit}
        return GaussianMixtureDist(
            self.logits(features),
            mu,
            **spread,
            gumbel_tau=self.next_temperature(training),
            random_seed=self.seed_generator,
        )

    def _per_component(self, x):
        return shapes.reshape_last(x, 1, (self.num_components, x.shape[-1] // self.num_components))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "num_components": self.num_components,
            "num_dims": self.num_dims,
            "covariance": self.covariance,
            "initial_spread": self.initial_spread,
            "initial_stddev": self.components.initial_stddev,
            "min_stddev": self.components.min_stddev,
            "max_stddev": self.components.max_stddev,
            "center": self.center,
            "scale": self.scale,
            "kernel_gain": self.kernel_gain,
            "random_seed": self.random_seed,
        }
