"""Convolutions have the values and gradients of TensorFlow's, whichever kernels compute them."""

import numpy as np
import pytest
import tensorflow as tf

from kgdists.core import convolution
from tests.marks import exhaustive, quick

# Height and width, size of the kernel, stride. Of "rest", the last rows are beyond all windows.
SHAPES = {
    "image": (20, 20, 8, 4),
    "rest": (11, 14, 4, 3),
    "unit stride": (9, 9, 3, 1),
    "one window": (8, 12, 8, 4),
}


def values(x, kernel, stride, convolve):
    with tf.GradientTape() as second:
        second.watch(kernel)
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = convolve(x, kernel, stride)
            loss = tf.reduce_sum(tf.square(y))
        dx, dkernel = tape.gradient(loss, [x, kernel])
        total = tf.reduce_sum(tf.square(dkernel)) + tf.reduce_sum(tf.square(dx))
    return y, dx, dkernel, second.gradient(total, kernel)


@pytest.mark.parametrize(("height", "width", "size", "stride"), quick(["image"], SHAPES))
@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)])
def test_values_first_and_second_gradients_are_tensorflows(height, width, size, stride, jit_compile, monkeypatch):
    monkeypatch.setattr(convolution, "HAS_ONEDNN", False)
    rng = np.random.default_rng(0)
    x = tf.constant(rng.normal(size=(5, height, width, 3)), tf.float32)
    kernel = tf.constant(rng.normal(size=(size, size, 3, 6)), tf.float32)
    function = tf.function(lambda x, k: values(x, k, stride, convolution.convolve), jit_compile=jit_compile)
    wanted = values(x, kernel, stride, lambda x, k, s: tf.nn.conv2d(x, k, s, "VALID"))
    for got, right in zip(function(x, kernel), wanted, strict=True):
        np.testing.assert_allclose(got, right, rtol=1e-5, atol=1e-5 * float(tf.reduce_max(tf.abs(right))))


def test_with_onednn_the_gradients_are_tensorflows_own(monkeypatch):
    monkeypatch.setattr(convolution, "HAS_ONEDNN", True)
    function = tf.function(lambda x, k: values(x, k, 1, convolution.convolve)[2])
    graph = function.get_concrete_function(tf.TensorSpec((1, 4, 4, 2)), tf.TensorSpec((3, 3, 2, 2))).graph
    assert "Conv2DBackpropFilter" in {op.type for op in graph.get_operations()}
