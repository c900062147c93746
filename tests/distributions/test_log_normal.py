import numpy as np
import pytest
import scoringrules
from scipy import stats

import kgdists as kg
from tests.distributions.half_line import assert_refuses_negative, draws_are_quantiles
from tests.distributions.real_line import SETTINGS, assert_draws, assert_like_scipy
from tests.golden.methods import golden_test

RNG = np.random.default_rng
INF = float("inf")

test_golden_values_and_gradients = golden_test("log_normal", kg.LogNormalDist)


def test_every_method_is_scipy_s():
    mu, scale = RNG(0).normal(size=(SETTINGS, 1)), 10.0 ** RNG(1).uniform(-3, 0.5, size=(SETTINGS, 1))
    dist = kg.LogNormalDist(mu, 2.0 * np.log(scale))
    assert_like_scipy(dist, stats.lognorm(scale, scale=np.exp(mu)), RNG(2))
    x = np.exp(mu + 3.0 * scale * RNG(3).normal(size=(SETTINGS, 1)))
    np.testing.assert_allclose(dist.crps(x), scoringrules.crps_lognormal(x, mu, scale)[:, 0], rtol=1e-9)
    np.testing.assert_allclose(dist.mode(), np.exp(mu - scale**2), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_have_the_distribution(dtype):
    dist = kg.LogNormalDist(np.array([0.5], dtype), np.array([0.2], dtype))
    assert_draws(dist, stats.lognorm(np.exp(0.1), scale=np.exp(0.5)).cdf)
    draws_are_quantiles(kg.LogNormalDist, dtype, [0.5], [0.2])


def test_places_at_the_ends():
    p = kg.LogNormalDist([0.0] * 4, [0.0] * 4)
    x = [0.0, -0.0, INF, -1.0]
    np.testing.assert_allclose(p.elementwise_log_proba(x[:3] + [1.0])[:3], [-INF] * 3)
    np.testing.assert_allclose(p.cdf(x), [0.0, 0.0, 1.0, 0.0])
    np.testing.assert_allclose(p.log_cdf(x), [-INF, -INF, 0.0, -INF])
    np.testing.assert_allclose(p.log_survival(x), [0.0, 0.0, -INF, 0.0])
    np.testing.assert_allclose(p.quantile([0.0, 1.0, 0.0, 1.0]), [0.0, INF, 0.0, INF])
    one = kg.LogNormalDist([0.0], [0.0])
    np.testing.assert_allclose(one.crps([-1.0]), one.crps([0.0]) + 1.0, rtol=1e-6)
    np.testing.assert_allclose(one.crps([1e-9]), one.crps([0.0]), rtol=1e-6)
    assert_refuses_negative(p)


def test_other_parameters():
    dist = kg.LogNormalDist.from_mean([4.0, 1.0], [1e-3, 30.0])
    np.testing.assert_allclose(dist.mean(), [4.0, 1.0], rtol=1e-5)
    np.testing.assert_allclose(dist.stddev(), [1e-3, 30.0], rtol=1e-5)
    for mean, stddev in (([0.0], [1.0]), ([1.0], [-1.0])):
        with pytest.raises(ValueError, match="must be finite and > 0. Received"):
            kg.LogNormalDist.from_mean(mean, stddev)
    with pytest.raises(ValueError, match="`mu` must be finite"):
        kg.LogNormalDist([np.nan], [0.0])
