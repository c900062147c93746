"""`SquashedNormalDist` against reference numbers, quadrature, and the hard points: next to the bounds."""

import json
import math

import keras
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf
from keras import ops

import kgdists as kg
from kgdists import NormalDist, SquashedNormalDist
from tests.golden import TOLERANCE, cases, gradient_of, reference_test, with_gradients
from tests.marks import exhaustive

INF, NAN = float("inf"), float("nan")
RNG = np.random.default_rng
# Every kind of dimension: both bounds, one, none, and a constant.
LOW, HIGH = (-1.0, 0.5, -INF, -INF, 2.0), (3.0, INF, 0.25, INF, 2.0)


def mixed(batch=(), dtype="float64", seed=0, **fields):
    mu, logvar = RNG(seed).normal(size=(2, *batch, 5))
    return SquashedNormalDist(ops.cast(mu, dtype), ops.cast(logvar, dtype), LOW, HIGH, **fields)


def one(mu, logvar, low, high, dtype="float64"):
    """Of one dimension."""
    return SquashedNormalDist(np.array([mu], dtype), np.array([logvar], dtype), low, high)


def modes(function):
    """A function as it is, traced and compiled."""
    return function, tf.function(function), tf.function(function, jit_compile=True)


# Reference numbers.


def answer_action(mu, logvar, low, high, action):
    return with_gradients(
        "log_prob",
        lambda mu, logvar: SquashedNormalDist(mu, logvar, low, high).log_prob(action),
        mu=mu,
        logvar=logvar,
    ) | {"pre_tanh": SquashedNormalDist(mu, logvar, low, high)._invert(action)[0]}


def answer_pre_tanh(mu, logvar, low, high, pre_tanh):
    """Of the distribution whose draw the given one is."""

    def log_prob(mu, logvar):
        dist = SquashedNormalDist(mu, logvar, low, high)
        return dist._log_density((pre_tanh - mu) * ops.exp(-0.5 * logvar), dist._log_det(pre_tanh))

    answers = with_gradients("log_prob", log_prob, mu=mu, logvar=logvar)
    return answers | {"action": SquashedNormalDist(pre_tanh, logvar, low, high).mode()}


def answer_pair(p_mu, p_logvar, q_mu, q_logvar, low, high):
    p, q = SquashedNormalDist(p_mu, p_logvar, low, high), SquashedNormalDist(q_mu, q_logvar, low, high)
    return {"kl_divergence": p.kl_divergence(q)}


test_reference_numbers = reference_test(
    "squashed_normal", action=answer_action, pre_tanh=answer_pre_tanh, pair=answer_pair
)


# Quadrature.

SHAPES = [(0.0, 0.0), (0.7, -2.0), (-1.5, 1.0), (3.0, -1.0), (0.3, -6.0)]
SUPPORTS = [(-1.0, 1.0), (-2.0, 5.0), (1e-3, 2e-3), (0.5, INF), (-INF, 0.25), (-INF, INF)]


@pytest.mark.parametrize("low, high", SUPPORTS)
@pytest.mark.parametrize("mu, logvar", SHAPES)
def test_the_density_integrates_to_one(mu, logvar, low, high):
    """Between actions that all but 1e-9 of the draws lie between, over equal shares of the probability."""
    dist = one(mu, logvar, low, high)
    quantiles = np.linspace(-6.1, 6.1, 41)
    edges = np.ravel(one(0.0, 0.0, low, high)._squash(ops.convert_to_tensor(mu + np.exp(0.5 * logvar) * quantiles)))
    nodes, weights = np.polynomial.legendre.leggauss(20)
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    x = middle[:, None] + half[:, None] * nodes
    density = np.exp(dist.log_proba(x[..., None]))
    assert abs(np.sum(half[:, None] * weights * density) - 1.0) < 1e-6


