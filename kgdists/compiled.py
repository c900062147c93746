"""Compiling a function of distributions and tensors, where the backend does not do so by itself."""

import keras

__all__ = ["compiled"]

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    def compiled(function):
        """`function` under XLA, compiled once for each structure and shape of its arguments."""
        return tf.function(function, jit_compile=True, autograph=False)

else:

    def compiled(function):
        """`function` itself: JAX compiles its loops."""
        return function
