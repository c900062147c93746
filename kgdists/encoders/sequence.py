"""Layers: sequences and texts as features, item by item and then pooled."""

import math
from typing import Any, Self

import keras
import numpy as np
from keras import ops, tree

from kgdists.core.types import Tensor
from kgdists.core.unknown_classes import naming_unknown
from kgdists.layers.head import Orthogonal

__all__ = ["SequenceEncoder", "TextEncoder", "pooled"]

UNITS = 32
BITS = 8  # of a byte


@keras.saving.register_keras_serializable(package="kgdists")
class SequenceEncoder(keras.layers.Layer):
    """Mean and maximum of the features of the items of a sequence, and its length as a share of the longest.

    It takes a dict as `kgdists.encoders.encode_observation` makes it: `items`, (nested) arrays [B, L, ...], the first
    `length` of which count, and gives features [B, 2 x 32 + 1]. A sequence without items has zeros.

    Parameters
    ----------
    encoder : keras.layers.Layer
        Of one item.
    random_seed : None or int
        Makes the initial weights reproducible.
    """

    def __init__(self, encoder: keras.layers.Layer, random_seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.encoder, self.random_seed = encoder, random_seed
        self.dense = keras.layers.Dense(UNITS, "relu", kernel_initializer=Orthogonal(math.sqrt(2.0), seed=random_seed))

    def call(self, observations: dict[str, Any]) -> Tensor:
        items, length = observations["items"], observations["length"]
        max_length = tree.flatten(items)[0].shape[1]
        rows = tree.map_structure(lambda x: ops.reshape(x, (-1, *x.shape[2:])), items)
        features = ops.reshape(self.dense(self.encoder(rows)), (-1, max_length, UNITS))
        is_there = np.arange(max_length) < ops.expand_dims(ops.cast(length, "int32"), -1)
        share = ops.expand_dims(ops.cast(length, features.dtype) / max_length, -1)
        return ops.concatenate([pooled(features, is_there), share], axis=-1)

    def build(self, input_shape: Any) -> None:
        items = input_shape["items"]
        rows = map_shapes(lambda shape: (None, *shape[2:]), items)
        if not self.encoder.built:
            self.encoder.build(rows)
            self.encoder.built = True
        arrays = map_shapes(lambda shape: keras.KerasTensor(shape, "float32"), rows)
        self.dense.build(self.encoder.compute_output_spec(arrays).shape)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "random_seed": self.random_seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        with naming_unknown():
            return cls(**config | {"encoder": keras.saving.deserialize_keras_object(config["encoder"])})


@keras.saving.register_keras_serializable(package="kgdists")
class TextEncoder(keras.layers.Layer):
    """Mean and maximum of features of three bytes each of a text: bytes [B, L], zeros behind it -> [B, 2 x 32].

    Parameters
    ----------
    random_seed : None or int
        Makes the initial weights reproducible.
    """

    def __init__(self, random_seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.random_seed = random_seed
        self.dense = keras.layers.Dense(UNITS, "relu", kernel_initializer=Orthogonal(math.sqrt(2.0), seed=random_seed))

    def build(self, input_shape: Any) -> None:
        self.dense.build((*input_shape, 3 * BITS))

    def call(self, text: Tensor) -> Tensor:
        codes = ops.cast(text, "int32")
        is_there = codes > 0
        # Bits, where an embedding of bytes would take most of the time of an update; a convolution as a product.
        bits = ops.bitwise_and(ops.right_shift(ops.expand_dims(codes, -1), np.arange(BITS, dtype="int32")), 1)
        padded = ops.pad(ops.cast(bits, self.compute_dtype), ((0, 0), (1, 1), (0, 0)))
        triples = ops.concatenate([padded[:, :-2], padded[:, 1:-1], padded[:, 2:]], axis=-1)
        return pooled(self.dense(triples), is_there)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"random_seed": self.random_seed}


def pooled(features: Tensor, is_there: Tensor) -> Tensor:
    """Mean and maximum over the items that are there: [B, L, n], bools [B, L] -> [B, 2 n]; zeros if there is none.

    Parameters
    ----------
    features : float tensor, shape [B, L, n], >= 0
    is_there : bool tensor, shape [B, L]
    """
    features = ops.where(ops.expand_dims(is_there, -1), features, 0.0)
    count = ops.sum(ops.cast(is_there, features.dtype), axis=1, keepdims=True)
    return ops.concatenate([ops.sum(features, axis=1) / ops.maximum(count, 1.0), ops.max(features, axis=1)], axis=-1)


def map_shapes(function: Any, shapes: Any) -> Any:
    """Apply a function to the shapes in nested dicts and tuples of them."""
    if isinstance(shapes, dict):
        return {name: map_shapes(function, x) for name, x in shapes.items()}
    if isinstance(shapes, (tuple, list)) and not all(n is None or isinstance(n, int) for n in shapes):
        return tuple(map_shapes(function, x) for x in shapes)
    return function(shapes)