@pytest.mark.exhaustive
@pytest.mark.parametrize("low, high", SUPPORTS)
def test_draws_follow_the_density(low, high):
    """By the distribution function, an integral of the density."""
    dist = one(0.3, -0.5, low, high)
    x = np.sort(np.ravel(dist.sample(20_000, seed=1)))
    grid = x[::500]
    parts = [
        scipy.integrate.quad(lambda x: np.exp(dist.log_proba([x])), *pair, epsabs=1e-8)[0]
        for pair in zip(grid[:-1], grid[1:], strict=True)
    ]
    assert np.abs(np.cumsum(parts) - (np.searchsorted(x, grid[1:]) / 20_000)).max() < 0.02


def test_a_squashed_draw_is_a_squashed_normal_draw():
    mu, logvar = RNG(0).normal(size=(2, 7, 3))
    u = NormalDist(mu, logvar).sample(4, seed=3)
    dist = SquashedNormalDist(mu, logvar, low=-1.0, high=3.0)
    np.testing.assert_allclose(dist.sample(4, seed=3), 1.0 + 2.0 * np.tanh(u), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dist.mode(), 1.0 + 2.0 * np.tanh(mu), rtol=1e-12, atol=1e-12)


def test_the_mode_is_the_median():
    dist = mixed((3,))
    below = np.mean(np.asarray(dist.sample(20_000, seed=0)) < dist.mode(), axis=0)
    np.testing.assert_allclose(below[:, :4], 0.5, atol=0.015)


# Kinds of dimensions.


@pytest.mark.exhaustive
def test_dimensions_are_independent_and_each_of_its_kind():
    p, q = mixed((7,)), mixed((7,), seed=1)
    x = p.sample(seed=2)

    def alone(dist, i):
        return SquashedNormalDist(dist.mu[..., i : i + 1], dist.logvar[..., i : i + 1], LOW[i], HIGH[i])

    for function in modes(lambda p, x: p.log_proba(x)):
        want = sum(function(alone(p, i), x[..., i : i + 1]) for i in range(4))
        np.testing.assert_allclose(function(p, x), want, rtol=1e-12, atol=1e-12)
    want = sum(alone(p, i).kl_divergence(alone(q, i)) for i in range(4))
    np.testing.assert_allclose(p.kl_divergence(q), want, rtol=1e-12)
    for i in range(5):
        np.testing.assert_allclose(p.mode()[..., i : i + 1], alone(p, i).mode(), rtol=1e-12)


def test_an_unbounded_dimension_is_normal():
    mu, logvar, x = RNG(0).normal(size=(3, 7, 4))
    dist, plain = SquashedNormalDist(mu, logvar, -INF, INF), NormalDist(mu, logvar)
    np.testing.assert_allclose(dist.log_proba(x), plain.log_proba(x), rtol=1e-14)
    np.testing.assert_array_equal(dist.sample(3, seed=1), plain.sample(3, seed=1))


def test_a_constant_dimension_has_no_density():
    dist = SquashedNormalDist(np.zeros((2, 3)), np.ones((2, 3)), low=1.5, high=1.5)
    x, log_proba = dist.sample_and_log_proba(4, seed=0)
    np.testing.assert_array_equal(x, np.full((4, 2, 3), 1.5))
    np.testing.assert_array_equal(dist.mode(), np.full((2, 3), 1.5))
    np.testing.assert_array_equal(log_proba, np.zeros((4, 2)))
    np.testing.assert_array_equal(dist.log_proba(x), np.zeros((4, 2)))
    np.testing.assert_array_equal(dist.kl_divergence(SquashedNormalDist(dist.mu + 1, dist.logvar, 1.5, 1.5)), [0, 0])
    with pytest.raises(ValueError, match="`x` must lie between"):
        dist.log_proba(x + 1.0)


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_density_of_a_draw_is_that_of_the_variate(dtype):
    dist = mixed((200,), dtype)
    tolerance = {"float32": 2e-3, "float64": 1e-11}[dtype]
    for function in modes(lambda dist: dist.sample_and_log_proba(seed=1)):
        x, log_proba = function(dist)
        np.testing.assert_allclose(dist.log_proba(x), log_proba, rtol=tolerance, atol=tolerance)


