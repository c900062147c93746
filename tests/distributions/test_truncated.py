"""`Truncated` and `Censored`: against SciPy, far out in the tails, bounds of rows, integers, draws, and errors."""

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import kgdists as kg
from tests.marks import exhaustive

INF = float("inf")
RNG = np.random.default_rng
MU, SIGMA = RNG(0).normal(size=(200, 1)), np.exp(RNG(1).normal(size=(200, 1)))
LOW = 3.0 * RNG(2).normal(size=(200, 1))
HIGH = LOW + np.exp(RNG(3).normal(size=(200, 1)))
Q = RNG(4).uniform(size=(200, 1))
NORMAL = kg.NormalDist.from_stddev(MU, SIGMA)
STANDARD = kg.NormalDist(np.zeros(1), np.zeros(1))
CELLS = kg.DiscretizedLogisticDist(np.zeros(1), np.zeros(1), -50, 50)


def test_a_truncated_normal_is_that_of_scipy():
    pi = kg.Truncated(NORMAL, LOW, HIGH)
    want = scipy.stats.truncnorm((LOW - MU) / SIGMA, (HIGH - MU) / SIGMA, loc=MU, scale=SIGMA)
    x = want.ppf(Q)
    theirs = {"elementwise_log_proba": "logpdf", "cdf": "cdf", "survival": "sf", "log_cdf": "logcdf"}
    for ours, their in (theirs | {"log_survival": "logsf"}).items():
        np.testing.assert_allclose(getattr(pi, ours)(x), getattr(want, their)(x), rtol=1e-11, atol=1e-11, err_msg=ours)
    np.testing.assert_allclose(pi.quantile(Q), x, rtol=1e-12)
    np.testing.assert_array_equal([pi.quantile(0.0), pi.quantile(1.0)], [LOW, HIGH])


