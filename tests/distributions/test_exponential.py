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

test_golden_values_and_gradients = golden_test("exponential", kg.ExponentialDist)


def test_every_method_is_scipy_s():
    rate = 10.0 ** RNG(0).uniform(-3, 3, size=(SETTINGS, 1))
    dist = kg.ExponentialDist(rate)
    assert_like_scipy(dist, stats.expon(scale=1.0 / rate), RNG(1))
    x = 3.0 * RNG(2).random((SETTINGS, 1)) / rate
    np.testing.assert_allclose(dist.crps(x), scoringrules.crps_exponential(x, rate)[:, 0], rtol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_draws_have_the_distribution(dtype):
    assert_draws(kg.ExponentialDist(np.array([2.0], dtype)), stats.expon(scale=0.5).cdf)
    draws_are_quantiles(kg.ExponentialDist, dtype, [3.0])


def test_places_at_the_ends():
    p = kg.ExponentialDist([2.0, 2.0, 2.0, 2.0])
    x = [0.0, -0.0, INF, -1.0]
    np.testing.assert_allclose(p.elementwise_log_proba(x[:3] + [1.0])[:3], [np.log(2.0), np.log(2.0), -INF], rtol=1e-6)
    np.testing.assert_allclose(p.cdf(x), [0.0, 0.0, 1.0, 0.0])
    np.testing.assert_allclose(p.log_cdf(x), [-INF, -INF, 0.0, -INF])
    np.testing.assert_allclose(p.log_survival(x), [0.0, 0.0, -INF, 0.0])
    np.testing.assert_allclose(p.quantile([0.0, 1.0, 0.0, 1.0]), [0.0, INF, 0.0, INF])
    assert p.crps(x[:2] + [0.0, -1.0]) == 2.0
    assert_refuses_negative(p)


def test_other_parameters():
    np.testing.assert_allclose(kg.ExponentialDist.from_mean([4.0]).mean(), [4.0])
    for wrong in (0.0, -1.0, INF, np.nan):
        with pytest.raises(ValueError, match="`rate` must be finite and > 0. Received"):
            kg.ExponentialDist([wrong])
        with pytest.raises(ValueError, match="`mean` must be finite and > 0. Received"):
            kg.ExponentialDist.from_mean([wrong])