def test_gradients_of_a_drawn_density_are_pathwise():
    dist = mixed((50,))
    drawn = gradient_of(
        lambda mu, logvar: SquashedNormalDist(mu, logvar, LOW, HIGH).sample_and_log_proba(seed=1)[1],
        *dist.params.values(),
    )

    def log_proba(mu, logvar):
        dist = SquashedNormalDist(mu, logvar, LOW, HIGH)
        return dist.log_proba(dist.sample(seed=1))

    for got, want in zip(drawn[1], gradient_of(log_proba, *dist.params.values())[1], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


# Next to the bounds.


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mu, logvar", [(8.0, 0.0), (-8.0, 0.0), (0.0, 2 * math.log(20))])
@pytest.mark.parametrize("low, high", [(-1.0, 1.0), (-0.1, 0.3), (100.1, 100.7), (0.7, INF), (-INF, 0.7)])
def test_a_million_draws_are_inside_and_have_finite_densities(mu, logvar, low, high, dtype):
    dist = one(mu, logvar, low, high, dtype)
    x, log_proba = dist.sample_and_log_proba(1_000_000, seed=0)
    assert np.min(x) >= np.array(low, dtype) and np.max(x) <= np.array(high, dtype)
    assert np.isfinite(log_proba).all() and np.isfinite(dist.log_proba(x)).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_rounded_draws_are_accepted(dtype):
    dist = SquashedNormalDist(ops.zeros(500, dtype), 5 * ops.ones(500, dtype), low=-0.3, high=0.7)
    x, log_proba = dist.sample_and_log_proba(100, seed=0)
    assert np.isfinite(ops.cast(log_proba, "float32")).all()
    assert np.isfinite(ops.cast(dist.log_proba(x), "float32")).all()


NEAR = {"float32": 2.0**-23 / 16, "float64": 2.0**-52 / 16}


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", NEAR)
@pytest.mark.parametrize("low, high", [(-1.0, 1.0), (0.0, 1.0), (-2.0, 6.0), (3.0, 4.0)])
def test_density_at_a_bound_is_that_of_the_nearest_distance(low, high, dtype):
    mu, logvar = 0.5, 1.0
    for side, bound in ((-1, low), (1, high)):
        distance = NEAR[dtype] * max(abs(low), abs(high), high - low) if bound else np.finfo(dtype).tiny
        u = side * 0.5 * np.log((high - low) / distance)
        want = scipy.stats.norm(mu, np.exp(0.5 * logvar)).logpdf(u) - np.log(2 * distance)
        dist = one(mu, logvar, low, high, dtype)
        for function in modes(lambda x, dist=dist: gradient_of(dist.log_proba, x)):
            value, (gradient,) = function(np.array([bound], dtype))
            np.testing.assert_allclose(value, want, rtol=1e-4 if dtype == "float32" else 1e-12)
            assert np.isfinite(gradient).all()


@pytest.mark.parametrize("low, high, bound", [(0.5, INF, 0.5), (-INF, -3.0, -3.0)])
def test_density_at_the_only_bound(low, high, bound):
    for dtype, near in NEAR.items():
        distance = near * max(1.0, abs(bound))
        side = 1 if np.isfinite(low) else -1
        want = scipy.stats.norm(0.5, 1.0).logpdf(side * np.log(np.expm1(distance))) - np.log(-np.expm1(-distance))
        got = one(0.5, 0.0, low, high, dtype).log_proba(np.array([bound], dtype))
        np.testing.assert_allclose(got, want, rtol=1e-5 if dtype == "float32" else 1e-12)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["mu", "logvar", "x"])
