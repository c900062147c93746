import numpy as np
import pytest
import scipy.integrate
from scipy import stats

import kgdists as kg
from tests.distributions.half_line import assert_refuses_negative, draws_are_quantiles
from tests.distributions.real_line import SETTINGS, assert_draws, assert_like_scipy, assert_positive_and_finite
from tests.golden.methods import golden_test

RNG = np.random.default_rng
INF = float("inf")

test_golden_values_and_gradients = golden_test("weibull", kg.WeibullDist)


def test_every_method_is_scipy_s():
    k, scale = (10.0 ** RNG(i).uniform(*ends, size=(SETTINGS, 1)) for i, ends in enumerate(((-0.5, 2), (-3, 3))))
    dist = kg.WeibullDist(k, scale)
    assert_like_scipy(dist, stats.weibull_min(k, scale=scale), RNG(2))
    np.testing.assert_allclose(dist.mode(), scale * np.maximum(1.0 - 1.0 / k, 0.0) ** (1.0 / k), rtol=1e-10)


@pytest.mark.parametrize("k, scale, x", [(0.7, 2.0, 0.3), (1.0, 1.0, 3.0), (5.0, 0.5, 0.55)])
def test_score_is_an_integral(k, scale, x):
    law = stats.weibull_min(k, scale=scale)
    below, _ = scipy.integrate.quad(lambda t: law.cdf(t) ** 2, 0.0, x, epsabs=1e-12)
    above, _ = scipy.integrate.quad(lambda t: law.sf(t) ** 2, x, np.inf, epsabs=1e-12)
    np.testing.assert_allclose(kg.WeibullDist([k], [scale]).crps([x]), below + above, rtol=1e-5)
    np.testing.assert_allclose(kg.WeibullDist(np.array([k]), np.array([scale])).crps([x]), below + above, rtol=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_have_the_distribution(dtype):
    dist = kg.WeibullDist(np.array([1.5], dtype), np.array([2.0], dtype))
    assert_draws(dist, stats.weibull_min(1.5, scale=2.0).cdf)
    draws_are_quantiles(kg.WeibullDist, dtype, [1.5], [2.0])


def test_places_at_the_ends():
    p = kg.WeibullDist([2.0, 1.0, 0.5, 1.0], [2.0] * 4)
    x = [0.0, -0.0, INF, -1.0]
    np.testing.assert_allclose(p.elementwise_log_proba([0.0] * 4), [-INF, -np.log(2.0), INF, -np.log(2.0)], rtol=1e-6)
    np.testing.assert_allclose(p.elementwise_log_proba([INF] * 4), [-INF] * 4)
    np.testing.assert_allclose(p.cdf(x), [0.0, 0.0, 1.0, 0.0])
    np.testing.assert_allclose(p.log_cdf(x), [-INF, -INF, 0.0, -INF])
    np.testing.assert_allclose(p.log_survival(x), [0.0, 0.0, -INF, 0.0])
    np.testing.assert_allclose(p.quantile([0.0, 1.0, 0.0, 1.0]), [0.0, INF, 0.0, INF])
    assert_refuses_negative(p)


def test_moments_of_sharp_distributions():
    """Of k = 1e6 the deviation is that of the logarithm of an exponential variate, over k."""
    dist = kg.WeibullDist(np.array([1e6]), np.array([3.0]))
    np.testing.assert_allclose(dist.stddev(), 3e-6 * np.pi / 6**0.5, rtol=1e-5)
    assert dist.kl_divergence(dist) == 0.0


def test_other_parameters():
    np.testing.assert_allclose(kg.WeibullDist.from_mean([4.0], [0.7]).mean(), [4.0], rtol=1e-6)
    assert_positive_and_finite(kg.WeibullDist, [1.0])
    with pytest.raises(ValueError, match="`mean` must be finite and > 0. Received"):
        kg.WeibullDist.from_mean([0.0], [1.0])