def test_another_family_by_inversion():
    pi, want = kg.Truncated(kg.BetaDist(SIGMA, 1 / SIGMA), 0.1, 0.9), scipy.stats.beta(SIGMA, 1 / SIGMA)
    low, mass = want.cdf(0.1), want.cdf(0.9) - want.cdf(0.1)
    x = want.ppf(low + Q * mass)
    np.testing.assert_allclose(pi.quantile(Q), x, rtol=1e-9)
    np.testing.assert_allclose(pi.elementwise_log_proba(x), want.logpdf(x) - np.log(mass), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("place", [-300.0, -30.0, 0.0, 30.0, *exhaustive(-10.0, 10.0, 300.0)])
def test_far_out_in_either_tail(place):
    low, high = place, place + 2.0
    pi, q = kg.Truncated(STANDARD, low, high), np.array([0.01, 0.1, 0.5, 0.9])[:, None]
    want = scipy.stats.truncnorm(low, high) if abs(place) < 100 else None
    x = np.asarray(pi.quantile(q))
    assert ((x > low) & (x < high)).all() and (np.diff(np.ravel(x)) > 0).all()
    np.testing.assert_allclose(pi.cdf(x), q, rtol=1e-8)
    if want is not None:
        np.testing.assert_allclose(x, want.ppf(q), rtol=1e-11)
        np.testing.assert_allclose(pi.elementwise_log_proba(x), want.logpdf(x), rtol=1e-11)


def test_exponential_tails_have_no_memory():
    """Of a logistic variable far beyond its center, what remains is exponential."""
    for sign in (1.0, -1.0):
        bound = {"low": 900.0} if sign > 0 else {"high": -900.0}
        pi = kg.Truncated(kg.LogisticDist(np.zeros(1), np.ones(1)), **bound)
        q = np.array([0.1, 0.5, 0.9])[:, None]
        far = sign * np.asarray(pi.quantile(q if sign > 0 else 1.0 - q)) - 900.0
        np.testing.assert_allclose(far, -np.log1p(-q), rtol=1e-9)
        np.testing.assert_allclose(pi.log_proba(sign * np.array([[900.0], [901.0]])), [0.0, -1.0], atol=1e-9)


@pytest.mark.parametrize("bounds", [(-3, 2), (20, 40), (-40, -20), *exhaustive((-INF, 0), (45, INF))])
def test_integers(bounds):
    low, high = bounds
    pi = kg.Truncated(CELLS, low, high)
    k = np.arange(max(low, -50), min(high, 50) + 1.0)[:, None]
    mass = np.exp(pi.log_proba(k))
    np.testing.assert_allclose(mass.sum(), 1.0, rtol=1e-12)
    np.testing.assert_allclose(np.cumsum(mass), np.ravel(pi.cdf(k)), rtol=1e-12)
    few = k[np.ravel(pi.survival(k)) > 1e-6]  # beyond, levels from below have no digits
    np.testing.assert_array_equal(pi.quantile(pi.cdf(few) * (1.0 - 1e-9)), few)
    x = np.ravel(pi.sample(100_000, seed=1))
    count = np.array([(x == value).sum() for value in k.ravel()])
    often = mass > 1e-3
    assert count.sum() == 100_000 and pi.sample_action().dtype == "int64"
    assert scipy.stats.chisquare(count[often], mass[often] / mass[often].sum() * count[often].sum()).pvalue > 1e-3


@pytest.mark.parametrize("dtype", ["float32", *exhaustive("float64")])
@pytest.mark.parametrize("place", [0.0, 12.0])
def test_draws_follow_the_distribution_function(dtype, place):
    pi = kg.Truncated(kg.NormalDist(np.zeros(1, dtype), np.zeros(1, dtype)), place, place + 1.0)
    x = np.ravel(pi.sample(100_000, seed=1)).astype("float64")
    want = scipy.stats.truncnorm(place, place + 1.0)
    assert scipy.stats.kstest(x, want.cdf).pvalue > 1e-3
    assert x.min() >= place and x.max() <= place + 1.0


@pytest.mark.parametrize("family", [kg.NormalDist.from_stddev, *exhaustive(kg.LogisticDist)])
def test_draws_move_as_the_quantiles_do(family):
    mu, sigma, low, q = (tf.constant([[x]], "float64") for x in (0.3, 0.7, 4.0, 0.4))

    def quantile(mu, sigma, low):
        return kg.Truncated(family(mu, sigma), low, 6.0).quantile(q)

    with tf.GradientTape() as tape:
        tape.watch([mu, sigma, low])
        x = quantile(mu, sigma, low)
    step = 1e-5
    for i, slope in enumerate(tape.gradient(x, [mu, sigma, low])):
        moves = np.eye(3)[i] * step
        up, down = (quantile(mu + s * moves[0], sigma + s * moves[1], low + s * moves[2]) for s in (1, -1))
        np.testing.assert_allclose(slope, (up - down) / (2 * step), rtol=1e-7)


def test_what_is_out_of_the_bounds():
    pi = kg.Truncated(kg.NormalDist([0.0], [0.0]), 0.0, 1.0)
    x = np.array([[-1.0], [0.0], [1.0], [2.0], [np.nan]], "float32")
    with pytest.raises(ValueError, match=r"between `low` and `high`. Received: -1.0 at index \[0, 0\] of x"):
        pi.log_proba(x[:4])
    got = tf.function(pi.log_proba)(tf.constant(x))
    np.testing.assert_array_equal(np.isfinite(got), [False, True, True, False, False])
    assert got[0] == got[3] == -INF and np.isnan(got[4])
    np.testing.assert_array_equal(pi.cdf(x[:4]), [[0.0], [0.0], [1.0], [1.0]])
    np.testing.assert_array_equal(pi.log_survival(x[:4]), [[0.0], [0.0], [-INF], [-INF]])
    with pytest.raises(ValueError, match="must have some probability between"):
        kg.Truncated(kg.BetaDist([2.0], [2.0]), 2.0, 3.0).log_proba([2.5])


# Censored.


def test_a_censored_normal_is_a_clipped_one_and_a_tobit_likelihood():
    y = MU + SIGMA * RNG(5).normal(size=MU.shape)
    x, normal = np.clip(y, LOW, HIGH), scipy.stats.norm(MU, SIGMA)
    want = np.where(x == LOW, normal.logcdf(LOW), np.where(x == HIGH, normal.logsf(HIGH), normal.logpdf(x)))
    pi = kg.Censored(NORMAL, LOW, HIGH)
    np.testing.assert_allclose(pi.elementwise_log_proba(x), want, rtol=1e-12)
    static = kg.Censored(kg.NormalDist.from_stddev(MU.T, SIGMA.T), LOW[:, 0], HIGH[:, 0])
    clipped = kg.ClippedNormalDist(MU.T, 2 * np.log(SIGMA.T), LOW[:, 0], HIGH[:, 0])
    for name, given in {"elementwise_log_proba": x.T, "cdf": y.T, "log_survival": y.T, "quantile": Q.T}.items():
        np.testing.assert_allclose(getattr(static, name)(given), getattr(clipped, name)(given), rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(
        static.sample(9, seed=1), np.clip(static.dist.sample(9, seed=1), LOW[:, 0], HIGH[:, 0])
    )


def test_survival_times_of_which_some_are_cut_off():
    seen = np.array([[2.0], [3.0], [1.0]])
    high = np.array([[INF], [3.0], [1.0]])
    mu = tf.constant(np.full((3, 1), 2.5))
    with tf.GradientTape() as tape:
        tape.watch(mu)
        value = kg.Censored(kg.LogisticDist(mu, np.ones((3, 1))), high=high).log_proba(seen)
    want = scipy.stats.logistic(2.5)
    np.testing.assert_allclose(value, [want.logpdf(2.0), want.logsf(3.0), want.logsf(1.0)], rtol=1e-12)
    np.testing.assert_allclose(np.ravel(tape.gradient(value, mu))[1:], want.cdf([3.0, 1.0]), rtol=1e-12)


def test_censored_integers_add_up():
    pi = kg.Censored(CELLS, -3, 2)
    k = np.arange(-3.0, 3.0)[:, None]
    np.testing.assert_allclose(np.sum(np.exp(pi.log_proba(k))), 1.0, rtol=1e-12)
    np.testing.assert_allclose(np.cumsum(np.exp(pi.log_proba(k))), np.ravel(pi.cdf(k)), rtol=1e-12)
    assert pi.sample_action().dtype == "int64" and -3 <= pi.sample_action() <= 2


@pytest.mark.parametrize("cls", [kg.Truncated, kg.Censored])
def test_bounds_that_do_not_fit_raise(cls):
    for bounds, match in (
        ((1.0, 0.0), "`low` must be <= `high`"),
        ((np.nan, 1.0), "must be numbers"),
        (([0.0, 1.0], 2.0), "must be numbers"),
        ((tf.zeros((2, 1)), 1.0), "`low` must be a number, 1 numbers, or a tensor"),
        ((tf.ones((1,)), 0.0), "`low` must be <= `high`"),
    ):
        with pytest.raises(ValueError, match=match):
            cls(kg.NormalDist([0.0], [0.0]), *bounds)
    with pytest.raises(ValueError, match="`high` must be a whole number"):
        cls(CELLS, 0, 1.5)
    with pytest.raises(ValueError, match="must have a density or be of integers"):
        cls(kg.ClippedNormalDist([0.0], [0.0]), 0.0)
    for wrapper in (kg.Truncated, kg.Censored):
        for choice in (
            kg.CategoricalDist([0.0, 1.0]),
            kg.MultivariateNormalDist([0.0, 0.0], np.eye(2, dtype="float32")),
        ):
            with pytest.raises(ValueError, match="`dist` must have a `cdf`: .* Received: a (Cat|Multi)"):
                wrapper(choice, low=0.0)
    with pytest.raises(TypeError, match="`dist` must be a distribution"):
        cls(keras.ops.zeros(2))
