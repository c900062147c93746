"""`BetaDist` against reference numbers, scipy, and the hard points: the bounds, tiny and huge concentrations."""

import inspect

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
from keras import ops

from kgdists import BetaDist
from kgdists.random import log_gamma
from tests.golden import gradient_of, reference_test, with_gradients
from tests.marks import exhaustive

INF, NAN = float("inf"), float("nan")
RNG = np.random.default_rng


def modes(function):
    """A function as it is, traced and compiled."""
    return function, tf.function(function), tf.function(function, jit_compile=True)


def concentrations(*shape, seed=0):
    return np.exp(RNG(seed).normal(size=(2, *shape)))


# Reference numbers.


def answer_single(alpha, beta, low, high, action):
    dist = BetaDist(alpha, beta, low, high)
    answers = {"entropy": dist.entropy(), "mean": dist.mean(), "mode": dist.mode(), "variance": dist.variance()}
    return answers | with_gradients(
        "log_prob", lambda alpha, beta: BetaDist(alpha, beta, low, high).log_prob(action), alpha=alpha, beta=beta
    )


def answer_pair(p_alpha, p_beta, q_alpha, q_beta, low, high):
    p, q = BetaDist(p_alpha, p_beta, low, high), BetaDist(q_alpha, q_beta, low, high)
    return {"kl_divergence": p.kl_divergence(q), "cross_entropy": p.cross_entropy(q)}


test_reference_numbers = reference_test("beta", single=answer_single, pair=answer_pair)


# scipy.


