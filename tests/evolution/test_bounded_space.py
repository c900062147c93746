import numpy as np
import pytest
import tensorflow as tf

from kgdists.evolution.bounded_space import Bounds

LOW = np.array([-1.0, 0.0, -np.inf, -np.inf])  # two bounds, one below, one above, none
HIGH = np.array([3.0, np.inf, 5.0, np.inf])
both_dtypes = pytest.mark.parametrize("dtype", ["float32", "float64"])
both_methods = pytest.mark.parametrize("method", ["reflect", "transform"])


def decoded(x, method="reflect", low=LOW, high=HIGH, dtype="float64"):
    bounds = Bounds(low, high, method, np.shape(x)[-1], dtype)
    return bounds.decode(tf.constant(x, dtype)).numpy()


def test_reflection_is_that_of_mirrors():
    x = [-5.0, -3.0, -1.5, -1.0, 0.0, 2.5, 3.0, 4.0, 7.0, 8.0]
    np.testing.assert_allclose(
        decoded(np.array(x)[:, None], low=-1.0, high=3.0)[:, 0], [3.0, 1.0, -0.5, -1.0, 0.0, 2.5, 3.0, 2.0, -1.0, 0.0]
    )
    np.testing.assert_allclose(decoded([[-1.0, -2.0, 6.5, -7.0]]), [[-1.0, 2.0, 3.5, -7.0]])


def test_transformation_is_smooth_and_one_to_one():
    x = np.linspace(-4.0, 9.0, 200)[:, None] * np.ones(4)
    y = decoded(x, "transform")
    np.testing.assert_allclose(y[:, 0], 1.0 + 2.0 * np.tanh((x[:, 0] - 1.0) / 2.0))
    np.testing.assert_allclose(y[:, 1], np.log1p(np.exp(x[:, 1])))
    np.testing.assert_allclose(y[:, 2], 5.0 - np.log1p(np.exp(5.0 - x[:, 2])))
    np.testing.assert_array_equal(y[:, 3], x[:, 3])
    assert (np.diff(y, axis=0) > 0.0).all()


@both_methods
@both_dtypes
def test_solutions_are_within_the_bounds_wherever_samples_are(method, dtype):
    scale = np.logspace(-10, 30, 500)[:, None]
    samples = np.concatenate([scale, -scale]) * np.ones(4)
    low, high = LOW + 0.1, HIGH - 0.1
    solutions = decoded(samples, method, low, high, dtype)
    assert ((solutions >= low.astype(dtype)) & (solutions <= high.astype(dtype))).all()


@both_methods
def test_encoding_is_undone(method):
    bounds = Bounds(LOW, HIGH, method, 4, "float64")
    solutions = np.random.default_rng(0).uniform([-0.9, 0.1, -9.0, -9.0], [2.9, 9.0, 4.9, 9.0], (50, 4))
    samples, slopes = bounds.encode(solutions)
    np.testing.assert_allclose(bounds.decode(tf.constant(samples)), solutions, atol=1e-12)
    moved = bounds.decode(tf.constant(samples + 1e-6)) - bounds.decode(tf.constant(samples - 1e-6))
    np.testing.assert_allclose(moved / 2e-6, slopes, atol=1e-6)


@both_methods
def test_a_search_begins_inside(method):
    bounds = Bounds(LOW, HIGH, method, 4, "float32")
    np.testing.assert_array_equal(bounds.center, [1.0, 1.0, 4.0, 0.0])
    np.testing.assert_array_equal(Bounds(0.0, 8.0, method, 3, "float32").center, [4.0, 4.0, 4.0])


@pytest.mark.few(2)
@both_methods
@both_dtypes
def test_bounds_are_the_same_in_compiled_functions(method, dtype):
    bounds = Bounds(LOW, HIGH, method, 4, dtype)
    samples = tf.constant(np.random.default_rng(0).normal(0.0, 5.0, (20, 4)), dtype)
    compiled = tf.function(bounds.decode, jit_compile=True, autograph=False)(samples)
    np.testing.assert_allclose(compiled, bounds.decode(samples), rtol=1e-5, atol=1e-5)
