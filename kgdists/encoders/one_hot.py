"""Layer: labels as one-hot vectors."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from kgdists.core import value_checks
from kgdists.core.types import Integer, Tensor
from kgdists.random import split

__all__ = ["OneHotEncoder"]

MAX_ONE_HOT = 1024  # labels; more get an embedding
EMBEDDING = 64  # features of it


@keras.saving.register_keras_serializable(package="kgdists")
class OneHotEncoder(keras.layers.Layer):
    """Labels as one-hot vectors behind each other, or as embeddings where there are many: [B, *shape] -> [B, n].

    A label that is none is an error where its value is at hand. Within a compiled function it makes all features NaN,
    which ends a training, where zeros would go on.

    Parameters
    ----------
    sizes : list of int, >= 1
        How many labels each of the numbers of an observation has.
    starts : None or list of int
        Their first ones; 0 by default.
    random_seed : None or int
        Makes the embeddings reproducible.
    """

    def __init__(
        self,
        sizes: Sequence[Integer],
        starts: Sequence[Integer] | None = None,
        random_seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        self.sizes = [int(n) for n in sizes]
        self.starts = [0] * len(self.sizes) if starts is None else [int(x) for x in starts]
        self.random_seed = random_seed
        self.embeddings = [
            None if size <= MAX_ONE_HOT else _embedding(size, seed)
            for size, seed in zip(self.sizes, split(random_seed, len(self.sizes)), strict=True)
        ]

    def build(self, input_shape: Sequence[int | None]) -> None:
        count = math.prod(n or 1 for n in input_shape[1:])
        if count != len(self.sizes):
            raise ValueError(
                f"An observation must have {len(self.sizes)} labels. Received: shape {tuple(input_shape)}, behind a "
                "batch axis"
            )
        for embedding in self.embeddings:
            if embedding is not None:
                embedding.build((None,))

    def call(self, x: Tensor) -> Tensor:
        value_checks.check_values(functools.partial(_check, self.sizes, self.starts), x)
        given = ops.reshape(x, (-1, len(self.sizes)))
        x = ops.cast(given, "int64") - np.array(self.starts, "int64")
        sizes = np.array(self.sizes, "int64")
        is_whole = ops.cast(ops.cast(given, "int64"), given.dtype) == given
        is_label = ops.all(is_whole & (x >= 0) & (x < sizes), axis=-1, keepdims=True)
        index = ops.cast(ops.clip(x, 0, sizes - 1), "int32")
        parts = [
            ops.one_hot(index[:, i], size, dtype="float32") if embedding is None else embedding(index[:, i])
            for i, (size, embedding) in enumerate(zip(self.sizes, self.embeddings, strict=True))
        ]
        features = ops.concatenate([ops.cast(part, "float32") for part in parts], axis=-1)
        return ops.cast(ops.where(is_label, features, math.nan), self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"sizes": self.sizes, "starts": self.starts, "random_seed": self.random_seed}


def _embedding(size, seed):
    initializer = keras.initializers.RandomNormal(stddev=EMBEDDING**-0.5, seed=seed)
    return keras.layers.Embedding(size, EMBEDDING, embeddings_initializer=initializer)


def _check(sizes, starts, x):
    x, starts = np.reshape(x, (-1, len(sizes))), np.array(starts)
    wrong = np.argwhere(~((x >= starts) & (x < starts + sizes) & (x == np.floor(x))))
    if len(wrong):
        row, i = wrong[0].tolist()
        rule = f"A label must be a whole number from {starts[i]} to {starts[i] + sizes[i] - 1}"
        raise ValueError(f"{rule}. Received: {x[row, i]}")
