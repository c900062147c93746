"""Layers: vectors of numbers as features."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kgdists.core.types import Tensor
from kgdists.layers.running_normalization import RunningNormalization

__all__ = ["FloatEncoder", "IntegerEncoder"]

EXACT = 2**24  # integers below are told apart by float32
DIGIT = 256


@keras.saving.register_keras_serializable(package="kgdists")
class FloatEncoder(keras.layers.Layer):
    """Numbers as they are, flat: [B, *shape] -> [B, n].

    Parameters
    ----------
    normalize : bool
        Whether to standardize them by running statistics; see `kgdists.layers.RunningNormalization`.
    """

    def __init__(self, normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.normalize = normalize
        self.normalization = RunningNormalization() if normalize else None

    def build(self, input_shape: Sequence[int | None]) -> None:
        if self.normalization is not None:
            self.normalization.build(input_shape)

    def call(self, x: Tensor) -> Tensor:
        x = ops.cast(x, "float32") if self.normalization is None else self.normalization(x)
        return flat(ops.cast(x, self.compute_dtype))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"normalize": self.normalize}


@keras.saving.register_keras_serializable(package="kgdists")
class IntegerEncoder(keras.layers.Layer):
    """Integers as numbers that float32 tells apart: [B, *shape] -> [B, n].

    Where the bounds are less than 2^24 apart, each integer x is (x - low) / (high - low), in [0, 1]. Where they are
    further apart, or there are none, it is sign(x) log(1 + |x|), and the digits of x - low to the base 256, over 255.

    Parameters
    ----------
    low, high : int or nested list of int, the shape of one observation
        Bounds, included.
    """

    def __init__(self, low: Any, high: Any, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.low, self.high = low, high
        # Objects hold unsigned integers of 64 bits, and differences of signed ones.
        low, high = (np.array(x, object) for x in (low, high))
        self._shape = low.shape
        self._width = int(np.max(high - low, initial=0))
        self._low = _wrapped(low)
        self._scale = np.maximum(np.asarray(high - low).astype("float32"), 1.0)

    def build(self, input_shape: Sequence[int | None]) -> None:
        if self._shape and tuple(input_shape[1:]) != self._shape:
            raise ValueError(
                f"An observation must have the shape of its bounds, {self._shape}. Received: shape "
                f"{tuple(input_shape)}, behind a batch axis"
            )

    def call(self, x: Tensor) -> Tensor:
        x = ops.cast(x, "int64")
        above = x - self._low  # modulo 2^64
        if self._width < EXACT:
            return flat(ops.cast(ops.cast(above, "float32") / self._scale, self.compute_dtype))
        count = (self._width.bit_length() + 7) // 8
        digits = [ops.bitwise_and(ops.right_shift(above, 8 * i), DIGIT - 1) for i in range(count)]
        size = ops.cast(x, "float32")
        features = [ops.sign(size) * ops.log1p(ops.abs(size))]
        features += [ops.cast(digit, "float32") / (DIGIT - 1) for digit in digits]
        return ops.cast(ops.concatenate([flat(part) for part in features], axis=-1), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"low": self.low, "high": self.high}


def flat(x: Tensor) -> Tensor:
    """[B, *shape] -> [B, n]."""
    return ops.reshape(x, (-1, int(np.prod(x.shape[1:]))))


def _wrapped(integers):
    """Python's integers as int64, modulo 2^64."""
    return np.asarray(integers % 2**64).astype("uint64").astype("int64")
