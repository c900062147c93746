"""`ZeroInflated`: counts and hurdles, moments and scores against draws, and errors."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import kgdists as kg
from kgdists.distributions.transforms import Exp

COUNTS = kg.Censored(kg.DiscretizedLogisticDist(np.zeros(1), np.ones(1), 0, 50), 0, 40)
LOGITS = np.array([-0.7])
ZERO = 1.0 / (1.0 + np.exp(0.7))


def test_counts_have_more_zeros():
    pi = kg.ZeroInflated(LOGITS, COUNTS)
    k = np.arange(41.0)[:, None]
    mass = (1.0 - ZERO) * np.exp(COUNTS.log_proba(k)) + ZERO * (k[:, 0] == 0)
    np.testing.assert_allclose(np.exp(pi.log_proba(k)), mass, rtol=1e-13)
    np.testing.assert_allclose(pi.cdf(k), np.cumsum(mass)[:, None], rtol=1e-13)
    np.testing.assert_array_equal(pi.quantile(pi.cdf(k[:15]) - 1e-12), k[:15])
    x = np.ravel(pi.sample(100_000, seed=1)).astype(int)
    often = mass > 1e-3
    count = np.bincount(x, minlength=41)[often]
    assert scipy.stats.chisquare(count, mass[often] / mass[often].sum() * count.sum()).pvalue > 1e-3
    assert pi.sample_action().dtype == pi.mode_action().dtype == "int64" and pi.mode_action() == 0


def test_zeros_of_counts_that_have_none_and_integers_below():
    pi = kg.ZeroInflated(LOGITS, kg.Truncated(COUNTS.dist, 5, 9))
    np.testing.assert_allclose(pi.prob([[0.0]]), [ZERO], rtol=1e-12)
    both = kg.ZeroInflated(LOGITS, kg.DiscretizedLogisticDist(np.zeros(1), np.ones(1), -9, 9))
    k = np.arange(-9.0, 10.0)[:, None]
    np.testing.assert_allclose(both.cdf(k), np.cumsum(np.exp(both.log_proba(k)))[:, None], rtol=1e-12)
    np.testing.assert_array_equal(both.quantile(both.cdf(k) - 1e-12), k)


def test_a_hurdle_beside_a_density():
    pi = kg.ZeroInflated(LOGITS, kg.Transformed(kg.NormalDist(np.zeros(1), np.zeros(1)), Exp()))
    want = scipy.stats.lognorm(1.0)
    x = np.array([[-0.0], [0.1], [3.0]])
    np.testing.assert_allclose(pi.log_proba(x), [np.log(ZERO), *np.log1p(-ZERO) + want.logpdf([0.1, 3.0])], rtol=1e-12)
    np.testing.assert_allclose(pi.cdf(x), ZERO + (1 - ZERO) * want.cdf(x), rtol=1e-12)
    np.testing.assert_allclose(pi.survival(x), (1 - ZERO) * want.sf(x), rtol=1e-12)
    q = np.array([[0.0], [0.2], [0.5], [0.9], [1.0]])
    np.testing.assert_allclose(pi.quantile(q), np.where(q < ZERO, 0.0, want.ppf((q - ZERO).clip(0) / (1 - ZERO))))
    with pytest.raises(ValueError, match="must be 0 or in the support"):
        kg.ZeroInflated([0.0], kg.BetaDist([1.0], [1.0])).log_proba([2.0])


def test_moments_and_scores_are_those_of_draws():
    pi = kg.ZeroInflated(LOGITS, kg.NormalDist(np.ones(1), np.zeros(1)))
    y = np.ravel(pi.sample(200_000, seed=1))
    for got, want in ((pi.mean(), y.mean()), (pi.variance(), y.var())):
        np.testing.assert_allclose(got, [want], rtol=0.02)
    x = np.array([[-1.0], [0.0], [0.5], [3.0]])
    spread = 0.5 * np.abs(y - np.roll(y, 1)).mean()
    np.testing.assert_allclose(pi.crps(x), [np.abs(y - a).mean() - spread for a in x[:, 0]], atol=0.01)


def test_probabilities_and_gradients_of_extreme_logits():
    for logits in (-300.0, 300.0, -20.0, 20.0):
        scores = tf.constant([[logits]], "float64")
        with tf.GradientTape() as tape:
            tape.watch(scores)
            value = kg.ZeroInflated(scores, COUNTS[None]).elementwise_log_proba([[[0.0]], [[3.0]]])
        at_zero, beside = (
            np.logaddexp(-np.logaddexp(0, -logits), -np.logaddexp(0, logits) + np.log(COUNTS.prob([0.0]))),
            (-np.logaddexp(0, logits) + COUNTS.log_proba([3.0])),
        )
        np.testing.assert_allclose(np.ravel(value), [at_zero, np.ravel(beside)[0]], rtol=1e-12, atol=1e-15)
        assert np.isfinite(tape.gradient(value, scores)).all()
    pi = kg.ZeroInflated.from_probs([[0.25]], kg.NormalDist([[0.0]], [[0.0]]))
    np.testing.assert_allclose(pi.prob([[0.0]]), [0.25], rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: kg.ZeroInflated(np.zeros((2, 1)), COUNTS), ValueError, "`logits` must have the shape and dtype"),
        (lambda: kg.ZeroInflated(np.full(1, np.inf), COUNTS), ValueError, "`logits` must be finite"),
        (
            lambda: kg.ZeroInflated([0.0], kg.ClippedNormalDist([0.0], [0.0])),
            ValueError,
            "must have a density or be of",
        ),
        (lambda: kg.ZeroInflated.from_probs([1.5], COUNTS), ValueError, "`probs` must be > 0 and < 1. Received: 1.5"),
        (lambda: kg.ZeroInflated.from_probs([1.0], COUNTS), ValueError, "`probs` must be > 0 and < 1. Received: 1.0"),
        (lambda: kg.ZeroInflated([0.0], "poisson"), TypeError, "`dist` must be a distribution"),
    ],
)
def test_what_does_not_fit_raises(make, error, match):
    with pytest.raises(error, match=match):
        make()
