import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import kgdists as kg
from tests.golden.methods import golden_test

RNG = np.random.default_rng
INF = float("inf")

test_golden_values_and_gradients = golden_test("dirichlet", kg.DirichletDist, width=3)


def test_every_method_is_scipy_s():
    alpha = 10.0 ** RNG(0).uniform(-1, 3, size=(200, 3))
    dist = kg.DirichletDist(alpha)
    x = RNG(1).dirichlet(np.ones(3), size=200)
    for row, place, log_proba, entropy, mean, variance, covariance in zip(
        *(alpha, x, dist.log_proba(x), dist.entropy(), dist.mean(), dist.variance(), dist.covariance()), strict=True
    ):
        law = stats.dirichlet(row)
        np.testing.assert_allclose(log_proba, law.logpdf(place), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(entropy, law.entropy(), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(mean, law.mean(), rtol=1e-12)
        np.testing.assert_allclose(variance, law.var(), rtol=1e-10)
        np.testing.assert_allclose(covariance, law.cov(), rtol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_have_the_distribution(dtype):
    """Each share is a beta variate, and so is the sum of two."""
    alpha = np.array([0.4, 1.5, 3.0], dtype)
    x = kg.DirichletDist(alpha).sample((100_000,), seed=1).numpy().astype("float64")
    np.testing.assert_allclose(x.sum(axis=-1), 1.0, rtol=1e-5)
    for share, a in zip(x.T, alpha, strict=True):
        assert stats.kstest(share, stats.beta(a, alpha.sum() - a).cdf).pvalue > 1e-3


def test_gradients_of_draws_are_those_of_moments():
    alpha = tf.constant([0.5, 1.5, 3.0], "float64")
    with tf.GradientTape() as tape:
        tape.watch(alpha)
        moment = tf.reduce_mean(kg.DirichletDist(alpha).sample((200_000,), seed=1)[:, 0] ** 2)
    with tf.GradientTape() as exact:
        exact.watch(alpha)
        total = tf.reduce_sum(alpha)
        want = alpha[0] * (alpha[0] + 1.0) / (total * (total + 1.0))
    np.testing.assert_allclose(moment, want, rtol=0.02)
    np.testing.assert_allclose(tape.gradient(moment, alpha), exact.gradient(want, alpha), rtol=0.03)


def test_faces_of_the_simplex():
    x = [[0.0, 0.25, 0.75]] * 4
    p = kg.DirichletDist([[2.0, 1.0, 1.0], [1.0, 1.0, 1.0], [0.5, 1.0, 1.0], [0.5, 0.5, 2.0]])
    np.testing.assert_allclose(p.log_proba(x), [-INF, np.log(2.0), INF, INF], rtol=1e-6)
    both = kg.DirichletDist([2.0, 0.5, 1.0])
    assert both.log_proba([0.0, 0.0, 1.0]) == -INF
    alpha = tf.constant([[1.0, 1.0, 1.0]])
    place = tf.constant([[0.0, 0.25, 0.75]])
    with tf.GradientTape() as tape:
        tape.watch([alpha, place])
        value = kg.DirichletDist(alpha).log_proba(place)
    assert not any(np.isnan(each).any() for each in tape.gradient(value, [alpha, place]))


def test_mode():
    alpha = [[3.0, 2.0, 1.0], [1.0, 1.0, 1.0], [0.5, 0.9, 0.9], [0.5, 3.0, 2.0]]
    want = [[2 / 3, 1 / 3, 0.0], [1 / 3] * 3, [0.0, 1.0, 0.0], [0.0, 2 / 3, 1 / 3]]
    np.testing.assert_allclose(kg.DirichletDist(alpha).mode(), want, rtol=1e-6)


def test_a_divergence_to_itself_is_zero():
    p = kg.DirichletDist([[1e-4, 1.0, 1e6], [3.0, 0.2, 50.0]])
    np.testing.assert_array_equal(p.kl_divergence(p), [0.0, 0.0])


def test_variates_that_underflow_have_a_density():
    x, log_proba = kg.DirichletDist([1e-3, 1e-3, 1e-3]).sample_and_log_proba((100,), seed=0)
    assert np.equal(x, 0.0).any() and np.isfinite(log_proba).all()


def test_other_parameters():
    dist = kg.DirichletDist.from_mean([[0.2, 0.8], [0.5, 0.5]], [10.0, 4.0])
    np.testing.assert_allclose(dist.concentration, [[2.0, 8.0], [2.0, 2.0]], rtol=1e-6)
    with pytest.raises(ValueError, match="`mean` must be shares: numbers >= 0 whose rows sum to 1. Received"):
        kg.DirichletDist.from_mean([0.2, 0.7], 10.0)
    with pytest.raises(ValueError, match="`total_concentration` must have the batch shape of `mean`"):
        kg.DirichletDist.from_mean([0.2, 0.8], [10.0])


def test_wrong_numbers():
    dist = kg.DirichletDist([1.0, 2.0])
    for wrong in ([0.5, 0.6], [-0.5, 1.5]):
        with pytest.raises(ValueError, match="`x` must be shares: numbers >= 0 whose rows sum to 1. Received"):
            dist.log_proba(wrong)
        assert tf.function(dist.log_proba)(tf.constant(wrong)) == -INF
    with pytest.raises(ValueError, match="k >= 2: a single share is always 1"):
        kg.DirichletDist([1.0])
    for wrong in (0.0, -1.0, INF, np.nan):
        with pytest.raises(ValueError, match="`concentration` must be finite and > 0. Received"):
            kg.DirichletDist([1.0, wrong])
    with pytest.raises(NotImplementedError, match="has no `cdf`"):
        dist.cdf([0.5, 0.5])
