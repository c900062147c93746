"""The base of heads: layers of features whose output is a distribution."""

import operator
from collections.abc import Sequence
from typing import Any, NoReturn

import keras
import numpy as np
from keras import ops

from kgdists.core import backend, pytree
from kgdists.core.checks import is_count
from kgdists.core.types import Integer, Tensor, TensorLike
from kgdists.distributions.distribution import TENSOR_RULE, Distribution

__all__ = ["Head", "Orthogonal", "check_units", "seed_of"]

HALF = {"float16": (2.0**-10, 65504.0), "bfloat16": (2.0**-7, 3.38e38)}  # distance of 1 to the next, largest number


@keras.saving.register_keras_serializable(package="kgdists")
class Orthogonal(keras.initializers.Orthogonal):
    """Keras' initializer, for half precision too, of which TensorFlow has no QR decomposition, or a poor one."""

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Tensor:
        if dtype not in HALF:
            return super().__call__(shape, dtype)
        return ops.cast(super().__call__(shape, "float32"), dtype)


def seed_of(random_seed: Integer | None) -> int | None:
    """The argument `random_seed` of a head."""
    if random_seed is None or is_count(random_seed, least=-(2**63)):
        return None if random_seed is None else operator.index(random_seed)
    raise ValueError(f"`random_seed` must be None or an int. Received: random_seed={random_seed!r}")


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
    largest = np.asarray(largest)
    distance = np.ldexp(eps, np.frexp(largest)[1] - 1)  # of floats of this magnitude
    if np.any(largest > most) or np.any(distance > np.asarray(step)):
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
        return _Shapes({name: tuple(x.shape) for name, x in dist.params.items()})


class _Shapes(dict[str, tuple[int | None, ...]]):
    # A dict, and a node of Keras' trees that becomes one, that wrappers may take for the shape of a tensor.

    def __missing__(self, axis: Any) -> NoReturn:
        raise TypeError(f"{TENSOR_RULE}. Received: the shapes of {', '.join(self)}")

    def _flatten(self) -> tuple[tuple[Any, ...], tuple[str, ...], tuple[str, ...]]:
        return tuple(self.values()), tuple(self), tuple(self)

    @classmethod
    def _unflatten(cls, names: Sequence[str], values: Sequence[Any]) -> dict[str, Any]:
        return dict(zip(names, values, strict=True))


pytree.register(_Shapes)
