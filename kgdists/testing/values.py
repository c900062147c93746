"""Distributions, draws and gradients as arrays and trees of arrays."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import keras
import numpy as np
from keras import ops

from kgdists.core import shapes
from kgdists.core.types import Tensor
from kgdists.distributions.distribution import Distribution

__all__ = [
    "as_array",
    "behind",
    "behind_axes",
    "equal",
    "first_row",
    "flat",
    "gradients_of",
    "is_float",
    "moved",
    "repeated",
    "rows_of",
    "shape_of",
    "width_of",
]

Tree = TypeVar("Tree")  # a distribution, or tensors in tuples and dicts

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    def _gradients(function, leaves):
        with tf.GradientTape() as tape:
            tape.watch(leaves)
            value = function(leaves)
        return tape.gradient(value, leaves, unconnected_gradients="zero")

else:
    import jax

    def _gradients(function, leaves):
        return jax.grad(lambda leaves: ops.sum(function(leaves)))(leaves)


def flat(tree: Any) -> list[Tensor]:
    """The leaves of a tree."""
    return keras.tree.flatten(tree)


def as_array(x: Tensor) -> np.ndarray:
    """A tensor as a NumPy array; bfloat16, which NumPy lacks, as float32."""
    return np.asarray(ops.convert_to_numpy(ops.cast(x, "float32") if "bfloat16" in str(x.dtype) else x))


def is_float(x: Tensor) -> bool:
    """Whether a tensor is of floats."""
    return "float" in shapes.dtype_of(x)


def shape_of(tree: Any) -> Any:
    """The shape of each leaf."""
    return keras.tree.map_structure(lambda x: tuple(x.shape), tree)


def behind(front: Sequence[int | None], event: Any) -> Any:
    """The event shape, or shapes, behind other axes."""
    return keras.tree.map_shape_structure(lambda shape: (*front, *shape), event)


def behind_axes(x: np.ndarray, like: np.ndarray) -> np.ndarray:
    """`x` with as many axes as `like`."""
    return x.reshape(*x.shape, *[1] * (like.ndim - x.ndim))


def repeated(dist: Tree, times: int) -> Tree:
    """`dist` with a batch axis of size `times` in front."""
    return keras.tree.map_structure(lambda x: ops.broadcast_to(x, (times, *x.shape)), dist)


def first_row(tree: Tree) -> Tree:
    """A tree without its first axis: what is first along it."""
    return keras.tree.map_structure(lambda x: x[0], tree)


def moved(dist: Tree, steps: Iterable[np.ndarray]) -> Tree:
    """`dist` with a step added to each of its parameters that is of floats."""
    leaves = [
        x + ops.convert_to_tensor(np.broadcast_to(step, x.shape), x.dtype) if is_float(x) else x
        for x, step in zip(flat(dist), steps, strict=True)
    ]
    return keras.tree.pack_sequence_as(dist, leaves)


def gradients_of(function: Callable[[Any], Tensor], dist: Distribution) -> list[np.ndarray]:
    """The gradient of the sum of `function(dist)` in each parameter, zeros in integers."""
    leaves = flat(dist)
    floats = [i for i, x in enumerate(leaves) if is_float(x)]

    def value(moving):
        return function(
            keras.tree.pack_sequence_as(
                dist, [moving[floats.index(i)] if i in floats else x for i, x in enumerate(leaves)]
            )
        )

    gradients = dict(zip(floats, _gradients(value, [leaves[i] for i in floats]), strict=True))
    return [as_array(gradients[i]) if i in gradients else np.zeros(x.shape) for i, x in enumerate(leaves)]


def equal(tree: Any, other: Any) -> bool:
    """Whether all leaves are equal."""
    return all(np.array_equal(as_array(a), as_array(b)) for a, b in zip(flat(tree), flat(other), strict=True))


def width_of(many: Distribution, leaf: Tensor) -> int:
    """How many coordinates a draw has in a leaf."""
    return int(np.prod(leaf.shape[1 + len(many.batch_shape[1:]) :]))


def rows_of(many: Distribution, x: Any) -> tuple[np.ndarray, np.ndarray, Callable[[np.ndarray], Any]]:
    """Draws as an array of shape [batch, draws, coordinates], their log-probabilities, and the way back."""
    log_p = as_array(many.log_proba(x))
    num, *batch = log_p.shape
    leaves = flat(x)
    widths = [width_of(many, leaf) for leaf in leaves]

    def unpack(rows):
        parts = np.split(np.moveaxis(rows, 0, 1), np.cumsum(widths)[:-1], axis=-1)
        shaped = [
            ops.convert_to_tensor(part.reshape(len(part), *leaf.shape[1:]).astype(shapes.dtype_of(leaf)))
            for part, leaf in zip(parts, leaves, strict=True)
        ]
        return keras.tree.pack_sequence_as(x, shaped)

    count = math.prod(batch)
    arrays = [as_array(leaf).reshape(num, count, width) for leaf, width in zip(leaves, widths, strict=True)]
    rows = np.moveaxis(np.concatenate(arrays, axis=-1).astype("float64"), 1, 0)
    return rows, log_p.reshape(num, count).T, unpack
