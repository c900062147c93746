"""`ClippedNormalDist` against scipy, quadrature, and the hard points: far tails, nearly equal policies."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf
from keras import ops

from kgdists import ClippedNormalDist, NormalDist
from tests.golden import gradient_of
from tests.marks import exhaustive

INF, NAN = float("inf"), float("nan")
RNG = np.random.default_rng
# Every kind of dimension: both bounds, one, none, and a constant.
LOW, HIGH = (-1.0, 0.5, -INF, -INF, 2.0), (3.0, INF, 0.25, INF, 2.0)
CASES = [(0.3, 0.0, -1.0, 1.0), (-2.0, -1.0, -1.0, 3.0), (4.0, 1.0, -1.0, 3.0), (0.2, -6.0, 0.0, 1.0)]
CASES += [(0.5, 0.5, 0.0, INF), (-3.0, 0.5, 0.0, INF), (1.0, 0.0, -INF, 0.7), (1.0, 0.5, -INF, INF)]


def mixed(batch=(), dtype="float64", seed=0, **fields):
    mu, logvar = RNG(seed).normal(size=(2, *batch, 5))
    return ClippedNormalDist(ops.cast(mu, dtype), ops.cast(logvar, dtype), LOW, HIGH, **fields)


def one(mu, logvar, low, high, dtype="float64"):
    """Of one dimension."""
    return ClippedNormalDist(np.array([mu], dtype), np.array([logvar], dtype), low, high)


def modes(function):
    """A function as it is, traced and compiled."""
    return function, tf.function(function), tf.function(function, jit_compile=True)


def mean_of(function, mu, logvar, low, high):
    """The mean of `function` of what is clipped, by quadrature."""
    base = scipy.stats.norm(mu, np.exp(0.5 * logvar))
    a, b = max(low, mu - 40 * base.std()), min(high, mu + 40 * base.std())
    total = 0.0
    if a < b:
        points = np.linspace(a, b, 41)
        total = sum(
            scipy.integrate.fixed_quad(lambda x: base.pdf(x) * function(x), *pair, n=30)[0]
            for pair in zip(points[:-1], points[1:], strict=True)
        )
    total += base.cdf(low) * function(np.array(low)) if np.isfinite(low) else 0.0
    return total + (base.sf(high) * function(np.array(high)) if np.isfinite(high) else 0.0)


def log_density(mu, logvar, low, high):
    base = scipy.stats.norm(mu, np.exp(0.5 * logvar))
    return lambda x: np.where(x <= low, base.logcdf(low), np.where(x >= high, base.logsf(high), base.logpdf(x)))


@pytest.mark.few(1)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_log_proba_is_that_of_scipy(case):
    dist, (_, _, low, high) = one(*case), case
    x = np.clip(np.linspace(-4, 4, 33), low, high)[:, None]
    for function in modes(lambda x: dist.log_proba(x)):
        np.testing.assert_allclose(function(x), log_density(*case)(x[:, 0]), rtol=1e-12, atol=1e-12)


@pytest.mark.few(3)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_entropy_and_moments_are_those_of_quadrature(case):
    dist = one(*case)
    mean = mean_of(lambda x: x, *case)
    np.testing.assert_allclose(mean_of(np.ones_like, *case), 1.0, rtol=1e-10)
    np.testing.assert_allclose(dist.mean(), [mean], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(dist.variance(), [mean_of(lambda x: (x - mean) ** 2, *case)], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(dist.entropy(), -mean_of(log_density(*case), *case), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("mode", [0, *exhaustive(1, 2)])
@pytest.mark.parametrize("case", [CASES[0], *exhaustive(*CASES[1:])], ids=str)
def test_divergences_are_those_of_quadrature(case, mode):
    mu, logvar, low, high = case
    others = [(mu + a, logvar + b) for a, b in ((0.5, -1.0), (-3.0, 1.5), (0.01, 0.02), (0.0, 0.3))]
    log_p, log_qs = log_density(*case), [log_density(*other, low, high) for other in others]
    p = ClippedNormalDist(np.full((4, 1), mu), np.full((4, 1), logvar), low, high)
    q = ClippedNormalDist(*np.transpose(others)[..., None], low, high)
    cross_entropy, kl = modes(lambda: (p.cross_entropy(q), p.kl_divergence(q)))[mode]()
    want = [-mean_of(log_q, *case) for log_q in log_qs]
    np.testing.assert_allclose(cross_entropy, want, rtol=1e-9, atol=1e-9)
    want = [mean_of(lambda x, log_q=log_q: log_p(x) - log_q(x), *case) for log_q in log_qs]
    np.testing.assert_allclose(kl, want, rtol=1e-7, atol=1e-11)
    np.testing.assert_allclose(kl, cross_entropy - p.entropy(), rtol=1e-9, atol=1e-11)


@pytest.mark.few(3)
@pytest.mark.parametrize("low, high", [(-1.0, 1.0), (0.0, INF), (-INF, -0.5), (-INF, INF)])
def test_kl_of_nearly_equal_policies_keeps_its_digits(low, high):
    """In float32, against float64."""
    rng = RNG(0)
    step = 10 ** rng.uniform(-4, -1, size=(5000, 1))
    mu, logvar = (2 * rng.normal(size=(2, 5000, 1))).astype("float32")
    q = [(x + step * rng.normal(size=(5000, 1))).astype("float32") for x in (mu, logvar)]

    def kl(dtype):
        cast = [np.asarray(x, dtype) for x in (mu, logvar, *q)]
        return np.asarray(
            ClippedNormalDist(*cast[:2], low, high).kl_divergence(ClippedNormalDist(*cast[2:], low, high))
        )

    got, want = kl("float32"), kl("float64")
    assert (got >= 0).all()
    np.testing.assert_allclose(got, want, rtol=3e-3, atol=1e-9)


@pytest.mark.few(4)
@pytest.mark.parametrize("magnitude", [1e-4, 1e-2, 1.0, 10.0])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_kl_is_never_negative(magnitude, dtype):
    mu, logvar, mu_step, logvar_step = 2 * RNG(0).normal(size=(4, 5000, 3))
    p = ClippedNormalDist(ops.cast(mu, dtype), ops.cast(logvar, dtype))
    q = ClippedNormalDist(ops.cast(mu + magnitude * mu_step, dtype), ops.cast(logvar + magnitude * logvar_step, dtype))
    assert np.min(ops.cast(p.kl_divergence(q), "float32")) >= 0


def test_draws_have_the_probabilities_of_the_bounds():
    dist = one(0.3, 0.5, -1.0, 1.0)
    x = np.ravel(dist.sample(100_000, seed=0))
    for bound in (-1.0, 1.0):
        share = np.exp(dist.log_proba([bound])).item()
        assert abs(np.mean(x == bound) - share) < 4 * np.sqrt(share / 100_000)
    inner = x[np.abs(x) < 1.0]
    want = scipy.stats.truncnorm(-1.3 / np.exp(0.25), 0.7 / np.exp(0.25), 0.3, np.exp(0.25))
    assert scipy.stats.kstest(inner, want.cdf).pvalue > 1e-3


def test_draws_are_clipped_normal_draws_without_gradient_at_the_bounds():
    mu, logvar = RNG(0).normal(size=(2, 7, 3))
    u, want = gradient_of(lambda mu, logvar: NormalDist(mu, logvar).sample(seed=3), mu, logvar)
    x, got = gradient_of(lambda mu, logvar: ClippedNormalDist(mu, logvar).sample(seed=3), mu, logvar)
    np.testing.assert_array_equal(x, np.clip(u, -1.0, 1.0))
    for gradient, free in zip(got, want, strict=True):
        np.testing.assert_allclose(gradient, np.where(np.abs(u) < 1.0, free, 0.0))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_rounded_bounds_keep_their_probability(dtype):
    dist = ClippedNormalDist(ops.cast([0.3, 0.3], dtype), ops.cast([1.0, 1.0], dtype), low=-0.3, high=0.7)
    x = ops.cast(np.array([-0.3, 0.7]), dtype)
    want = scipy.stats.norm(0.3, np.exp(0.5))
    got = np.asarray(ops.cast(dist.log_proba(x), "float64"))
    np.testing.assert_allclose(got, want.logcdf(-0.3) + want.logsf(0.7), rtol=0.01)
    x, log_proba = dist.sample_and_log_proba(1000, seed=0)
    np.testing.assert_array_equal(dist.log_proba(x), log_proba)


@pytest.mark.exhaustive
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_and_gradients_far_out_are_finite(dtype):
    mu = np.array([-1e4, -100.0, -1.0, 0.0, 1.0, 100.0, 1e4], dtype)[:, None]
    logvar = np.zeros_like(mu)

    def pair(mu, logvar):
        return ClippedNormalDist(mu, logvar), ClippedNormalDist(mu[::-1], logvar + 1.0)

    quantities = [
        lambda p, q: p.log_proba(np.full(mu.shape, -1.0, dtype)),
        lambda p, q: p.log_proba(np.full(mu.shape, 1.0, dtype)),
        lambda p, q: p.log_proba(np.zeros_like(mu)),
        lambda p, q: p.entropy(),
        lambda p, q: p.kl_divergence(q),
        lambda p, q: p.mean(),
        lambda p, q: p.variance(),
    ]

    def evaluate(mu, logvar):
        return [gradient_of(lambda *leaves, of=of: of(*pair(*leaves)), mu, logvar) for of in quantities]

    for function in modes(evaluate):
        for value, gradients in function(mu, logvar):
            assert np.isfinite(value).all() and all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.exhaustive
def test_dimensions_are_independent_and_each_of_its_kind():
    p, q = mixed((7,)), mixed((7,), seed=1)
    x = p.sample(seed=2)

    def alone(dist, i):
        return ClippedNormalDist(dist.mu[..., i : i + 1], dist.logvar[..., i : i + 1], LOW[i], HIGH[i])

    parts = [(alone(p, i), alone(q, i), x[..., i : i + 1]) for i in range(5)]
    for name, function in {
        "log_proba": lambda p, q, x: p.log_proba(x),
        "entropy": lambda p, q, x: p.entropy(),
        "cross_entropy": lambda p, q, x: p.cross_entropy(q),
        "kl_divergence": lambda p, q, x: p.kl_divergence(q),
    }.items():
        want = sum(function(*part) for part in parts)
        np.testing.assert_allclose(function(p, q, x), want, rtol=1e-10, atol=1e-12, err_msg=name)
        np.testing.assert_array_equal(function(*parts[4]), np.zeros(7))
    for name in ("mean", "mode", "variance"):
        want = ops.concatenate([getattr(part[0], name)() for part in parts], axis=-1)
        np.testing.assert_allclose(getattr(p, name)(), want, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(p.mean()[:, 4], np.full(7, 2.0))


def test_outside_the_bounds():
    dist = one(0.0, 0.0, -1.0, 1.0)
    with pytest.raises(ValueError, match=r"`x` must lie between `low` and `high`. Received: 1.5 at index \[0\] of x"):
        dist.log_proba([1.5])
    for jit_compile in (False, True):
        function = tf.function(lambda x: dist.log_proba(x), jit_compile=jit_compile)
        assert function(np.array([-1.5])) == -INF and np.isnan(function(np.array([NAN])))


def test_the_mean_of_draws_is_differentiated_right():
    dist = one(0.4, 0.2, -1.0, 1.0)
    _, drawn = gradient_of(
        lambda mu, logvar: ops.mean(ClippedNormalDist(mu, logvar).sample(200_000, seed=0)), *dist.params.values()
    )
    _, exact = gradient_of(lambda mu, logvar: ClippedNormalDist(mu, logvar).mean(), *dist.params.values())
    np.testing.assert_allclose(drawn, exact, atol=0.005)


@pytest.mark.parametrize("low, high", [(1.0, 0.0), ([0.0, 0.0], 1.0), (NAN, 1.0), (INF, INF)], ids=str)
def test_bad_bounds(low, high):
    with pytest.raises(ValueError, match="`low`.* must be .*Received: "):
        ClippedNormalDist(np.zeros((2, 3)), np.zeros((2, 3)), low, high)
