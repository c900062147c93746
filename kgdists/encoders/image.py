"""Layer: images as features, by convolutions."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from kgdists.core.checks import choice
from kgdists.core.choices import IMAGE_NETWORKS
from kgdists.core.convolution import convolve
from kgdists.core.types import Integer, Tensor
from kgdists.layers.head import Orthogonal
from kgdists.random import split

__all__ = ["ImageEncoder", "channels_axis"]

CHANNELS = "channels_last"  # of all layers, whichever way Keras is set
NATURE_FROM = 36  # pixels, below which its last layer has none


@keras.saving.register_keras_serializable(package="kgdists")
class ImageEncoder(keras.layers.Layer):
    """Images, scaled to [0, 1] and convolved: [B, *shape] -> [B, n].

    ============  =================================================================================================
    ``"nature"``  convolutions of 32 x 8 x 8, 64 x 4 x 4 and 64 x 3 x 3, strides 4, 2 and 1, and 512 units
                  (Mnih et al. 2015), from 36 x 36 pixels on
    ``"impala"``  three residual blocks of 16, 32 and 32 channels, and 256 units (Espeholt et al. 2018, figure 3)
    ``"small"``   convolutions of 16 x 3 x 3 and 32 x 3 x 3, the latter of stride 2 until there are at most 5 x 5
                  cells, and 128 units, for grids
    ``"auto"``    "nature" where it can be, else "small"
    ============  =================================================================================================

    All activations are ReLU.

    Parameters
    ----------
    network : str
    low, high : float
        Bounds of the values; what is not finite leaves them as they are.
    channels_first : None or bool
        None finds it out: images are squares, or have more pixels than channels.
    random_seed : None or int
        Makes the initial weights reproducible.

    Notes
    -----
    `shape` is [H, W], [H, W, C], [C, H, W], or one of these behind a number of stacked frames, which become channels.
    """

    def __init__(
        self,
        network: str = "auto",
        low: float = 0.0,
        high: float = 255.0,
        channels_first: bool | None = None,
        random_seed: Integer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        choice("network", network, IMAGE_NETWORKS)
        self.network, self.low, self.high, self.channels_first = network, float(low), float(high), channels_first
        self.random_seed = random_seed

    def build(self, input_shape: Sequence[int | None]) -> None:
        height, width, channels = self._image_shape(input_shape)
        network = self.network
        if network == "auto":
            network = "nature" if min(height, width) >= NATURE_FROM else "small"
        if network == "nature" and min(height, width) < NATURE_FROM:
            raise ValueError(
                f'`network="nature"` needs images from {NATURE_FROM} x {NATURE_FROM} pixels on: take "small". '
                f"Received: {height} x {width}"
            )
        make = {"nature": _nature, "impala": _impala, "small": _small}[network]
        inputs = keras.Input((height, width, channels))
        self.layers_of_network = keras.Model(inputs, make(inputs, _Seeds(self.random_seed)), name=network)

    def _image_shape(self, input_shape):
        *frames, rows, columns, last = (*input_shape[1:], 1) if len(input_shape) == 3 else input_shape[1:]
        axis = channels_axis((rows, columns, last), self.channels_first)
        height, width = (columns, last) if axis == 0 else (rows, columns)
        return height, width, math.prod(frames) * (rows if axis == 0 else last)

    def call(self, x: Tensor) -> Tensor:
        if len(x.shape) == 3:
            x = ops.expand_dims(x, axis=-1)
        if channels_axis(x.shape[-3:], self.channels_first) == 0:
            x = ops.moveaxis(x, -3, -1)
        if len(x.shape) == 5:  # frames become channels
            x = ops.moveaxis(x, 1, -2)
            x = ops.reshape(x, (-1, *x.shape[1:3], x.shape[3] * x.shape[4]))
        x = ops.cast(x, "float32")
        if math.isfinite(self.high - self.low):
            x = (x - self.low) * (1.0 / (self.high - self.low)) if self.low else x * (1.0 / self.high)
        return self.layers_of_network(ops.cast(x, self.compute_dtype))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "network": self.network,
            "low": self.low,
            "high": self.high,
            "channels_first": self.channels_first,
            "random_seed": self.random_seed,
        }


def channels_axis(shape: Sequence[int], channels_first: bool | None = None) -> int:
    """Which axis of an image of rank 3 holds its channels, 0 or 2.

    Parameters
    ----------
    shape : sequence of int, of length 3
    channels_first : None or bool
        None finds it out: images are squares, or have more pixels than channels.
    """
    if channels_first is not None:
        return 0 if channels_first else 2
    first, middle, last = shape
    if (first == middle) != (middle == last):
        return 2 if first == middle else 0
    return 0 if first < last else 2


class _Seeds:
    """Seeds of the layers of a network, one after the other."""

    def __init__(self, random_seed: Integer | None) -> None:
        self._seeds = iter(split(random_seed, 32))

    def initializer(self) -> keras.initializers.Initializer:
        return Orthogonal(math.sqrt(2.0), seed=next(self._seeds))


class _Unpadded(keras.layers.Conv2D):
    """A convolution without padding, with fast gradients."""

    def convolution_op(self, inputs: Tensor, kernel: Tensor) -> Tensor:
        return convolve(inputs, kernel, self.strides[0])


def _conv(filters, size, seeds, stride=1, padding="same", activation="relu", layer=keras.layers.Conv2D):
    return layer(
        filters, size, stride, padding, CHANNELS, activation=activation, kernel_initializer=seeds.initializer()
    )


def _dense(x, units, seeds):
    return keras.layers.Dense(units, "relu", kernel_initializer=seeds.initializer())(keras.layers.Flatten(CHANNELS)(x))


def _nature(x, seeds):
    for filters, size, stride in ((32, 8, 4), (64, 4, 2), (64, 3, 1)):
        x = _conv(filters, size, seeds, stride, "valid", layer=_Unpadded)(x)
    return _dense(x, 512, seeds)


def _impala(x, seeds):
    for filters in (16, 32, 32):
        x = _conv(filters, 3, seeds, activation=None)(x)
        x = keras.layers.MaxPooling2D(3, 2, "same", CHANNELS)(x)
        for _ in range(2):
            change = keras.layers.ReLU()(x)
            change = _conv(filters, 3, seeds)(change)
            change = _conv(filters, 3, seeds, activation=None)(change)
            x = keras.layers.Add()([x, change])
    return _dense(keras.layers.ReLU()(x), 256, seeds)


def _small(x, seeds):
    x = _conv(16, 3, seeds)(x)
    x = _conv(32, 3, seeds, stride=2 if max(x.shape[1:3]) > 5 else 1)(x)
    while max(x.shape[1:3]) > 5:
        x = _conv(32, 3, seeds, stride=2)(x)
    return _dense(x, 128, seeds)
