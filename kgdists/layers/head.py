"""The base of heads: layers of features whose output is a distribution."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kgdists.core import backend
from kgdists.core.types import Tensor, TensorLike
from kgdists.distributions.distribution import Distribution

__all__ = ["Head", "Orthogonal", "check_units"]

HALF = {"float16": (2.0**-10, 65504.0), "bfloat16": (2.0**-7, 3.38e38)}  # distance of 1 to the next, largest number


@keras.saving.register_keras_serializable(package="kgdists")
class Orthogonal(keras.initializers.Orthogonal):
    """Keras' initializer, for half precision too, of which TensorFlow has no QR decomposition, or a poor one."""

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        if dtype not in HALF:
            return super().__call__(shape, dtype)
        return ops.cast(super().__call__(shape, "float32"), dtype)


def check_units(dtype: str, largest: TensorLike, step: TensorLike) -> None:
    """Raise unless half precision, if that is the dtype of a head, holds the events.

    Parameters
    ----------
    dtype : str
    largest : float or floats, > 0
        Their largest magnitude.
    step : float or floats, > 0
        What must be told apart there.

    Raises
    ------
    ValueError
        If numbers this large are infinite, or further apart than `step`.
    """
    if dtype not in HALF:
        return
    eps, most = HALF[dtype]
    if np.any(np.asarray(largest) > most) or np.any(np.ldexp(eps, np.frexp(largest)[1] - 1) > np.asarray(step)):
        raise ValueError(
            f"Events must be numbers that {dtype} tells apart: give the head `dtype='float32'`, or make the policy "
            f"`'mixed_{dtype}'`, under which heads compute in float32. Received: magnitudes up to {np.max(largest):g}"
        )


class Head(keras.layers.Layer):
    """A layer of features, shape [B..., f], whose output is a distribution of batch shape [B...].

    A subclass defines `call`. Keras' masks of the features, those of padded steps, pass to the losses of a
    `kgdists.Model`, and a summary shows the shapes of the parameters.

    Under a mixed policy, `"mixed_float16"` for instance, a head computes in the dtype of its weights, float32: half
    precision holds neither targets beyond 65504 nor small differences of large ones.

    Parameters
    ----------
    **kwargs
        Of `keras.layers.Layer`: `name`, `dtype`, `trainable`.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        if self.compute_dtype != self.variable_dtype:
            self.dtype_policy = self.variable_dtype

    __call__ = backend.takes_no_masked(keras.layers.Layer.__call__)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Distribution:
        # By `call`, since shapes alone do not tell the distribution.
        return keras.Operation.compute_output_spec(self, *args, **kwargs)

    def compute_output_shape(self, features_shape: Sequence[int | None]) -> dict[str, tuple[int | None, ...]]:
        """Name -> shape of the parameters for features of a shape."""
        dist = self.compute_output_spec(keras.KerasTensor(tuple(features_shape), self.compute_dtype))
        return {name: tuple(x.shape) for name, x in dist.params.items()}