def test_gradients_at_the_bounds_are_finite(name):
    params = {"mu": np.zeros(4, "float32"), "logvar": np.zeros(4, "float32")}
    low, high = [-1.0, -1.0, 0.0, -INF], [1.0, 1.0, INF, 0.0]
    params["x"] = np.array([-1.0, 1.0, 0.0, 0.0], "float32")

    def log_proba(value):
        mu, logvar, x = (params | {name: value}).values()
        return SquashedNormalDist(mu, logvar, low, high).log_proba(x)

    for function in modes(lambda value: gradient_of(log_proba, value)):
        value, (gradient,) = function(params[name])
        assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_widest_box_does_not_overflow(dtype):
    top = float(np.finfo(dtype).max)
    mu, logvar = np.array([0.3, -1.0], dtype), np.zeros(2, dtype)
    dist, unit = SquashedNormalDist(mu, logvar, -top, top), SquashedNormalDist(mu, logvar)
    x, log_proba = dist.sample_and_log_proba(100, seed=0)
    rtol = {"float32": 1e-4, "float64": 1e-10}[dtype]
    want = unit.sample_and_log_proba(100, seed=0)[1] - 2 * np.log(top)
    np.testing.assert_allclose(log_proba, want, rtol=rtol)
    np.testing.assert_allclose(dist.log_proba(x), want, rtol=rtol)
    assert np.isfinite(dist.log_proba(np.array([-top, top], dtype)))


@pytest.mark.few(1)
@pytest.mark.parametrize("x", [1.0001, -1.5, INF, -INF])
def test_outside_the_bounds(x):
    dist = one(0.0, 0.0, -1.0, 1.0)
    with pytest.raises(ValueError, match=r"`x` must lie between `low` and `high`. Received: .* at index \[0\] of x"):
        dist.log_proba([x])
    for jit_compile in (False, True):
        function = tf.function(lambda x: gradient_of(dist.log_proba, x), jit_compile=jit_compile)
        value, (gradient,) = function(np.array([x]))
        assert value == -INF and (gradient == 0.0 or np.isinf(x))


@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)])
def test_nan_stays_nan_in_a_graph(jit_compile):
    function = tf.function(lambda x: mixed().log_proba(x), jit_compile=jit_compile)
    for i in range(4):
        x = np.array(mixed().mode())
        x[i] = NAN
        assert np.isnan(function(x))


# The divergence.


def test_kl_is_the_mean_log_ratio_of_draws():
    p, q = mixed((3,)), mixed((3,), seed=1)
    x, log_p = p.sample_and_log_proba(50_000, seed=5)
    ratio = np.asarray(log_p - q.log_proba(x))
    assert (np.abs(ratio.mean(axis=0) - p.kl_divergence(q)) < 4 * ratio.std(axis=0) / np.sqrt(50_000)).all()


def test_bounds_of_two_distributions_must_be_equal():
    p, q = one(0.0, 0.0, -1.0, 1.0), one(0.0, 0.0, -1.0, 2.0)
    for method in (p.kl_divergence, lambda q: p.proba_ratio([0.5], q)):
        with pytest.raises(ValueError, match="`other` must have the same `high`. Received: 1.0 and 2.0"):
            method(q)


@pytest.mark.parametrize("method", ["entropy", "mean", "variance"])
def test_what_has_no_closed_form_raises(method):
    with pytest.raises(NotImplementedError, match=f"no closed form of `{method}`"):
        getattr(mixed(), method)()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", cases("squashed_normal", "summary"), ids=lambda case: case["id"].rpartition("/")[-1])
def test_estimates_are_those_of_quadrature(case, dtype):
    mu, logvar, low, high = case["inputs"].values()
    want, scale = case["expected"], case["scale"]
    dist = SquashedNormalDist(np.array(mu, dtype), np.array(logvar, dtype), low, high)
    entropy, error = kg.divergences.entropy(dist, 20_000, seed=0)
    assert abs(entropy - want["entropy"]) < 4 * error
    x = np.asarray(dist.sample(20_000, seed=0), "float64")
    rounding = np.finfo(dtype).eps * np.array(scale["mean"])
    assert (np.abs(np.mean(x, axis=0) - want["mean"]) < 4 * np.std(x, axis=0) / math.sqrt(20_000) + rounding).all()


