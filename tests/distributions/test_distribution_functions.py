"""Distribution functions, quantiles and ranked probability scores, against SciPy, quadrature and identities."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import integrate, special, stats

import kgdists as kg
from tests.marks import exhaustive
from tests.table import DISTRIBUTIONS

RNG = np.random.default_rng
INF = np.inf
SETTINGS = 200
LOW, HIGH = np.array([-1.0, 0.0, -INF, -INF]), np.array([1.5, INF, 1.0, INF])
ORDERED = ("normal", "clipped_normal", "squashed_normal", "discretized_logistic", "beta")
each_ordered = pytest.mark.parametrize("name", ["normal", "beta", *exhaustive(*ORDERED[1:4])])


def close(got, expected, rtol, condition=1.0):
    """Whether numbers agree to `rtol` times the condition of the answer."""
    error = np.abs(np.asarray(got) - expected) / np.maximum(np.abs(expected), np.finfo("float64").tiny)
    assert np.max(error / np.maximum(condition, 1.0)) < rtol


# Normal


@pytest.fixture(scope="module")
def normals():
    rng = RNG(0)
    mu, sigma = (
        10.0 ** rng.uniform(-3, 3, SETTINGS) * rng.choice([-1, 1], SETTINGS),
        10.0 ** rng.uniform(-3, 3, SETTINGS),
    )
    x = mu + sigma * rng.normal(size=SETTINGS) * 10.0 ** rng.uniform(-2, 1, SETTINGS)
    return kg.NormalDist(mu[:, None], 2.0 * np.log(sigma)[:, None]), stats.norm(mu, sigma), x


def test_the_functions_of_a_normal_are_scipy_s(normals):
    pi, expected, x = normals
    # A relative error of x, mu or sigma moves z by that much of each.
    z = (x - expected.args[0]) / expected.args[1]
    moved = (np.abs(x) + np.abs(expected.args[0])) / expected.args[1] + np.abs(z)
    for mine, theirs in {"cdf": "cdf", "survival": "sf", "log_cdf": "logcdf", "log_survival": "logsf"}.items():
        value = getattr(expected, theirs)(x)
        tail = expected.logcdf(x) if "cdf" in theirs else expected.logsf(x)
        pull = np.exp(stats.norm.logpdf(z) - tail)
        condition = pull * moved / (np.abs(value) if "log" in theirs else 1.0)
        close(getattr(pi, mine)(x[:, None])[:, 0], value, 1e-13, condition)
    np.testing.assert_allclose(pi.prob(x[:, None]), expected.pdf(x), rtol=1e-9)
    np.testing.assert_allclose(pi.stddev()[:, 0], expected.std(), rtol=1e-13)


@pytest.mark.parametrize("q", [1e-300, 1e-30, 1e-5, 0.1, 0.5, 0.9, 1.0 - 1e-9])
def test_the_quantiles_of_a_normal_are_scipy_s(normals, q):
    pi, expected, _ = normals
    mu, sigma = expected.args
    z = stats.norm.ppf(q)
    parts = np.abs(mu) + sigma * (np.abs(z) + q / stats.norm.pdf(z))
    parts = parts / np.maximum(np.abs(expected.ppf(q)), 1e-300)
    close(pi.quantile(q)[:, 0], expected.ppf(q), 1e-13, parts)


def test_the_score_of_a_normal_is_the_integral():
    pi, x = kg.NormalDist([[0.3]], [[np.log(4.0)]]), 1.7

    def square(t):
        return (stats.norm.cdf(t, 0.3, 2.0) - (t >= x)) ** 2

    expected = sum(integrate.quad(square, *ends, epsabs=1e-13)[0] for ends in ((-40.0, x), (x, 40.0)))
    assert float(pi.crps([[x]])[0]) == pytest.approx(expected, rel=1e-6)


def test_a_normal_of_mean_and_deviation():
    pi = kg.NormalDist.from_stddev(mu=[[1.0, 2.0]], stddev=[[0.5, 4.0]], name="n")
    np.testing.assert_allclose(pi.stddev(), [[0.5, 4.0]], rtol=1e-6)
    assert pi.name == "n"
    with pytest.raises(ValueError, match="`stddev` must be finite and > 0. Received: 0.0"):
        kg.NormalDist.from_stddev([0.0], [0.0])


# Beta


@pytest.fixture(scope="module")
def betas():
    rng = RNG(1)
    a, b = (10.0 ** rng.uniform(-1.5, 4.0, SETTINGS) for _ in range(2))
    x = special.betaincinv(a, b, rng.uniform(size=SETTINGS))
    x = np.where((x > 1e-290) & (x < 1.0 - 1e-9), x, 0.5)
    return kg.BetaDist(a[:, None], b[:, None]), a, b, x


def test_the_functions_of_a_beta_are_scipy_s(betas):
    pi, a, b, x = betas
    below, above = special.betainc(a, b, x), special.betaincc(a, b, x)
    for value, got in ((below, pi.cdf(x[:, None])), (above, pi.survival(x[:, None]))):
        seen = value > 1e-200
        close(got.numpy()[seen, 0], value[seen], 1e-10)
    np.testing.assert_allclose(np.exp(pi.log_cdf(x[:, None])), pi.cdf(x[:, None]), rtol=1e-12)


def test_the_quantiles_of_a_beta_invert_its_function(betas):
    pi, a, b, _ = betas
    for q in (1e-3, 0.2, 0.5, 0.9):
        expected = special.betaincinv(a, b, q)
        seen = (expected > 1e-290) & (expected < 1.0 - 1e-12)
        np.testing.assert_allclose(pi.quantile(q).numpy()[seen, 0], expected[seen], rtol=1e-8)


def test_the_gradient_of_a_beta_s_function_reaches_the_concentrations():
    a, b, x = (tf.constant(v, "float64") for v in ([[0.3, 2.0, 900.0]], [[4.0, 2.0, 300.0]], [[0.02, 0.6, 0.74]]))
    with tf.GradientTape() as tape:
        tape.watch([a, b, x])
        value = kg.BetaDist(a, b).cdf(x)
    got = tape.gradient(value, [a, b, x])
    step = 1e-5

    def change(i):
        parts = [np.asarray(v) for v in (a, b, x)]
        up, down = ([p * (1.0 + sign * step * (i == j)) for j, p in enumerate(parts)] for sign in (1.0, -1.0))
        return (special.betainc(*up) - special.betainc(*down)) / (2.0 * step * parts[i])

    for i in range(3):
        np.testing.assert_allclose(got[i], change(i), rtol=1e-5)


def test_the_score_of_a_beta_is_that_of_its_draws():
    pi = kg.BetaDist([[0.5], [3.0], [40.0]], [[2.0], [3.0], [7.0]], low=-1.0, high=3.0)
    x = np.array([[0.1], [1.0], [2.4]])
    value, error = kg.divergences.crps(pi, x, 40_000, seed=0)
    assert np.all(np.abs(pi.crps(x) - value) < 5.0 * error)


# Clipped and squashed normals


def boxed(cls, dtype="float64"):
    rng = RNG(2)
    mu, sigma = rng.normal(size=(6, 4)), np.exp(0.7 * rng.normal(size=(6, 4)))
    return cls(mu.astype(dtype), (2.0 * np.log(sigma)).astype(dtype), LOW, HIGH), mu, sigma


def test_a_clipped_normal_jumps_at_its_bounds():
    pi, mu, sigma = boxed(kg.ClippedNormalDist)
    x = np.clip(mu + sigma * RNG(3).normal(size=mu.shape), LOW, HIGH)
    expected = np.where(x >= HIGH, 1.0, stats.norm.cdf(x, mu, sigma))
    np.testing.assert_allclose(pi.cdf(x), expected, rtol=1e-12)
    np.testing.assert_allclose(pi.survival(x), 1.0 - expected, rtol=1e-10, atol=1e-15)
    beyond = np.broadcast_to([-3.0, -1.0, 5.0, 0.0], x.shape)
    np.testing.assert_array_equal(pi.cdf(beyond)[:, :3], np.broadcast_to([0.0, 0.0, 1.0], (6, 3)))
    np.testing.assert_allclose(pi.quantile(0.9), np.clip(stats.norm.ppf(0.9, mu, sigma), LOW, HIGH), rtol=1e-12)


def test_the_score_of_a_clipped_normal_is_the_integral():
    pi, mu, sigma = boxed(kg.ClippedNormalDist)
    x = np.clip(mu + sigma * RNG(4).normal(size=mu.shape), LOW, HIGH)

    def score(i, j):
        low, high = max(LOW[j], mu[i, j] - 40 * sigma[i, j]), min(HIGH[j], mu[i, j] + 40 * sigma[i, j])
        below = integrate.quad(lambda t: stats.norm.cdf(t, mu[i, j], sigma[i, j]) ** 2, low, x[i, j], limit=200)[0]
        return (
            below + integrate.quad(lambda t: stats.norm.sf(t, mu[i, j], sigma[i, j]) ** 2, x[i, j], high, limit=200)[0]
        )

    np.testing.assert_allclose(pi.crps(x), [sum(score(i, j) for j in range(4)) for i in range(6)], rtol=1e-7)


def test_a_squashed_normal_has_the_function_of_the_normal():
    pi, mu, sigma = boxed(kg.SquashedNormalDist)
    u = mu + sigma * RNG(5).normal(size=mu.shape)
    x = pi._squash(tf.constant(u))
    np.testing.assert_allclose(pi.cdf(x), stats.norm.cdf(u, mu, sigma), rtol=1e-9)
    np.testing.assert_allclose(pi.log_survival(x), stats.norm.logsf(u, mu, sigma), rtol=1e-9)
    np.testing.assert_allclose(pi.quantile(0.3), pi._squash(tf.constant(stats.norm.ppf(0.3, mu, sigma))), rtol=1e-12)


# Integers


def test_a_discretized_logistic_adds_up_its_probabilities():
    pi = kg.DiscretizedLogisticDist(np.float64([[0.3]]), np.float64([[0.7]]), -3, 5)
    k = np.arange(-3, 6)
    masses = np.exp([float(pi.log_proba([[i]])[0]) for i in k])
    np.testing.assert_allclose([float(pi.cdf([[float(i)]])[0, 0]) for i in k], np.cumsum(masses), rtol=1e-12)
    np.testing.assert_allclose([float(pi.survival([[float(i)]])[0, 0]) for i in k], 1 - np.cumsum(masses), atol=1e-12)
    for q in (0.01, 0.3, 0.5, 0.9, 0.999):
        assert float(pi.quantile(q)[0, 0]) == k[np.searchsorted(np.cumsum(masses), q)]
    assert float(pi.cdf([[-4.0]])[0, 0]) == 0.0 and float(pi.cdf([[1.9]])[0, 0]) == float(pi.cdf([[1.0]])[0, 0])


# Mixtures


def mixture():
    rng = RNG(6)
    logits, mu, logvar = rng.normal(size=(5, 3)), 3.0 * rng.normal(size=(5, 3, 1)), rng.normal(size=(5, 3, 1))
    weights = special.softmax(logits, axis=-1)
    return kg.GaussianMixtureDist(logits, mu, logvar), weights, mu[..., 0], np.exp(0.5 * logvar[..., 0])


def test_the_functions_of_a_mixture_are_the_sums_of_its_components():
    pi, weights, mu, sigma = mixture()
    x = 3.0 * RNG(7).normal(size=(5, 1))
    np.testing.assert_allclose(pi.cdf(x)[:, 0], (weights * stats.norm.cdf(x, mu, sigma)).sum(1), rtol=1e-12)
    far = np.full((5, 1), -60.0)
    expected = special.logsumexp(np.log(weights) + stats.norm.logcdf(far, mu, sigma), axis=1)
    np.testing.assert_allclose(pi.log_cdf(far)[:, 0], expected, rtol=1e-12)


@pytest.mark.few(1)
@pytest.mark.parametrize("q", [1e-200, 1e-5, 0.3, 0.5, 0.9, 1.0 - 1e-12])
def test_the_quantiles_of_a_mixture_invert_its_function(q):
    pi, *_ = mixture()
    x = pi.quantile(q)
    got, expected = (pi.log_cdf(x), np.log(q)) if q < 0.5 else (pi.log_survival(x), np.log1p(-q))
    np.testing.assert_allclose(got, np.full((5, 1), expected), rtol=1e-9)


def test_the_score_of_a_mixture_is_that_of_its_draws():
    pi, *_ = mixture()
    x = RNG(8).normal(size=(5, 1))
    value, error = kg.divergences.crps(pi, x, 40_000, seed=0)
    assert np.all(np.abs(pi.crps(x) - value) < 5.0 * error)


def test_a_mixture_of_vectors_has_no_distribution_function():
    pi = kg.GaussianMixtureDist([0.0, 0.0], [[0.0, 0.0], [1.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]])
    for name in ("cdf", "log_cdf", "survival", "log_survival", "quantile", "crps"):
        with pytest.raises(NotImplementedError, match=f"has a `{name}` over one dimension only"):
            getattr(pi, name)(0.5 if name == "quantile" else [0.0, 0.0])


# What they have in common


@pytest.mark.few(2)
@each_ordered
def test_function_and_quantile_are_inverses_and_the_interval_holds_its_mass(name):
    pi = DISTRIBUTIONS[name]((3,), "float64", RNG(0))
    low, high = pi.interval(0.8)
    np.testing.assert_allclose(pi.median(), pi.quantile(0.5), rtol=1e-9, atol=1e-12)
    assert np.all(low <= pi.median()) and np.all(pi.median() <= high)
    if name in ("normal", "beta", "squashed_normal"):
        np.testing.assert_allclose(pi.cdf(low), np.full(low.shape, 0.1), rtol=1e-8)
        np.testing.assert_allclose(pi.survival(high), np.full(high.shape, 0.1), rtol=1e-8)
    many = keras.tree.map_structure(lambda x: keras.ops.repeat(x[None], 400, axis=0), pi)
    draws = np.asarray(many.sample_action(seed=0))
    share = np.mean((draws >= low) & (draws <= high), axis=0)
    assert np.all(share > 0.8 - 4.0 * np.sqrt(0.16 / 400))


@pytest.mark.few(3)
@each_ordered
def test_levels_broadcast_and_others_are_refused(name):
    pi = DISTRIBUTIONS[name]((3,), "float32", RNG(0))
    q = np.array([0.1, 0.5, 0.9])[:, None, None]
    levels = pi.quantile(q)
    assert levels.shape == (3, 3, 4) and levels.dtype == "float32"
    np.testing.assert_allclose(levels[1], pi.median(), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"`q` must be from 0 to 1. Received: 1.5"):
        pi.quantile(1.5)
    with pytest.raises(ValueError, match="`q` must broadcast against .* Received: q of shape"):
        pi.quantile([0.1, 0.9])
    with pytest.raises(ValueError, match="`mass` must be a number > 0 and < 1. Received: mass=1"):
        pi.interval(1)


@pytest.mark.few(3)
@each_ordered
@pytest.mark.parametrize("method", ["cdf", "log_survival", "quantile", "crps"])
def test_gradients_reach_the_parameters(name, method):
    pi = DISTRIBUTIONS[name]((2,), "float64", RNG(0))
    if method == "crps" and type(pi).crps is kg.Distribution.crps:
        with pytest.raises(NotImplementedError, match="estimate it by `kgdists.divergences.crps`"):
            pi.crps(pi.mode())
        return
    argument = 0.3 if method == "quantile" else pi.quantile(0.6)
    with tf.GradientTape() as tape:
        leaves = keras.tree.flatten(pi)
        tape.watch(leaves)
        value = getattr(keras.tree.pack_sequence_as(pi, leaves), method)(argument)
    gradients = [g for g in tape.gradient(value, leaves) if g is not None]
    assert all(np.all(np.isfinite(g)) for g in gradients)
    assert gradients or name == "discretized_logistic"


@pytest.mark.parametrize("name", ["categorical", "multivariate_normal", *exhaustive("one_of", "relaxed_one_hot")])
def test_what_has_no_order_says_so(name):
    pi = DISTRIBUTIONS[name]((2,), "float32", RNG(0))
    for method in ("cdf", "log_cdf", "survival", "log_survival", "quantile"):
        with pytest.raises(NotImplementedError, match=f"has no `{method}`: its variates are choices, or vectors"):
            getattr(pi, method)(0.5)


def test_a_composite_asks_its_branches():
    pi = kg.CompositeDist({"a": kg.NormalDist([[0.0]], [[0.0]]), "b": kg.BetaDist([[2.0]], [[2.0]])})
    median = pi.median()
    assert float(pi.cdf(median)["a"][0, 0]) == pytest.approx(0.5)
    assert float(pi.cdf(median)["b"][0, 0]) == pytest.approx(0.5, abs=1e-5)
    assert float(pi.crps(median)[0]) == pytest.approx(
        float(pi["a"].crps([[0.0]])[0] + pi["b"].crps([[0.5]])[0]), rel=1e-4
    )
