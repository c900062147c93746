"""The product of a dense layer: that of Keras, with its gradients of both orders."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kgdists as kg
from kgdists.core.compiled import Compiled
from kgdists.core.dense_product import dense_product
from kgdists.core.tracing import is_for_xla, tracing

SHAPES = [
    (5, 3, 1),
    (5, 3, 2),
    (7, 64, 3),
    (7, 64, 6),
    (4, 64, 8),
    (130, 64, 9),
    (130, 64, 64),
    (16, 64, 64),
    (130, 63, 9),
]


def numbers(*shapes):
    rng = np.random.default_rng(0)
    return [tf.constant(rng.normal(size=shape)) for shape in shapes]


@pytest.mark.parametrize(
    ("for_xla", "jit_compile"), [(False, False), (True, False), pytest.param(True, True, marks=pytest.mark.exhaustive)]
)
@pytest.mark.parametrize(("rows", "n", "k"), SHAPES)
def test_values_and_gradients_are_those_of_a_matrix_product(rows, n, k, for_xla, jit_compile):
    arguments = numbers((rows, n), (n, k), (k,))
    weights, steps = numbers((rows, k), (n, k))

    def derived(product):
        @tf.function(jit_compile=jit_compile, autograph=False)
        def both(x, kernel, bias):
            with tf.GradientTape() as second:
                second.watch([x, kernel])
                with tf.GradientTape() as first:
                    first.watch([x, kernel, bias])
                    y = product(x, kernel, bias)
                    loss = tf.reduce_sum(weights * tf.tanh(y))
                gradients = first.gradient(loss, [x, kernel, bias])
                along = tf.reduce_sum(gradients[1] * steps) + tf.reduce_sum(gradients[0] ** 2)
            return y, gradients, second.gradient(along, [x, kernel])

        with tracing(for_xla):
            return both(*arguments)

    found, expected = derived(dense_product), derived(lambda x, kernel, bias: x @ kernel + bias)
    for x, y in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("options", [{}, {"use_bias": False}, {"activation": "tanh"}])
def test_a_layer_is_that_of_keras(options, tmp_path):
    x = np.random.default_rng(1).normal(size=(3, 2, 5)).astype("float32")
    for features in (x, x[:, 0]):
        own, other = kg.layers.Dense(2, **options), keras.layers.Dense(2, **options)
        own.build(features.shape)
        other.build(features.shape)
        other.set_weights(own.get_weights())
        np.testing.assert_array_equal(own(features), other(features))
    model = keras.Sequential([keras.Input((5,)), own])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.layers[-1]) is kg.layers.Dense
    np.testing.assert_array_equal(loaded(x[:, 0]), model(x[:, 0]))


def test_rows_that_are_not_counted_yet_have_gradients():
    @tf.function(input_signature=[tf.TensorSpec((None, 64)), tf.TensorSpec((64, 2))], autograph=False)
    def gradient(x, kernel):
        return tf.gradients(tf.reduce_sum(dense_product(x, kernel, tf.zeros(2))), kernel)[0]

    with tracing(for_xla=True):
        np.testing.assert_array_equal(gradient(tf.ones((9, 64)), tf.ones((64, 2))), np.full((64, 2), 9.0))


def test_a_program_for_xla_is_traced_as_such():
    seen = []
    Compiled(lambda x: seen.append(is_for_xla()) or x, jit_compile=False)(np.ones(2))
    Compiled(lambda x: seen.append(is_for_xla()) or x)(np.ones(2))
    assert seen == [False, True] and not is_for_xla()