# The constructor.


def test_bounds_are_stored_in_one_form():
    zeros = np.zeros((2, 3), "float32")
    for low, high in ((-1, 2), (np.float32(-1), [2, 2.0, 2]), (np.full(3, -1), (2.0,) * 3), ([-1.0] * 3, 2)):
        dist = SquashedNormalDist(zeros, zeros, low, high)
        assert (dist.low, dist.high) == (-1.0, 2.0) and type(dist.low) is type(dist.high) is float
    dist = SquashedNormalDist(zeros, zeros, np.array([0.0, 1.0, 2.0]), np.array([3.0, INF, 3.0]))
    assert (dist.low, dist.high) == ((0.0, 1.0, 2.0), (3.0, INF, 3.0))


def test_bounds_survive_json_and_a_config():
    dist = mixed((2,), name="a", random_seed=4)
    static = json.loads(json.dumps(dist._static()))
    twin = SquashedNormalDist.from_params(dist.params, **static)
    assert (twin.low, twin.high) == (dist.low, dist.high) == (LOW, HIGH)
    copy = SquashedNormalDist.from_config(dist.get_config())
    assert (copy.low, copy.high) == (LOW, HIGH)


def test_a_functional_model_of_mixed_bounds_survives_a_file(tmp_path):
    inputs = keras.Input((5,))
    x, log_proba = SquashedNormalDist(inputs, inputs, LOW, HIGH).sample_and_log_proba(seed=3)
    model = keras.Model(inputs, [x, log_proba, SquashedNormalDist(inputs, inputs, LOW, HIGH).log_proba(x)])
    model.save(tmp_path / "model.keras")
    loaded, features = keras.saving.load_model(tmp_path / "model.keras"), RNG(0).normal(size=(7, 5)).astype("float32")
    for got, want in zip(loaded(features), model(features), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    "low, high",
    [(1.0, 0.0), ([0.0, 0.0, 2.0], 1.0), (NAN, 1.0), (0.0, [1.0, NAN, 1.0]), (INF, INF), (-INF, -INF)]
    + [([0.0, 0.0], 1.0), ([[0.0] * 3], 1.0), ("a", 1.0), (None, 1.0), ([0.0, [1.0]], 1.0)],
    ids=str,
)
def test_bad_bounds(low, high):
    with pytest.raises(ValueError, match="`low`.* must be .*Received: "):
        SquashedNormalDist(np.zeros((2, 3)), np.zeros((2, 3)), low, high)


@pytest.mark.parametrize("name", ["mu", "logvar"])
@pytest.mark.parametrize("bad", [INF, -INF, NAN])
def test_parameters_must_be_finite(name, bad):
    params = {"mu": np.zeros((2, 3)), "logvar": np.zeros((2, 3))}
    params[name][1, 2] = bad
    with pytest.raises(ValueError, match=rf"`{name}` must be finite. Received: {bad} at index \[1, 2\] of {name}"):
        SquashedNormalDist(**params)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_proba_keeps_digits_on_both_sides_of_where_its_formula_changes(dtype):
    """The series next to the middle, and logarithms from a quarter of the half-width on."""
    x = np.concatenate([sign * np.linspace(0.2, 0.3, 101) for sign in (1, -1)]).astype(dtype)
    dist = kg.SquashedNormalDist(np.zeros((202, 1), dtype), np.full((202, 1), -8.0, dtype))
    wide = x.astype("longdouble")
    u, log_det = np.arctanh(wide), np.log1p(-(wide**2))
    want = -0.5 * (np.log(2 * np.pi) - 8 + u**2 * np.exp(8)) - log_det
    np.testing.assert_allclose(dist.log_proba(x[:, None]), want.astype("float64"), rtol=8 * np.finfo(dtype).eps)
