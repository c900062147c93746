"""The scalar helpers against arithmetic of 400 digits."""

import decimal

import keras
import numpy as np
import pytest
import scipy.special
import tensorflow as tf
from keras import ops

from kgdists.core import backend
from kgdists.numerics import special
from tests.marks import exhaustive

INF, NAN = float("inf"), float("nan")


def gradient_of(function, x):
    x = ops.convert_to_tensor(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return value, tape.gradient(value, x)


def precise(function, xs):
    """`function` of each number, in decimals."""
    with decimal.localcontext(decimal.Context(prec=400)):
        return np.array([float(function(decimal.Decimal(float(x)))) for x in xs])


def arguments(dtype):
    """Both signs of every size whose square is still a normal number, and the seams of the formula."""
    smallest, largest = {"float32": (-18, 1.9), "float64": (-150, 2.8)}[dtype]
    sizes = np.concatenate(
        [np.logspace(smallest, largest, 400), np.linspace(0.2, 0.3, 101), np.linspace(0.9, 1.1, 101), [0.25, 1.0]]
    )
    return np.concatenate([sizes, -sizes]).astype(dtype)


@pytest.mark.exhaustive
@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_expm1_minus_and_its_gradient_keep_their_digits(dtype, jit_compile):
    xs = arguments(dtype)
    compiled = tf.function(lambda x: gradient_of(special.expm1_minus, x), jit_compile=jit_compile)
    for value, gradient in (gradient_of(special.expm1_minus, xs), compiled(xs)):
        tolerance = 24 * np.finfo(dtype).eps
        np.testing.assert_allclose(value, precise(lambda x: x.exp() - 1 - x, xs), rtol=tolerance / 6)
        np.testing.assert_allclose(gradient, precise(lambda x: x.exp() - 1, xs), rtol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_expm1_minus_is_never_negative(dtype):
    xs = np.random.default_rng(0).normal(size=100_000).astype(dtype)
    for scale in (1e-30, 1e-8, 1e-4, 0.25, 1, 100):
        assert np.min(special.expm1_minus(ops.convert_to_tensor((scale * xs).astype(dtype)))) >= 0


def test_expm1_minus_at_the_ends():
    value, gradient = gradient_of(special.expm1_minus, np.array([0.0, -0.0, -1e4, 1e4]))
    np.testing.assert_array_equal(value, [0, 0, 1e4 - 1, INF])
    np.testing.assert_array_equal(gradient[:3], [0, 0, -1])
    np.testing.assert_array_equal(special.expm1_minus(ops.convert_to_tensor([-INF, NAN])), [INF, NAN])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_atanh_series_has_its_digits_and_is_flat_beyond_its_radius(dtype):
    xs = np.concatenate([np.logspace(-30, np.log10(0.25), 300), [0.0]]).astype(dtype)
    value, gradient = gradient_of(special.atanh_series, np.concatenate([xs, -xs]))
    want = precise(lambda x: ((1 + x) / (1 - x)).ln() / 2, np.concatenate([xs, -xs]))
    np.testing.assert_allclose(value, want, rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(gradient[:-1], 1 / (1 - np.concatenate([xs, -xs])[:-1] ** 2), rtol=1e-6)
    value, gradient = gradient_of(special.atanh_series, np.array([-INF, -1e30, 0.3], dtype))
    np.testing.assert_allclose(value, np.arctanh([-0.25, -0.25, 0.25]), rtol=1e-6)
    np.testing.assert_array_equal(gradient, 0)


BOUNDS = [(-5.0, 2.0), (0.0, 1.0), (-20.0, -10.0)]


@pytest.mark.parametrize("low, high", BOUNDS)
def test_soft_clip_is_between_its_bounds_and_increases(low, high):
    clipped = np.array(special.soft_clip(np.linspace(low - 20, high + 20, 1001), low, high))
    assert (low < clipped).all() and (clipped < high).all()
    assert (np.diff(clipped) > 0).all()


def test_soft_clip_is_the_identity_well_inside():
    x = np.linspace(-2.0, 2.0, 9)
    np.testing.assert_allclose(special.soft_clip(x, -30.0, 30.0), x, atol=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_soft_clip_far_out_is_its_nearer_bound(dtype):
    x = np.array([-INF, -1e30, -1e9, -1e3, 1e3, 1e9, 1e30, INF], dtype)
    np.testing.assert_array_equal(special.soft_clip(x, -5.0, 2.0), [-5] * 4 + [2] * 4)


@pytest.mark.parametrize("low, high", BOUNDS)
def test_soft_clip_has_a_gradient_some_way_out(low, high):
    x = np.array([low - 50, low, high, high + 50], "float32")
    _, gradient = gradient_of(lambda x: special.soft_clip(x, low, high), x)
    assert np.isfinite(gradient).all() and (gradient > 0).numpy().all()
    np.testing.assert_allclose(gradient[0], gradient[3], rtol=1e-4)


def test_soft_clip_gradient_is_a_central_difference():
    x, step = np.linspace(-10, 10, 41), 1e-6
    _, gradient = gradient_of(lambda x: special.soft_clip(x, -5.0, 2.0), x)
    difference = (special.soft_clip(x + step, -5.0, 2.0) - special.soft_clip(x - step, -5.0, 2.0)) / (2 * step)
    np.testing.assert_allclose(gradient, difference, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("low, high", BOUNDS)
def test_soft_clip_inverse(low, high):
    y = np.linspace(low, high, 101)[1:-1]
    np.testing.assert_allclose(special.soft_clip(special.soft_clip_inverse(y, low, high), low, high), y, rtol=1e-12)
    x = np.linspace(low - 3, high + 3, 51)
    np.testing.assert_allclose(special.soft_clip_inverse(special.soft_clip(x, low, high), low, high), x, rtol=1e-9)


def test_concrete_gives_values_where_they_are_at_hand():
    x = np.array([1.0, 2.0])
    for eager in (x, tf.constant(x), tf.Variable(x).value()):
        assert isinstance(backend.concrete(eager), np.ndarray)
        np.testing.assert_array_equal(backend.concrete(eager), x)


def test_concrete_gives_none_in_a_graph():
    seen = []

    @tf.function
    def trace(x):
        seen.append(backend.concrete(x))

    trace(tf.constant([1.0, 2.0]))
    assert seen == [None]


# Gamma functions.

POSITIVE = np.concatenate([np.logspace(-30, 30, 2001), np.linspace(0.01, 20, 2001), [8, np.nextafter(8, 0)]])
GAMMA_FUNCTIONS = {
    "lgamma": (special.lgamma, scipy.special.gammaln, scipy.special.digamma),
    "digamma": (special.digamma, scipy.special.digamma, lambda x: scipy.special.polygamma(1, x)),
    "trigamma_minus": (special.trigamma_minus, lambda x: scipy.special.polygamma(1, x) - 1 / x, None),
}


def assert_near(got, want, tolerance):
    """Within some share of the larger of 1 and the value; not where that overflows."""
    got, fits = np.asarray(got), np.abs(want) < np.finfo(np.asarray(got).dtype).max
    assert (np.abs(got - want) <= tolerance * np.maximum(1, np.abs(want)))[fits].all()


@pytest.mark.few(1)
@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])
@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-13)])
@pytest.mark.parametrize("name", GAMMA_FUNCTIONS)
def test_gamma_functions_and_their_gradients(name, dtype, tolerance, jit_compile):
    function, want, slope = GAMMA_FUNCTIONS[name]
    xs = POSITIVE.astype(dtype)
    value, gradient = tf.function(lambda x: gradient_of(function, x), jit_compile=jit_compile)(xs)
    assert_near(value, want(xs.astype("float64")), tolerance)
    if slope:
        assert_near(gradient, slope(xs.astype("float64")), tolerance)