@pytest.mark.exhaustive
def test_densities_and_moments_are_those_of_scipy():
    alpha, beta = concentrations(7, 3)
    low, high = np.array([-1.0, 0.0, 2.0]), np.array([1.0, 5.0, 2.5])
    dist, want = BetaDist(alpha, beta, low, high), scipy.stats.beta(alpha, beta, low, high - low)
    x = low + (high - low) * RNG(1).uniform(size=(7, 3))
    for function in modes(lambda x: dist.log_proba(x)):
        np.testing.assert_allclose(function(x), want.logpdf(x).sum(axis=-1), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(dist.entropy(), want.entropy().sum(axis=-1), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(dist.mean(), want.mean(), rtol=1e-12)
    np.testing.assert_allclose(dist.variance(), want.var(), rtol=1e-12)


@pytest.mark.few(9)
@pytest.mark.parametrize("alpha, beta", [(2.0, 3.0), (1.0, 1.0), (1.5, 1.0), (0.7, 0.6), (50.0, 80.0)])
@pytest.mark.parametrize("low, high", [(0.0, 1.0), (-1.0, 3.0)])
def test_the_density_integrates_to_one(alpha, beta, low, high):
    """Over shares of the probability that get smaller towards the bounds, which may be singular."""
    dist, want = BetaDist([alpha], [beta], low, high), scipy.stats.beta(alpha, beta, low, high - low)
    dist = keras.tree.map_structure(lambda x: ops.cast(x, "float64"), dist)
    edges = want.ppf(scipy.special.expit(np.linspace(-12, 12, 81)))
    nodes, weights = np.polynomial.legendre.leggauss(20)
    middle, half = (edges[1:] + edges[:-1]) / 2, np.diff(edges) / 2
    x = middle[:, None] + half[:, None] * nodes
    assert (
        abs(np.sum(half[:, None] * weights * np.exp(dist.log_proba(x[..., None]))) - (1 - 2 * scipy.special.expit(-12)))
        < 1e-6
    )


# Modes.


@pytest.mark.few(1)
@pytest.mark.parametrize(
    "alpha, beta, mode",
    [(2.0, 4.0, 0.25), (1.0, 1.0, 0.5), (1.0, 3.0, 0.0), (3.0, 1.0, 1.0), (0.5, 0.6, 0.0), (0.6, 0.5, 1.0)]
    + [(0.5, 0.5, 0.0), (0.5, 3.0, 0.0), (3.0, 0.5, 1.0)],
)
def test_modes(alpha, beta, mode):
    for function in modes(lambda alpha, beta: BetaDist(alpha, beta, -1.0, 3.0).mode()):
        np.testing.assert_allclose(function(np.array([alpha]), np.array([beta])), [-1.0 + 4.0 * mode], atol=1e-12)


# The divergence.


def precise_kl(a, b, c, d):
    """Of relative steps well below one: the Taylor series of log B in them, by Hurwitz's zeta function."""
    n = np.arange(2.0, 41.0)[:, None]
    # The sum of the differences, because the difference of the sums would be rounded.
    steps = a - c, b - d, (a - c) + (b - d)
    terms = [step**n * scipy.special.zeta(n, x) / n for step, x in zip(steps, (a, b, a + b), strict=True)]
    return np.sum(terms[0] + terms[1] - terms[2], axis=0)


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype, rtol", [("float32", 1e-4), ("float64", 1e-11)])
def test_kl_of_nearly_equal_policies_keeps_its_digits(dtype, rtol):
    rng = RNG(0)
    size = np.repeat([1e-3, 0.1, 1.0, 10.0, 1000.0], 200)[:, None]
    p = (size * np.exp(rng.normal(size=(2, 1000, 1)))).astype(dtype)
    q = (p * (1 + 10 ** rng.uniform(-4, -0.9, size=(1000, 1)) * rng.uniform(-1, 1, size=(2, 1000, 1)))).astype(dtype)
    want = precise_kl(*np.concatenate([p, q])[..., 0].astype("float64"))
    for function in modes(lambda p, q: BetaDist(*p).kl_divergence(BetaDist(*q))):
        got = np.array(function(list(p), list(q)))
        assert (got >= 0).all()
        np.testing.assert_allclose(got, want, rtol=rtol, atol={"float32": 2e-9, "float64": 1e-20}[dtype])


@pytest.mark.few(1)
@pytest.mark.parametrize("magnitude", [1e-4, 1e-2, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_kl_is_never_negative(magnitude, dtype):
    alpha, beta = concentrations(5000, 3)
    steps = np.exp(magnitude * RNG(1).normal(size=(2, 5000, 3)))
    p = BetaDist(ops.cast(0.01 + alpha, dtype), ops.cast(0.01 + beta, dtype))
    q = BetaDist(*(ops.cast(np.clip(x, 0.01, 1e4), dtype) for x in (alpha * steps[0], beta * steps[1])))
    assert np.min(ops.cast(p.kl_divergence(q), "float32")) >= 0


@pytest.mark.exhaustive
def test_gradients_of_the_divergence_across_its_two_forms():
    """At relative steps just below and above the border."""
    for step in (0.2999, 0.3001):
        p, q = np.array([2.0]), np.array([2.0 * (1 + step)])
        _, gradients = gradient_of(
            lambda a, b, c, d: BetaDist(a, b).kl_divergence(BetaDist(c, d)), p, p + 1.0, q, p + 1.0
        )
        total = scipy.special.digamma
        want_c = total(q) - total(q + p + 1.0) - (total(p) - total(2 * p + 1.0))
        np.testing.assert_allclose(gradients[2], want_c, rtol=1e-8)


# Next to the bounds.


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("low, high", [(0.0, 1.0), (-0.1, 0.3), (100.1, 100.7)])
@pytest.mark.parametrize("alpha, beta", [(1e-3, 1e-3), (1e-30, 1e-30), (0.1, 2.0), (30.0, 0.01), (1e4, 1.0)])
def test_draws_are_inside_and_have_finite_densities(alpha, beta, low, high, dtype):
    dist = BetaDist(np.array([alpha], dtype), np.array([beta], dtype), low, high)
    x, log_proba = dist.sample_and_log_proba(20_000, seed=0)
    assert np.min(x) >= np.array(low, dtype) and np.max(x) <= np.array(high, dtype)
    assert np.isfinite(log_proba).all() and np.isfinite(dist.log_proba(x)).all()


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype, eps", [("float32", 2.0**-23), ("float64", 2.0**-52)])
@pytest.mark.parametrize("low, high", [(0.0, 1.0), (-2.0, 6.0), (3.0, 4.0)])
def test_density_at_a_bound_is_that_of_the_nearest_distance(low, high, dtype, eps):
    for bound, (alpha, beta) in ((low, (0.5, 1.5)), (high, (1.5, 0.5))):
        near = eps / 16 * max(abs(low), abs(high), high - low) if bound else np.finfo(dtype).tiny
        near = near / (high - low)
        dist = BetaDist(np.array([alpha], dtype), np.array([beta], dtype), low, high)
        want = -0.5 * np.log(near) - scipy.special.betaln(alpha, beta) - np.log(high - low)
        for function in modes(lambda x, dist=dist: gradient_of(dist.log_proba, x)):
            value, (gradient,) = function(np.array([bound], dtype))
            np.testing.assert_allclose(value, want, rtol=1e-5 if dtype == "float32" else 1e-12)
            assert np.isfinite(gradient).all()


@pytest.mark.exhaustive
def test_outside_the_bounds():
    dist = BetaDist(np.array([2.0]), np.array([2.0]))
    with pytest.raises(ValueError, match=r"`x` must lie between `low` and `high`. Received: 1.5 at index \[0\] of x"):
        dist.log_proba([1.5])
    for jit_compile in (False, True):
        assert tf.function(dist.log_proba, jit_compile=jit_compile)(np.array([1.5])) == -INF


def test_a_constant_dimension_has_no_density():
    alpha, beta = 1.0 + concentrations(5, 2)
    dist = BetaDist(alpha, beta, [0.0, 1.5], [1.0, 1.5])
    alone, other = BetaDist(alpha[:, :1], beta[:, :1]), BetaDist(beta, alpha, [0.0, 1.5], [1.0, 1.5])
    x, log_proba = dist.sample_and_log_proba(4, seed=0)
    np.testing.assert_array_equal(x[..., 1], np.full((4, 5), 1.5))
    np.testing.assert_allclose(log_proba, alone.log_proba(x[..., :1]), rtol=1e-9)
    np.testing.assert_allclose(dist.log_proba(x), alone.log_proba(x[..., :1]), rtol=1e-12)
    np.testing.assert_allclose(dist.entropy(), alone.entropy(), rtol=1e-12)
    np.testing.assert_allclose(
        dist.kl_divergence(other), alone.kl_divergence(BetaDist(beta[:, :1], alpha[:, :1])), rtol=1e-12
    )
    np.testing.assert_array_equal(dist.variance()[:, 1], np.zeros(5))
    np.testing.assert_array_equal(dist.mean()[:, 1], np.full(5, 1.5))


# Draws.


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)])
def test_draws_follow_the_distribution(dtype, jit_compile):
    alpha, beta = np.array([1.0, 0.3, 5.0, 2000.0, 0.5, 1.5]), np.array([1.0, 2.0, 1.2, 3000.0, 0.5, 30.0])
    draw = tf.function(lambda alpha, beta: BetaDist(alpha, beta).sample(20_000, seed=1), jit_compile=jit_compile)
    x = np.array(draw(alpha.astype(dtype), beta.astype(dtype)), "float64")
    for column, a, b in zip(x.T, alpha, beta, strict=True):
        assert scipy.stats.kstest(column, scipy.stats.beta(a, b).cdf).pvalue > 1e-3
    assert np.abs(np.corrcoef(x.T) - np.eye(6)).max() < 0.03


def test_logarithms_of_gamma_variates_follow_the_distribution():
    for concentration in (1e-3, 0.1, 1.0, 3.0, 1e6):
        x = np.array(log_gamma(ops.full((20_000,), concentration, "float64"), seed=2))
        assert scipy.stats.kstest(x, scipy.stats.loggamma(concentration).cdf).pvalue > 1e-3


@pytest.mark.exhaustive
def test_implicit_gradients_of_draws():
    """Of fixed distribution function: dx/da = -(dF/da) / density."""
    alpha, beta = np.array([0.3, 1.0, 2.0, 40.0, 1.5]), np.array([0.8, 1.0, 5.0, 30.0, 0.4])
    for function in modes(lambda a, b: gradient_of(lambda a, b: BetaDist(a, b).sample(seed=3), a, b)):
        x, gradients = function(alpha, beta)
        x, step = np.array(x), 1e-6
        density = scipy.stats.beta(alpha, beta).pdf(x)
        for gradient, (da, db) in zip(gradients, ((step, 0), (0, step)), strict=True):
            moved = scipy.special.betainc(alpha + da, beta + db, x) - scipy.special.betainc(alpha - da, beta - db, x)
            assert np.isfinite(gradient).all()
            # A pair of gammas is moved, not the quantile: the same on average only; of the same sign always.
            assert (np.sign(gradient) == np.sign(-moved / density)).all()


@pytest.mark.exhaustive
def test_gradients_of_draws_are_those_of_moments():
    def moments(alpha, beta):
        x = BetaDist(alpha, beta).sample(200_000, seed=4)
        return ops.mean(x, axis=0), ops.mean(x * x, axis=0)

    alpha, beta = np.array([0.5, 2.0, 30.0]), np.array([1.5, 0.7, 20.0])
    for i, (want_a, want_b) in enumerate(_moment_gradients(alpha, beta)):
        _, gradients = gradient_of(lambda a, b, i=i: moments(a, b)[i], alpha, beta)
        np.testing.assert_allclose(gradients[0], want_a, rtol=0.03)
        np.testing.assert_allclose(gradients[1], want_b, rtol=0.03)


def _moment_gradients(a, b):
    step = 1e-6

    def moments(a, b):
        return a / (a + b), a * (a + 1) / ((a + b) * (a + b + 1))

    for i in range(2):
        yield (
            (moments(a + step, b)[i] - moments(a - step, b)[i]) / (2 * step),
            (moments(a, b + step)[i] - moments(a, b - step)[i]) / (2 * step),
        )


def test_gradients_of_draws_of_tiny_concentrations_are_finite():
    for dtype in ("float32", "float64"):
        tiny = np.full(1000, 1e-4, dtype)
        _, gradients = gradient_of(lambda a, b: BetaDist(a, b).sample(seed=0), tiny, tiny)
        assert all(np.isfinite(gradient).all() for gradient in gradients)


# The constructor.


def test_arguments_and_defaults():
    assert list(inspect.signature(BetaDist).parameters) == ["alpha", "beta", "low", "high", "name", "random_seed"]
    dist = BetaDist([2.0], [3.0])
    assert (dist.low, dist.high, dist.name, dist.random_seed) == (0.0, 1.0, "beta_dist", None)


@pytest.mark.parametrize("name", ["alpha", "beta"])
@pytest.mark.parametrize("bad", [0.0, -1.0, INF, NAN])
def test_concentrations_must_be_positive(name, bad):
    params = {"alpha": np.ones((2, 3)), "beta": np.ones((2, 3))}
    params[name][1, 2] = bad
    text = rf"`{name}` must be finite and > 0. Received: {bad} at index \[1, 2\] of {name}"
    with pytest.raises(ValueError, match=text):
        BetaDist(**params)


@pytest.mark.parametrize("low, high", [(-INF, 1.0), (0.0, INF), (0.0, [1.0, INF, 1.0]), (1.0, 0.0), ([0.0, 0.0], 1.0)])
def test_bad_bounds(low, high):
    with pytest.raises(ValueError, match="`low` .*must be .*Received: "):
        BetaDist(np.ones(3), np.ones(3), low, high)


@pytest.mark.exhaustive
@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])
@pytest.mark.parametrize("batch", [8, None])
def test_draws_in_a_graph_whose_shape_is_partly_known(n, jit_compile, batch):
    @tf.function(jit_compile=jit_compile, input_signature=[tf.TensorSpec((batch, n))])
    def draw(alpha):
        return BetaDist(alpha, alpha).sample(3, seed=1)

    np.testing.assert_allclose(
        draw(np.ones((8, n), "float32")), BetaDist(*np.ones((2, 8, n), "float32")).sample(3, seed=1), rtol=1e-5
    )
