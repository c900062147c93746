"""Functions are compiled by XLA where it has fast kernels for them."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from kgdists.core import backend, compiled
from kgdists.core.compiled import Compiled, by_xla_where_fast
from tests.marks import exhaustive


class OwnConvolution(layers.Layer):
    """A convolution that no class of Keras' layers gives away."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(2, 2, shape[-1], 3))

    def call(self, x):
        return ops.conv(x, self.kernel)


def gradients(layer):
    def of(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.square(layer(x)))
        return tape.gradient(loss, [x, *layer.trainable_variables])

    return of


def in_a_loop(function):
    return lambda x: tf.while_loop(lambda i, _: i < 2, lambda i, _: (i + 1, function(x)), (0, function(x)))[1]


LAYERS = {
    "own": (OwnConvolution, (1, 4, 4, 2), False),
    "Conv1D": (lambda: layers.Conv1D(2, 2), (1, 4, 2), False),
    "Conv3D": (lambda: layers.Conv3D(2, 2), (1, 4, 4, 4, 2), False),
    "Conv2DTranspose": (lambda: layers.Conv2DTranspose(2, 2), (1, 4, 4, 2), False),
    "DepthwiseConv2D": (lambda: layers.DepthwiseConv2D(2), (1, 4, 4, 2), False),
    "SeparableConv2D": (lambda: layers.SeparableConv2D(2, 2), (1, 4, 4, 2), False),
    "MaxPooling2D": (lambda: layers.MaxPooling2D(2), (1, 4, 4, 2), False),
    "AveragePooling2D": (lambda: layers.AveragePooling2D(2), (1, 4, 4, 2), True),
    "Dense": (lambda: layers.Dense(2), (1, 4), True),
    "GRU": (lambda: layers.GRU(2), (1, 4, 2), True),
    "LayerNormalization": (lambda: layers.LayerNormalization(), (1, 4), True),
}


@pytest.mark.parametrize("name", ["own", "Dense", *exhaustive(*(x for x in LAYERS if x not in ("own", "Dense")))])
def test_layers_that_lose_their_kernels_are_found_by_what_they_compute(name):
    make, shape, is_by_xla = LAYERS[name]
    layer = make()
    layer.build(shape)
    function = in_a_loop(lambda x: gradients(layer)(x)[0])
    assert by_xla_where_fast(function, tf.TensorSpec(shape))[1] is is_by_xla


def test_a_convolution_that_is_only_asked_stays_under_xla():
    layer = OwnConvolution()
    layer.build((1, 4, 4, 2))
    assert by_xla_where_fast(layer, tf.TensorSpec((1, 4, 4, 2)))[1]


def test_on_a_gpu_xla_has_the_kernels(monkeypatch):
    layer = layers.DepthwiseConv2D(2)
    layer.build((1, 4, 4, 2))
    assert not by_xla_where_fast(layer, tf.TensorSpec((1, 4, 4, 2)))[1]
    monkeypatch.setattr(compiled.tf.config, "list_logical_devices", lambda kind: [f"/{kind}:0"])
    assert by_xla_where_fast(layer, tf.TensorSpec((1, 4, 4, 2)))[1]


@pytest.mark.parametrize("private", [True, *exhaustive(False)])
def test_a_compiled_function_is_as_under_xla_up_to_rounding(private, monkeypatch):
    monkeypatch.setattr(backend, "USES_PRIVATE_PARTS", private)
    layer = OwnConvolution()
    layer.build((1, 4, 4, 2))
    x = np.random.default_rng(0).normal(size=(1, 4, 4, 2)).astype("float32")
    function = Compiled(gradients(layer))
    results = function(x)
    assert not function.is_by_xla
    monkeypatch.setattr(compiled, "loses_kernels", lambda _: False)
    function.forget()
    for one, other in zip(results, function(x), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    assert function.is_by_xla


def test_a_dense_function_is_compiled_by_xla():
    dense = layers.Dense(2)
    dense.build((1, 3))
    function = Compiled(gradients(dense))
    function(np.ones((1, 3), "float32"))
    assert function.is_by_xla and keras.backend.backend() == "tensorflow"
