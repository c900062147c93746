import numpy as np
import pytest
import scoringrules
import tensorflow as tf
from scipy import stats

import kgdists as kg
from tests.distributions.real_line import SETTINGS, assert_draws, assert_like_scipy, assert_positive_and_finite
from tests.golden.methods import golden_test

RNG = np.random.default_rng
INF = float("inf")

test_golden_values_and_gradients = golden_test("laplace", kg.LaplaceDist)


def test_every_method_is_scipy_s():
    mu, scale = RNG(0).normal(size=(SETTINGS, 1)), 10.0 ** RNG(1).uniform(-3, 3, size=(SETTINGS, 1))
    dist = kg.LaplaceDist(mu, scale)
    assert_like_scipy(dist, stats.laplace(mu, scale), RNG(2))
    x = mu + 3.0 * scale * RNG(3).normal(size=(SETTINGS, 1))
    np.testing.assert_allclose(dist.crps(x), scoringrules.crps_laplace(x, mu, scale)[:, 0], rtol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_have_the_distribution(dtype):
    dist = kg.LaplaceDist(np.array([1.0], dtype), np.array([2.0], dtype))
    assert_draws(dist, stats.laplace(1.0, 2.0).cdf)


@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
def test_places_next_to_the_peak_and_far_out(jit_compile):
    mu, scale = tf.constant([1.0, 1.0, 1.0, 1.0]), tf.constant([2.0, 2.0, 2.0, 1e-30])
    x = tf.constant([1.0, INF, -INF, 2.0])

    @tf.function(jit_compile=jit_compile)
    def slopes(mu, scale, x):
        p = kg.LaplaceDist(mu, scale)
        values = [p.elementwise_log_proba(x), p.cdf(x), p.survival(x), p.log_cdf(x), p.log_survival(x)]
        return values, p.score(x), tf.gradients(values[0], [mu, scale, x]), tf.gradients(values[1], [mu, scale, x])

    (log_proba, *tails), score, of_log_proba, of_cdf = slopes(mu, scale, x)
    np.testing.assert_allclose(log_proba, [-np.log(4.0), -INF, -INF, -1e30], rtol=1e-6)
    np.testing.assert_allclose(tails[0], [0.5, 1.0, 0.0, 1.0])
    np.testing.assert_allclose(tails[1], [0.5, 0.0, 1.0, 0.0])
    np.testing.assert_allclose(tails[3], [np.log(0.5), -INF, 0.0, -1e30], rtol=1e-6)
    np.testing.assert_allclose(score, [0.0, -0.5, 0.5, -1e30])
    assert of_log_proba[2][0] == 0.0
    np.testing.assert_allclose([of_cdf[0][0], of_cdf[2][0]], [-0.25, 0.25])
    assert np.isfinite([x[0] for x in (*of_log_proba, *of_cdf)]).all()


def test_divergences_far_apart_and_nearly_equal():
    p = kg.LaplaceDist([0.0, 0.0, 0.0], [1e-18, 1.0, 1e18])
    q = kg.LaplaceDist([1.0, 1e-3, 0.0], [1e18, 1.0, 1e-2])
    for a, b in ((p, q), (q, p)):
        sources = [a.mu, a.scale, b.mu, b.scale]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            value = kg.LaplaceDist(*sources[:2]).kl_divergence(kg.LaplaceDist(*sources[2:]))
        assert np.isfinite(value) and value >= 0.0
        assert not any(np.isnan(x).any() for x in tape.gradient(value, sources))
    assert p.kl_divergence(p) == 0.0
    assert kg.LaplaceDist([0.0], [1e30]).kl_divergence(kg.LaplaceDist([1.0], [1e-30])) == INF


def test_from_stddev():
    np.testing.assert_allclose(kg.LaplaceDist.from_stddev([0.0], [3.0]).stddev(), [3.0], rtol=1e-6)
    with pytest.raises(ValueError, match="`stddev` must be finite and > 0"):
        kg.LaplaceDist.from_stddev([0.0], [0.0])


def test_wrong_parameters():
    assert_positive_and_finite(kg.LaplaceDist, [0.0])
