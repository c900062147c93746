"""Features -> `TFPDist`."""

import inspect
import math
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kgdists.core.checks import count
from kgdists.core.types import Integer, Tensor
from kgdists.distributions.wrappers import HALF
from kgdists.interop.tfp.classes import class_of, event_ndims
from kgdists.interop.tfp.tfp_dist import TFPDist

__all__ = ["TFPHead"]


@keras.saving.register_keras_serializable(package="kgdists")
class TFPHead(keras.layers.Layer):
    """Dense layers whose outputs are the parameters of a TFP distribution, one for each parameter.

    TFP's own bijectors keep each parameter in its domain. Under a mixed precision policy the parameters are float32.

    Parameters
    ----------
    distribution : str
        Name of a class of `tfp.distributions` whose parameters are tensors, such as `"Gamma"`.
    num_dims : int, >= 1
        Size of the event: a vector of this many independent scalars, or the size of one event where the class has
        events of its own (`"Dirichlet"`, `"MultivariateNormalTriL"`), or the number of categories (`"Categorical"`).
    kernel_gain : float
        Gain of the orthogonal initial kernels; a small one starts near the same distribution for all features.
    random_seed : None or int
        An int makes the initial weights and the sequence of draws reproducible.
    **kwargs
        Arguments of the class, which are then fixed, such as `df=3.0`, and those of a Keras layer, which owns `name`
        and `dtype`.

    Examples
    --------
    >>> import keras
    >>> from kgdists.interop.tfp import TFPHead
    >>> pi = TFPHead("StudentT", 2, df=3.0)(keras.ops.ones((1, 4)))
    >>> list(pi.params), pi.batch_shape, pi.event_shape
    (['loc', 'scale'], (1,), (2,))
    """

    def __init__(
        self,
        distribution: str,
        num_dims: Integer,
        kernel_gain: float = 0.01,
        random_seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        cls = class_of("distributions", distribution)
        own = set(inspect.signature(cls.__init__).parameters) - {"name", "dtype"}
        fixed = {key: kwargs.pop(key) for key in own & set(kwargs)}
        super().__init__(**kwargs)
        num_dims = count("num_dims", num_dims)
        self.distribution = distribution
        self.num_dims = num_dims
        self.fixed = fixed
        self.kernel_gain = kernel_gain
        self.random_seed = random_seed
        self.seed_generator = keras.random.SeedGenerator(random_seed)
        self.params_dtype = "float32" if self.compute_dtype in HALF else self.compute_dtype
        self.raw, self.constraints = {}, {}
        for key, shape, bijector in _trained_parameters(cls, num_dims, fixed, self.params_dtype):
            raw_shape = tuple(bijector.inverse_event_shape(shape))
            self.constraints[key] = (raw_shape, bijector)
            self.raw[key] = keras.layers.Dense(
                math.prod(raw_shape),
                kernel_initializer=keras.initializers.Orthogonal(kernel_gain, seed=random_seed),
                dtype=self.dtype_policy,
                name=key,
            )

    def build(self, features_shape: Sequence[int | None]) -> None:
        for dense in self.raw.values():
            dense.build(features_shape)

    def call(self, features: Tensor) -> TFPDist:
        params = {}
        for key, (shape, bijector) in self.constraints.items():
            raw = ops.cast(self.raw[key](features), self.params_dtype)
            params[key] = bijector.forward(ops.reshape(raw, (*ops.shape(raw)[:-1], *shape)))
        return TFPDist(self.distribution, params, dict(self.fixed), random_seed=self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "distribution": self.distribution,
            "num_dims": self.num_dims,
            "kernel_gain": self.kernel_gain,
            "random_seed": self.random_seed,
            **self.fixed,
        }


def _trained_parameters(cls, num_dims, fixed, dtype):
    """For each parameter of a TFP class that is not fixed: its name, its shape and the bijector to its domain."""
    if not event_ndims(cls):
        raise ValueError(f"`distribution` must have parameters that are tensors. Received: {cls.__name__}")
    for key, properties in cls.parameter_properties(dtype=tf.as_dtype(dtype)).items():
        if key in fixed or not properties.is_preferred:
            continue
        try:
            bijector = properties.default_constraining_bijector_fn()
        except (NotImplementedError, TypeError):
            raise ValueError(
                f"`{key}` of {cls.__name__} must be fixed: TFP does not say how to keep it in its domain. "
                f"Received: fixed arguments {fixed}"
            ) from None
        try:
            shape = properties.shape_fn(tf.TensorShape([num_dims]))
        except (NotImplementedError, TypeError, ValueError):
            shape = (num_dims,) * properties.event_ndims  # of categories, which TFP cannot tell from an event
        yield key, tf.TensorShape(shape), bijector
