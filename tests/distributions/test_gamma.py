import numpy as np
import pytest
import scoringrules
import tensorflow as tf
from scipy import stats

import kgdists as kg
from tests.distributions.half_line import assert_refuses_negative, draws_are_quantiles
from tests.distributions.real_line import SETTINGS, assert_draws, assert_like_scipy, assert_positive_and_finite
from tests.golden.methods import golden_test

RNG = np.random.default_rng
INF = float("inf")

test_golden_values_and_gradients = golden_test("gamma", kg.GammaDist)


def test_every_method_is_scipy_s():
    a, b = (10.0 ** RNG(i).uniform(*ends, size=(SETTINGS, 1)) for i, ends in enumerate(((-1, 4), (-3, 3))))
    dist = kg.GammaDist(a, b)
    assert_like_scipy(dist, stats.gamma(a, scale=1.0 / b), RNG(2))
    x = dist.quantile(RNG(3).random((SETTINGS, 1)))
    np.testing.assert_allclose(dist.crps(x), scoringrules.crps_gamma(x.numpy(), a, b)[:, 0], rtol=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("a", [0.2, 1.5, 1e5])
def test_draws_have_the_distribution(a, dtype):
    assert_draws(kg.GammaDist(np.array([a], dtype), np.array([2.0], dtype)), stats.gamma(a, scale=0.5).cdf)
    if a < 1e5 or dtype == "float64":  # single floats there are few to a deviation
        draws_are_quantiles(kg.GammaDist, dtype, [a], [2.0])


def test_places_at_the_ends():
    p = kg.GammaDist([2.0, 1.0, 0.5, 1.0], [2.0] * 4)
    x = [0.0, -0.0, INF, -1.0]
    np.testing.assert_allclose(p.elementwise_log_proba([0.0] * 4), [-INF, np.log(2.0), INF, np.log(2.0)], rtol=1e-6)
    np.testing.assert_allclose(p.elementwise_log_proba([INF] * 4), [-INF] * 4)
    np.testing.assert_allclose(p.cdf(x), [0.0, 0.0, 1.0, 0.0])
    np.testing.assert_allclose(p.log_cdf(x), [-INF, -INF, 0.0, -INF])
    np.testing.assert_allclose(p.log_survival(x), [0.0, 0.0, -INF, 0.0])
    np.testing.assert_allclose(p.quantile([0.0, 1.0, 0.0, 1.0]), [0.0, INF, 0.0, INF])
    at_zero = [kg.GammaDist([a], [2.0]).crps([0.0]) for a in (0.5, 3.0)]
    np.testing.assert_allclose(at_zero, [kg.GammaDist([a], [2.0]).crps([1e-12]) for a in (0.5, 3.0)], rtol=1e-5)
    assert_refuses_negative(p)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_at_the_ends_are_no_nan(dtype):
    a, b, x = (tf.constant(each, dtype) for each in ([2.0, 1.0, 0.5, 1e6, 1e-4], [3.0] * 5, [0.0, 0.0, INF, INF, 0.0]))
    for method in ("elementwise_log_proba", "cdf", "log_survival", "survival"):
        with tf.GradientTape() as tape:
            tape.watch([a, b, x])
            value = getattr(kg.GammaDist(a, b), method)(x)
        assert not any(np.isnan(each).any() for each in (value, *tape.gradient(value, [a, b, x])))


@pytest.mark.parametrize("family", [kg.GammaDist, kg.WeibullDist, kg.ExponentialDist, kg.LogNormalDist])
def test_scores_far_out_are_distances(family):
    params = [np.float64([[1.0], [2.0]])] * len(family.PARAM_NAMES)
    x = np.float64([[1e200], [1e300]])
    np.testing.assert_allclose(family(*params).crps(x), x[:, 0], rtol=1e-12)


def test_a_divergence_to_itself_is_zero():
    a = np.geomspace(1e-4, 1e6, 9)
    p = kg.GammaDist(a[:, None], a[::-1, None])
    np.testing.assert_array_equal(p.kl_divergence(p), np.zeros(9))


def test_variates_that_underflow_have_a_density():
    x, log_proba = kg.GammaDist([1e-4], [1.0]).sample_and_log_proba((100,), seed=0)
    assert np.equal(x, 0.0).any() and np.isfinite(log_proba).all()


@pytest.mark.parametrize(
    ("dtype", "a", "b", "x", "entropy", "log_proba"),
    [
        ("float32", 1.2e-38, 1.0, 0.5, -8.33333348537009e37, -87.1227648146642),
        ("float32", 3e38, 0.5, 0.5, 46.4105086259018, -INF),
        ("float64", 2.3e-308, 7.0, 1.0, -4.34782608695652e307, -715.363299519231),
        ("float64", 1e300, 7.0, 1.0, 344.860792333256, -6.87829617749158e302),
    ],
)
def test_the_smallest_and_largest_concentrations(dtype, a, b, x, entropy, log_proba):
    """Against mpmath with 400 digits."""
    p, rtol = kg.GammaDist(np.array([a], dtype), np.array([b], dtype)), 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(p.entropy(), entropy, rtol=rtol)
    np.testing.assert_allclose(p.log_proba(np.array([x], dtype)), log_proba, rtol=rtol)


@pytest.mark.parametrize("dtype, tiny", [("float32", 1e-45), ("float64", 5e-324)])
def test_numbers_that_count_as_zero_are_refused(dtype, tiny):
    one, tiny = np.ones(1, dtype), np.full(1, tiny, dtype)
    for make in (kg.GammaDist, kg.WeibullDist):
        for params in ((one, tiny), (tiny, one)):
            with pytest.raises(ValueError, match="must be at least .*: less counts as 0. Received"):
                make(*params)
        with pytest.raises(ValueError, match="`x` must be 0 or at least .* Received"):
            make(one, one).log_proba(tiny)
    with pytest.raises(ValueError, match="`scale` must be at least"):
        kg.LaplaceDist(one, tiny)
    with pytest.raises(ValueError, match="`x` must be 0 or at least"):
        kg.LogNormalDist(one, one).log_proba(tiny)


def test_other_parameters():
    for dist in (kg.GammaDist.from_mean([4.0], [9.0]), kg.GammaDist.from_mean([4.0], stddev=[4.0 / 3.0])):
        np.testing.assert_allclose(dist.concentration, [9.0], rtol=1e-6)
        np.testing.assert_allclose(dist.mean(), [4.0], rtol=1e-6)
    with pytest.raises(ValueError, match="One of `concentration` and `stddev` must be given. Received: both"):
        kg.GammaDist.from_mean([1.0], [1.0], stddev=[1.0])
    with pytest.raises(ValueError, match="One of `concentration` and `stddev` must be given. Received: neither"):
        kg.GammaDist.from_mean([1.0])
    assert_positive_and_finite(kg.GammaDist, [1.0], name="rate")
