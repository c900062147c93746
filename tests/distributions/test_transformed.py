"""`Transformed`: against SciPy, maps that reverse the order, the ends of a range, and errors."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import kgdists as kg
from kgdists.distributions import transforms as t

INF = float("inf")
RNG = np.random.default_rng
MU, SIGMA = RNG(0).normal(size=(200, 1)), np.exp(RNG(1).normal(size=(200, 1)))
Q = RNG(2).uniform(size=(200, 1))
NORMAL = kg.NormalDist.from_stddev(MU, SIGMA)
# Ours, SciPy's.
PAIRS = {
    "log_normal": (kg.Transformed(NORMAL, t.Exp()), scipy.stats.lognorm(SIGMA, scale=np.exp(MU))),
    "logistic": (
        kg.Transformed(kg.LogisticDist(MU, SIGMA), t.Affine(1.0, -2.0)),
        scipy.stats.logistic(1 - 2 * MU, 2 * SIGMA),
    ),
    "shifted_beta": (
        kg.Transformed(kg.BetaDist(SIGMA, np.exp(MU)), t.Affine(-1.0, -3.0)),
        scipy.stats.beta(np.exp(MU), SIGMA, loc=-4, scale=3),
    ),
    "scaled_by_tensors": (
        kg.Transformed(NORMAL, t.Affine(tf.constant(MU), tf.constant(SIGMA))),
        scipy.stats.norm(MU + MU * SIGMA, SIGMA**2),
    ),
    "chained": (
        kg.Transformed(NORMAL, t.Chain([t.Affine(0.0, -2.0), t.Exp(), t.Affine(1.0, 2.0)])),
        scipy.stats.lognorm(2 * SIGMA, scale=2 * np.exp(-2 * MU), loc=1),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_methods_are_those_of_scipy(name):
    pi, want = PAIRS[name]
    x = want.ppf(Q)
    theirs = {"cdf": "cdf", "log_cdf": "logcdf", "survival": "sf", "log_survival": "logsf"}
    for ours, their in ({"elementwise_log_proba": "logpdf"} | theirs).items():
        np.testing.assert_allclose(getattr(pi, ours)(x), getattr(want, their)(x), rtol=2e-9, atol=2e-11, err_msg=ours)
    np.testing.assert_allclose(pi.quantile(Q), x, rtol=1e-9, atol=1e-12)
    if pi.transform.is_affine:
        for ours, their in {"mean": "mean", "variance": "var"}.items():
            np.testing.assert_allclose(getattr(pi, ours)(), getattr(want, their)(), rtol=1e-12, err_msg=ours)
        np.testing.assert_allclose(pi.entropy(), np.ravel(want.entropy()), rtol=1e-9, atol=1e-9)


def test_levels_far_below_keep_their_digits_where_the_order_is_reversed():
    pi = kg.Transformed(kg.NormalDist([0.0], [0.0]), t.Affine(0.0, -1.0))
    wide = kg.Transformed(kg.NormalDist(np.zeros(1), np.zeros(1)), t.Affine(0.0, -1.0))
    logistic = kg.Transformed(kg.LogisticDist(np.zeros(1), np.ones(1)), t.Affine(0.0, -1.0))
    for q in (0.0, 1e-300, 1e-20, 0.2, 0.8, 1.0):
        np.testing.assert_allclose(wide.quantile(q), [scipy.stats.norm.ppf(q)], rtol=1e-12)
        np.testing.assert_allclose(logistic.quantile(q), [scipy.stats.logistic.ppf(q)], rtol=1e-9)
        np.testing.assert_allclose(
            pi.quantile(max(q, 1e-37) if q else q), [scipy.stats.norm.ppf(max(q, 1e-37) if q else q)], rtol=1e-5
        )


def test_draws_are_those_of_the_part_and_know_their_density():
    pi = kg.Transformed(kg.NormalDist([[0.0, 30.0]], [[0.0, 2.0]]), t.Sigmoid())
    x, log_proba = pi.sample_and_log_proba(1000, seed=1)
    u = pi.dist.sample(1000, seed=1)
    assert np.max(x) == 1.0  # rounded
    want = np.sum(
        scipy.stats.norm([0.0, 30.0], [1.0, np.e]).logpdf(u) + np.logaddexp(0, u) + np.logaddexp(0, -u), axis=-1
    )
    np.testing.assert_allclose(log_proba[:, 0], want[:, 0], rtol=1e-4)
    assert np.isfinite(pi.log_proba(x)).all()


@pytest.mark.parametrize("transform", [t.Exp(), t.Softplus(), t.Sigmoid(), t.Chain([t.Sigmoid(), t.Affine(0.1, 0.6)])])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_maps_and_their_inverses_keep_their_digits(transform, dtype):
    u = np.array([-80.0, -30.0, -1.0, 1e-3, 0.5, 3.0, 14.0], dtype)[:, None]
    x = np.asarray(transform.forward(tf.constant(u)))
    back = np.asarray(transform.inverse(tf.constant(x)))
    with tf.GradientTape() as tape:
        v = tf.constant(u)
        tape.watch(v)
        y = transform.forward(v)
    slope = np.asarray(tape.gradient(y, v))
    eps = np.finfo(dtype).eps
    # What rounding of x, and then of u, may change.
    good = (slope > 0) & (u < 5.0)  # where the derivative by itself has digits
    assert (np.abs(back - u)[good] <= 8 * eps * (1 + np.abs(u) + np.abs(x) / np.where(good, slope, 1.0))[good]).all()
    np.testing.assert_allclose(
        transform.log_det(tf.constant(u))[good], np.log(slope[good]), rtol=20 * eps, atol=20 * eps
    )


def test_what_is_out_of_the_range():
    pi = kg.Transformed(kg.NormalDist([0.0], [0.0]), t.Exp())
    x = np.array([[-1.0], [1.0], [INF], [np.nan]], "float32")
    with pytest.raises(ValueError, match=r"in the range of the transform. Received: -1.0 at index \[0, 0\] of x"):
        pi.log_proba(x[:3])
    for jit_compile in (False, True):
        inside = tf.function(pi.log_proba, jit_compile=jit_compile)(tf.constant(x))
        np.testing.assert_allclose(inside, [-INF, -0.9189385, -INF, np.nan], rtol=1e-6)
    np.testing.assert_allclose(pi.cdf(x[:3]), [[0.0], [0.5], [1.0]])
    np.testing.assert_allclose(pi.log_survival([[0.0], [-3.0], [INF]]), [[0.0], [0.0], [-INF]])


def test_bounds_of_half_precision_are_no_errors():
    pi = kg.Transformed(
        kg.NormalDist(np.zeros(1, "float16"), 6 * np.ones(1, "float16")), t.Chain([t.Sigmoid(), t.Affine(0.1, 0.6)])
    )
    assert np.isfinite(pi.log_proba(pi.sample(1000, seed=1))).all()


def test_gradients_reach_a_map_of_tensors():
    shift, scale, x = tf.constant([[1.0, 2.0]]), tf.constant([[-1.0, 3.0]]), tf.constant([[0.5, 0.5]])
    with tf.GradientTape() as tape:
        tape.watch([shift, scale])
        pi = kg.Transformed(kg.NormalDist([[0.0, 0.0]], [[0.0, 0.0]]), t.Affine(shift, scale))
        value = pi.log_proba(x)
    u = (x - shift) / scale
    for got, want in zip(tape.gradient(value, [shift, scale]), [u / scale, (u * u - 1.0) / scale], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: kg.Transformed(kg.BernoulliDist([0.0]), t.Exp()), ValueError, "must have a density"),
        (lambda: kg.Transformed(kg.ClippedNormalDist([0.0], [0.0]), t.Exp()), ValueError, "must have a density"),
        (lambda: kg.Transformed(kg.NormalDist([0.0], [0.0]), "exp"), TypeError, "`transform` must be one of"),
        (
            lambda: kg.Transformed(kg.NormalDist([0.0], [0.0]), t.Affine([1.0, 2.0])),
            ValueError,
            "`shift` must be a number, 1 numb",
        ),
        (lambda: t.Affine(0.0, 0.0), ValueError, "`scale` must not be 0"),
        (lambda: t.Affine(np.nan), ValueError, "`shift` must be finite numbers"),
        (lambda: t.Chain([]), ValueError, "at least one"),
        (lambda: t.Chain([np.exp]), TypeError, "must be transforms"),
        (
            lambda: kg.Transformed(kg.NormalDist([0.0], [0.0]), t.Exp()).mean(),
            NotImplementedError,
            "closed form of `mean`",
        ),
    ],
)
def test_what_does_not_fit_raises(make, error, match):
    with pytest.raises(error, match=match):
        make()
