"""`DiscretizedLogisticDist` against scipy, all its cells, and the hard points."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
from keras import ops

from kgdists import DiscretizedLogisticDist
from tests.golden import gradient_of
from tests.marks import exhaustive

INF, NAN = float("inf"), float("nan")
INT64 = np.iinfo("int64")
RNG = np.random.default_rng
COMPILED = pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])
BOUNDS = [(0, 0), (0, 1), (-1, 1), (-3, 4), (0, 255), (1000, 1040), (-300, -200)]


def f32(x):
    return np.asarray(x, "float32")


def one(mu, logscale, low, high, dtype="float64"):
    return DiscretizedLogisticDist(np.array([mu], dtype), np.array([logscale], dtype), low, high)


def many_parameters(low, high, size=200):
    """Inside the bounds and outside, from sharp to flat."""
    width = float(high - low + 1)
    mu = RNG(0).uniform(low - 2 * width, high + 2 * width, size=(size, 1))
    return mu, RNG(1).uniform(-3, np.log(width) + 3, size=(size, 1))


def log_masses(mu, logscale, low, high, dtype="float64"):
    """Of all cells, which come first."""
    dist = DiscretizedLogisticDist(mu.astype(dtype), logscale.astype(dtype), low, high)
    cells = np.arange(low, high + 1)
    return cells, np.array(dist.log_proba(np.broadcast_to(cells[:, None, None], (len(cells), *mu.shape))))


# The masses of all cells.


@pytest.mark.parametrize("low, high", BOUNDS)
def test_masses_sum_to_one(low, high):
    _, log_mass = log_masses(*many_parameters(low, high), low, high)
    assert not np.isnan(log_mass).any() and (log_mass <= 0).all()
    np.testing.assert_allclose(np.exp(log_mass).sum(axis=0), 1.0, rtol=1e-12)


@pytest.mark.parametrize("low, high", BOUNDS)
def test_masses_are_differences_of_the_distribution_function(low, high):
    mu, logscale = many_parameters(low, high)
    cells, log_mass = log_masses(mu, logscale, low, high)
    logistic = scipy.stats.logistic(mu[:, 0], np.exp(logscale[:, 0]))
    edges = np.concatenate([[-INF], cells[1:] - 0.5, [INF]])[:, None]
    # From the nearer tail, where the difference keeps its digits.
    want = np.where(edges[:-1] > mu[:, 0], -np.diff(logistic.sf(edges), axis=0), np.diff(logistic.cdf(edges), axis=0))
    np.testing.assert_allclose(np.exp(log_mass), want, rtol=1e-9, atol=1e-300)


def test_dimensions_are_independent_and_have_bounds_of_their_own():
    mu, logscale = RNG(0).normal(size=(2, 5, 3))
    low, high = [-3, 0, 7], [3, 1, 7]
    dist = DiscretizedLogisticDist(mu, logscale, low, high)
    x = RNG(1).integers(low, np.add(high, 1), size=(5, 3))
    want = sum(
        np.array(
            DiscretizedLogisticDist(mu[:, i, None], logscale[:, i, None], low[i], high[i]).log_proba(x[:, i, None])
        )
        for i in range(3)
    )
    np.testing.assert_allclose(dist.log_proba(x), want, rtol=1e-12)


@pytest.mark.few(4)
@pytest.mark.parametrize("low, high", BOUNDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_mode_has_the_largest_mass_of_all_cells(low, high, dtype):
    mu, logscale = many_parameters(low, high, 500)
    _, log_mass = log_masses(mu, logscale, low, high, dtype)
    dist = DiscretizedLogisticDist(mu.astype(dtype), logscale.astype(dtype), low, high)
    np.testing.assert_allclose(dist.log_proba(dist.mode_action()), log_mass.max(axis=0), rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(dist.mode(), dist.mode_action())


@pytest.mark.parametrize("low, high", BOUNDS)
def test_float32_is_as_float64(low, high):
    mu, logscale = (f32(x) for x in many_parameters(low, high))
    _, got = log_masses(mu, logscale, low, high, "float32")
    _, want = log_masses(mu, logscale, low, high)
    # The distance to mu, whose size float32 rounds, is divided by the scale.
    rounded = np.finfo("float32").eps * (np.abs(mu[:, 0]) + abs(low) + abs(high)) * np.exp(-logscale[:, 0])
    assert (np.abs(got - want) <= 2e-5 + 1e-5 * np.abs(want) + 2 * rounded).all()


# Draws.


@pytest.mark.parametrize("jit_compile", [None, *exhaustive(False, True)], ids=["eager", "graph", "xla"])
@pytest.mark.parametrize("low, high", [*BOUNDS, (INT64.min, INT64.max), (0, 2**53 + 1), (INT64.min, INT64.min + 1)])
def test_draws_are_integers_within_the_bounds(low, high, jit_compile):
    def draw(mu, logscale):
        dist = DiscretizedLogisticDist(mu, logscale, low, high)
        return dist.sample_action(), dist.mode_action(), dist.sample(100)

    draw = draw if jit_compile is None else tf.function(draw, jit_compile=jit_compile)
    mu, logscale = (f32(x) for x in many_parameters(low, high))
    action, mode, x = (np.array(x) for x in draw(mu, logscale))
    for integers in (action, mode):
        assert integers.dtype == "int64" and integers.shape == (200, 1)
        assert all(low <= int(k) <= high for k in integers.flat)
    assert (x == np.round(x)).all() and all(low <= int(k) <= high for k in x.flat)


def test_actions_are_distributed_exactly():
    dist = one(1.3, 0.4, -2, 5, "float32")
    many = DiscretizedLogisticDist(*(np.tile(x, (100_000, 1)) for x in dist.params.values()), -2, 5)
    want = 100_000 * np.exp(np.array(one(1.3, 0.4, -2, 5).log_proba(np.arange(-2, 6)[:, None])))
    for draws in (many.sample_action(seed=0), dist.sample(100_000, seed=1)):
        counts = np.bincount(np.array(draws, int)[:, 0] + 2, minlength=8)
        assert scipy.stats.chisquare(counts, want).pvalue > 1e-3


def test_samples_have_the_gradient_of_the_logistic_draw():
    mu, logscale = f32([[0.3, -1.0]]), f32([[0.0, 1.0]])
    _, (by_mu, by_logscale) = gradient_of(
        lambda *p: DiscretizedLogisticDist(*p, -2, 2).sample(100, seed=0), mu, logscale
    )
    np.testing.assert_array_equal(by_mu, [[100, 100]])
    assert np.isfinite(by_logscale).all() and np.all(by_logscale != 0)


# Hard points.


@pytest.mark.exhaustive
@COMPILED
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("low, high", [(-3, 4), (0, 0), (INT64.min, INT64.max), (-(2**31), 2**31 - 1)])
def test_values_and_gradients_are_finite(low, high, dtype, jit_compile):
    """Also for locations far outside, and for scales of any size."""
    mu, logscale = np.array(np.meshgrid([-1e18, -1e4, -10.5, 0, 0.5, 3, 1e4, 1e18], [-30, -5, 0, 5, 30, 60]), dtype)
    mu, logscale = mu.reshape(-1, 1), logscale.reshape(-1, 1)

    @tf.function(jit_compile=jit_compile)
    def evaluate(mu, logscale, x):
        return gradient_of(lambda *p: DiscretizedLogisticDist(*p, low, high).log_proba(x), mu, logscale)

    for k in {low, low + (high > low), (low + high) // 2, high}:
        value, gradients = evaluate(mu, logscale, np.full((len(mu), 1), k))
        assert np.isfinite(value).all() and np.isfinite(gradients).all()
    dist = DiscretizedLogisticDist(mu, logscale, low, high)
    for x in (dist.mode_action(), dist.mode(), dist.sample_action(seed=0), dist.sample(seed=0)):
        assert np.isfinite(dist.log_proba(x)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scales_at_the_ends_of_the_range(dtype):
    """So sharp that one integer has all, or so flat that the bounds share it."""
    sharp = DiscretizedLogisticDist(np.array([[0.5], [1.0], [9.0]], dtype), np.full((3, 1), -1000, dtype), 0, 3)
    assert not np.isnan(sharp.log_proba([[1], [1], [3]])).any()
    np.testing.assert_array_equal(sharp.log_proba([[1], [1], [3]])[1:], 0)
    np.testing.assert_array_equal(sharp.mode_action()[1:], [[1], [3]])
    flat = one(0.0, 1000.0, 0, 3, dtype)
    np.testing.assert_allclose(flat.log_proba([[0], [3]]), np.log(0.5), rtol=1e-6)
    assert flat.log_proba([1]) < -80 and not np.isnan(flat.log_proba([1]))


def test_bounds_wider_than_floats_have_integers():
    dist = one(0.0, 40.0, INT64.min, INT64.max, "float32")
    for k in (INT64.min, INT64.max, INT64.min + 1, 0):
        assert np.isfinite(dist.log_proba([k]))
    far = one(1e30, 0.0, INT64.min, INT64.max, "float32")
    assert far.mode_action()[0] == far.sample_action(seed=0)[0] == INT64.max
    assert one(-1e30, 0.0, INT64.min, INT64.max, "float32").mode_action()[0] == INT64.min


# Values.

X = np.array([[-3, 0], [0, 2], [3, 1]])
FORMS = {
    "int32": X.astype("int32"),
    "int64": X,
    "int8": X.astype("int8"),
    "float32": f32(X),
    "float64": X.astype("float64"),
    "float16": X.astype("float16"),
    "list": X.tolist(),
    "list_of_floats": X.astype(float).tolist(),
    "tensor": tf.constant(X),
}


def small(dtype="float32"):
    return DiscretizedLogisticDist(*RNG(0).normal(size=(2, 3, 2)).astype(dtype), low=(-3, 0), high=(3, 2))


@pytest.mark.few(3)
@pytest.mark.parametrize("x", FORMS.values(), ids=FORMS)
def test_forms_of_integers(x):
    want = small("float64").log_proba(X)
    for log_proba in (small().log_proba, tf.function(small().log_proba)):
        assert log_proba(x).dtype == "float32"
        np.testing.assert_allclose(log_proba(x), want, rtol=1e-5)


@pytest.mark.parametrize("front", [(1,), (5,), (2, 5)])
def test_sample_axes_in_front(front):
    dist = small()
    x = RNG(0).integers(low=(-3, 0), high=(4, 3), size=(*front, 3, 2))
    want = np.array([dist.log_proba(rows) for rows in x.reshape(-1, 3, 2)]).reshape(x.shape[:-1])
    np.testing.assert_allclose(dist.log_proba(x), want, rtol=1e-6)
    np.testing.assert_array_equal(dist.log_proba(f32(x)), dist.log_proba(x))


@pytest.mark.few(1)
@pytest.mark.parametrize("wrong", [-1, 3, 0.5, 2.001, -(2**62), 1e30, INF])
def test_values_that_are_no_integers_within_the_bounds(wrong):
    x = np.where(np.arange(6).reshape(3, 2) == 3, np.asarray(wrong), X)
    with pytest.raises(ValueError, match=r"`x` must be of integers from low=\(-3, 0\) to high=\(3, 2\). Received: "):
        small().log_proba(x)
    for jit_compile in (False, True):
        log_proba = tf.function(
            lambda x: gradient_of(
                lambda mu: DiscretizedLogisticDist(mu, small().logscale, (-3, 0), (3, 2)).log_proba(x), small().mu
            ),
            jit_compile=jit_compile,
        )
        value, (gradient,) = log_proba(tf.constant(x))
        np.testing.assert_array_equal(np.isneginf(value), [False, True, False])
        assert np.isfinite(gradient).all()


def test_unsigned_integers_beyond_int64():
    dist = one(0.0, 0.0, -3, 3)
    with pytest.raises(ValueError, match="`x` must be of integers from low=.* Received: 18446744073709551615"):
        dist.log_proba(np.array([2**64 - 1], "uint64"))
    assert tf.function(dist.log_proba)(tf.constant([2**64 - 1], tf.uint64)) == -INF
    assert np.isfinite(dist.log_proba(np.array([2], "uint64")))


# The constructor.


@pytest.mark.parametrize(
    "bound", [1.5, "0", None, True, [0], [0, 0, 0], [[0, 0]], 2**63, -(2**63) - 1, [0, NAN]], ids=str
)
def test_bounds_must_be_int64(bound):
    zeros = np.zeros((4, 2), "float32")
    with pytest.raises(ValueError, match="`high` must be an int64 or a sequence of n = 2 of them. Received: high="):
        DiscretizedLogisticDist(zeros, zeros, 0, bound)
    with pytest.raises(ValueError, match="`low` must be an int64 or a sequence of n = 2 of them. Received: low="):
        DiscretizedLogisticDist(zeros, zeros, bound, 0)


@pytest.mark.parametrize(
    "bound", [3, np.int8(3), [3, 3], (3, 3), np.array([3, 3]), np.array([3, 3], "uint8")], ids=repr
)
def test_bounds_become_tuples_of_ints(bound):
    dist = DiscretizedLogisticDist(np.zeros(2), np.zeros(2), 0, bound)
    assert dist.high == (3, 3) and {type(x) for x in dist.low + dist.high} == {int}


def test_bounds_the_wrong_way_round():
    with pytest.raises(ValueError, match=r"`low` must not exceed `high`. Received: low=\(0, 3\), high=\(2, 2\)"):
        DiscretizedLogisticDist(np.zeros(2), np.zeros(2), [0, 3], 2)


@pytest.mark.parametrize("which", ["mu", "logscale"])
@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_parameters_must_be_finite(which, bad):
    params = {"mu": f32([0, 0]), "logscale": f32([0, 0])} | {which: f32([0, bad])}
    with pytest.raises(ValueError, match=rf"`{which}` must be finite. Received: {bad} at index \[1\] of {which}"):
        DiscretizedLogisticDist(**params, low=0, high=1)


def test_parameters_must_have_one_shape_and_dtype():
    with pytest.raises(ValueError, match="`mu` and `logscale` must have the same shape: nothing is broadcast"):
        DiscretizedLogisticDist(np.zeros((4, 2)), np.zeros(2), 0, 1)
    with pytest.raises(ValueError, match="`mu` and `logscale` must have the same dtype"):
        DiscretizedLogisticDist(np.zeros(2), f32(np.zeros(2)), 0, 1)


def test_distributions_of_other_bounds_are_not_compared():
    x, p, q = np.zeros(1), one(0, 0, 0, 3), one(0, 0, 0, 4)
    with pytest.raises(ValueError, match=r"`other` must have the same `high`. Received: \(3,\) and \(4,\)"):
        p.proba_ratio(x, q)


@COMPILED
def test_nan_in_a_graph(jit_compile):
    @tf.function(jit_compile=jit_compile)
    def evaluate(mu, x):
        dist = DiscretizedLogisticDist(mu, ops.zeros_like(mu), -3, 3)
        return dist.log_proba(x), dist.sample()

    log_proba, draw = evaluate(f32([[0], [NAN]]), f32([[1], [1]]))
    np.testing.assert_array_equal(np.isnan(log_proba), [False, True])
    np.testing.assert_array_equal(np.isnan(draw), [[False], [True]])
    np.testing.assert_array_equal(np.isnan(evaluate(f32([[0], [0]]), f32([[1], [NAN]]))[0]), [False, True])
