"""Functions of the rows of a tensor, computed in blocks of fixed sizes: compiled once, in constant memory."""

import tensorflow as tf

__all__ = ["ByRows"]

FEW, MANY = 1 << 10, 1 << 16  # rows of the two sizes of blocks
NUMBERS = 1 << 20  # at most, in a block of many rows


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

            return self._in_blocks(tf.stop_gradient(x)), gradient

        return apply(x)

    def _in_blocks(self, x):
        many = max(FEW, min(MANY, NUMBERS // x.shape[1]))
        results, start = [], 0
        while start < x.shape[0] or not results:
            size = many if x.shape[0] - start > many // 4 else FEW
            block = x[start : start + size]
            missing = size - block.shape[0]
            result = self._compiled(tf.pad(block, [[0, missing], [0, 0]]) if missing else block)
            results.append(tf.nest.map_structure(lambda y, used=size - missing: y[:used], result))
            start += size
        return tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), *results)
