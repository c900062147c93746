"""The product of a dense layer, with gradients that XLA computes fast on a CPU."""

import keras
from keras import ops

from kgdists.core.tracing import is_for_xla
from kgdists.core.types import Tensor

__all__ = ["dense_product"]

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    # Below, XLA's times in microseconds for 256 rows of 64 numbers, one thread of a processor with AVX2.
    FEW = 3  # columns at most: dx = dy W^T as a sum of outer products; with dW by columns, 2 of them take 5, not 38
    COLUMNS = 8  # at most: dW = x^T dy column by column; both gradients of 6 of them take 13, not 24
    STRIDE = 64  # rows of multiples of it fall on the same lines of the cache: x^T dy of 64 takes 34, of 65 takes 28
    MANY = 128  # rows at least, and numbers in a row at most, for which that is worth a copy
    LARGEST = 1024

    def dense_product(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """`x @ kernel + bias`: [B, n], [n, k], [k] -> [B, k]."""
        if len(x.shape) == 2 and is_for_xla() and _is_slow(x.shape[0] or 0, *kernel.shape):
            return _product(*map(tf.convert_to_tensor, (x, kernel, bias)))
        return ops.add(ops.matmul(x, kernel), bias)

    def _is_slow(rows, num_inputs, units):
        if tf.config.list_logical_devices("GPU"):  # which has fast products of all shapes
            return False
        if units <= COLUMNS:
            return units > 1
        return rows >= MANY and num_inputs % STRIDE == 0 and num_inputs <= LARGEST

    @tf.custom_gradient
    def _product(x, kernel, bias):
        def gradients(dy):
            columns = tf.unstack(dy, axis=1) if kernel.shape[1] <= COLUMNS else []
            if 1 < len(columns) <= FEW:
                dx = sum(column[:, None] * kernel[:, j] for j, column in enumerate(columns))
            else:
                dx = tf.matmul(dy, kernel, transpose_b=True)
            if columns:
                dkernel = tf.stack([tf.linalg.matvec(x, column, transpose_a=True) for column in columns], axis=1)
                return dx, dkernel, tf.reduce_sum(dy, axis=0)
            longer = tf.concat([x, tf.ones_like(x[:, :1])], axis=1)  # whose last number has the bias for weight
            both = tf.matmul(longer, dy, transpose_a=True)
            return dx, both[:-1], both[-1]

        return tf.matmul(x, kernel) + bias, gradients

else:

    def dense_product(x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """`x @ kernel + bias`: [B, n], [n, k], [k] -> [B, k]."""
        return ops.add(ops.matmul(x, kernel), bias)
