"""What has many rows, computed in blocks of fixed sizes: compiled once, in constant memory."""

import tensorflow as tf

__all__ = ["ByRows", "in_blocks"]

FEW, MANY = 1 << 10, 1 << 16  # rows of the two sizes of blocks
NUMBERS = 1 << 20  # at most, in a block of many rows


def in_blocks(compute, num_rows, width):
    """Tensors of `num_rows` rows, put together from `compute(start, size)` for blocks of two sizes.

    Parameters
    ----------
    compute : callable
        The tensor or tensors of `size` rows from `start` on; those behind the last row are dropped.
    num_rows, width : int
        Size of the largest tensor.
    """
    many = max(FEW, min(MANY, NUMBERS // width))
    results, start = [], 0
    while start < num_rows or not results:
        size = many if num_rows - start > many // 4 else FEW
        used = min(size, num_rows - start)
        results.append(tf.nest.map_structure(lambda y, used=used: y[:used], compute(start, size)))
        start += size
    return tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), *results)


class ByRows:
    """A function of a tensor [N, D] whose results have a row for each of its rows.

    Eagerly it runs compiled, block by block; in a `tf.function` it becomes part of that.

    Parameters
    ----------
    formula : callable
        Of tensors; differentiable as often as needed.
    """

    def __init__(self, formula):
        self._formula = formula
        self._compiled = tf.function(formula, jit_compile=True)

    def __call__(self, x):
        return self._eagerly(x) if tf.executing_eagerly() else self._formula(x)

    def _eagerly(self, x):
        @tf.custom_gradient
        def apply(x):
            def gradient(*upstream):
                with tf.GradientTape() as tape:
                    tape.watch(x)
                    results = tf.nest.flatten(self._formula(x))
                return tape.gradient(results, x, upstream)

            return in_blocks(lambda start, size: self._block(tf.stop_gradient(x), start, size), *x.shape), gradient

        return apply(x)

    def _block(self, x, start, size):
        block = x[start : start + size]
        missing = size - block.shape[0]
        return self._compiled(tf.pad(block, [[0, missing], [0, 0]]) if missing else block)
