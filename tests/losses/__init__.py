"""Losses on plain numbers."""

import numpy as np
import tensorflow as tf
from keras import ops

LOG = np.log


def gradients(loss, *arrays, **options):
    """Gradients of `loss` for each of its tensor arguments; None where nothing flows."""
    variables = [tf.Variable(x, dtype="float64") for x in arrays]
    with tf.GradientTape() as tape:
        result = loss(*variables, **options)
    return tape.gradient(result, variables)


def tensors(*arrays):
    return [ops.convert_to_tensor(x, "float64") for x in arrays]


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)
