"""The product of a dense layer: that of Keras, with its gradients of both orders."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kgdists as kg
from kgdists.core.dense_product import dense_product

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


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize(("rows", "n", "k"), SHAPES)
def test_values_and_gradients_are_those_of_a_matrix_product(rows, n, k, jit_compile):
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


def test_a_batch_of_any_size_is_trained_on():
    model = keras.Sequential([keras.Input((64,)), kg.layers.Dense(64, "tanh"), kg.layers.Dense(2)])
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(np.ones((9, 64)), np.ones((9, 2)), batch_size=4, verbose=0)
    assert np.isfinite(model.predict(np.ones((3, 64)), verbose=0)).all()
