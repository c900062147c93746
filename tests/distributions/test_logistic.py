import numpy as np
import pytest
import scoringrules
from scipy import stats

import kgdists as kg
from tests.distributions.real_line import SETTINGS, assert_draws, assert_like_scipy, assert_positive_and_finite
from tests.golden.methods import golden_test

RNG = np.random.default_rng
INF = float("inf")

test_golden_values_and_gradients = golden_test("logistic", kg.LogisticDist)


def test_every_method_is_scipy_s():
    mu, scale = RNG(0).normal(size=(SETTINGS, 1)), 10.0 ** RNG(1).uniform(-3, 3, size=(SETTINGS, 1))
    dist = kg.LogisticDist(mu, scale)
    assert_like_scipy(dist, stats.logistic(mu, scale), RNG(2))
    x = mu + 3.0 * scale * RNG(3).normal(size=(SETTINGS, 1))
    np.testing.assert_allclose(dist.crps(x), scoringrules.crps_logistic(x, mu, scale)[:, 0], rtol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_have_the_distribution(dtype):
    dist = kg.LogisticDist(np.array([1.0], dtype), np.array([2.0], dtype))
    assert_draws(dist, stats.logistic(1.0, 2.0).cdf)


def test_places_far_out():
    p = kg.LogisticDist([1.0, 1.0, 1.0], [2.0, 2.0, 1e-30])
    x = [INF, -INF, 2.0]
    np.testing.assert_allclose(p.elementwise_log_proba(x), [-INF, -INF, -1e30], rtol=1e-6)
    np.testing.assert_allclose(p.log_cdf(x), [0.0, -INF, 0.0])
    np.testing.assert_allclose(p.log_survival(x), [-INF, 0.0, -1e30], rtol=1e-6)
    np.testing.assert_allclose(p.score([1.0, 1.0, 1.0]), [0.0, 0.0, 0.0])
    np.testing.assert_allclose(p.quantile(0.0), [-INF] * 3)


def test_from_stddev():
    np.testing.assert_allclose(kg.LogisticDist.from_stddev([0.0], [3.0]).stddev(), [3.0], rtol=1e-6)
    with pytest.raises(ValueError, match="`stddev` must be finite and > 0"):
        kg.LogisticDist.from_stddev([0.0], [0.0])


def test_wrong_parameters():
    assert_positive_and_finite(kg.LogisticDist, [0.0])
