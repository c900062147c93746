"""Functions of many rows, evaluated in blocks of fixed sizes: compiled once, in constant memory."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from kgdists.core.types import Integer, Tensor

__all__ = ["ByRows", "in_blocks"]

FEW, MANY = 1 << 10, 1 << 16  # rows of the two sizes of blocks
NUMBERS = 1 << 20  # at most, in a block of many rows


def in_blocks(compute: Callable[[int, int], Any], num_rows: Integer, width: int) -> Any:
    """Arrays of `num_rows` rows, filled by `compute(start, size)` for blocks of two sizes.

    Parameters
    ----------
    compute : callable
        The tensor or tensors of `size` rows from `start` on; those behind the last row are dropped.
    num_rows, width : int
        Size of the largest tensor.
    """
    many = max(FEW, min(MANY, NUMBERS // width))
    results, start = None, 0
    while start < num_rows or results is None:
        size = many if num_rows - start > many // 4 else FEW
        block = compute(start, size)
        if results is None:
            results = tf.nest.map_structure(lambda y: np.empty((num_rows, *y.shape[1:]), y.dtype.as_numpy_dtype), block)
        for whole, part in zip(tf.nest.flatten(results), tf.nest.flatten(block), strict=True):
            whole[start : start + size] = part[: min(size, num_rows - start)]
        start += size
    return results


class ByRows:
    """A function of a tensor or array [N, D] whose results have a row for each of its rows.

    Eagerly it runs compiled, block by block; in a `tf.function` it becomes part of that. Arrays give arrays, and then
    nothing else of their size is held.

    Parameters
    ----------
    formula : callable
        Of tensors; differentiable as often as needed.
    """

    def __init__(self, formula: Callable[[Tensor], Any]) -> None:
        self._formula = formula
        self._compiled = tf.function(formula, jit_compile=True, autograph=False)

    def __call__(self, x: Tensor) -> Any:
        if not tf.executing_eagerly():
            return self._formula(x)
        return self._eagerly(x) if tf.is_tensor(x) else self._in_blocks(x)

    def _eagerly(self, x):
        @tf.custom_gradient
        def apply(x):
            def gradient(*upstream):
                with tf.GradientTape() as tape:
                    tape.watch(x)
                    results = tf.nest.flatten(self._formula(x))
                return tape.gradient(results, x, upstream)

            return tf.nest.map_structure(tf.convert_to_tensor, self._in_blocks(tf.stop_gradient(x))), gradient

        return apply(x)

    def _in_blocks(self, x):
        return in_blocks(lambda start, size: self._block(x, start, size), *x.shape)

    def _block(self, x, start, size):
        block = tf.convert_to_tensor(x[start : start + size])
        missing = size - block.shape[0]
        return self._compiled(tf.pad(block, [[0, missing], [0, 0]]) if missing else block)