def test_second_derivative_of_lgamma():
    _, gradient = gradient_of(lambda x: gradient_of(special.lgamma, x)[1], POSITIVE)
    assert_near(gradient, scipy.special.polygamma(1, POSITIVE), 1e-13)


@pytest.mark.parametrize("name", GAMMA_FUNCTIONS)
def test_gamma_functions_of_keras_tensors(name):
    function, want, _ = GAMMA_FUNCTIONS[name]
    inputs = keras.Input((2,), dtype="float64")
    got = keras.Model(inputs, function(inputs))(np.array([[0.5, 20.0]]))
    np.testing.assert_allclose(got, want(np.array([[0.5, 20.0]])), rtol=1e-12)


@pytest.mark.few(1)
@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])
@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("float64", 1e-13)])
def test_log_ndtr_and_its_gradient(dtype, tolerance, jit_compile):
    """The gradient is the inverse Mills ratio."""
    zs = np.concatenate([np.linspace(-40, 40, 4001), np.logspace(-30, 4, 500), -np.logspace(-30, 4, 500)]).astype(dtype)
    value, gradient = tf.function(lambda z: gradient_of(special.log_ndtr, z), jit_compile=jit_compile)(zs)
    zs = zs.astype("float64")
    assert_near(value, scipy.special.log_ndtr(zs), tolerance)
    assert_near(gradient, np.sqrt(2 / np.pi) / scipy.special.erfcx(-np.sqrt(0.5) * zs), 10 * tolerance)
