"""`NormalDist` against reference numbers, scipy's joint density, and the hard points."""

import inspect

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from keras import ops

import kgdists as kg
from kgdists import NormalDist
from tests.golden import gradient_of, reference_test, with_gradients
from tests.marks import exhaustive

INF, NAN = float("inf"), float("nan")
RNG = np.random.default_rng


# Reference numbers.


def answer_single(mu, logvar, x):
    return with_gradients(
        "log_proba", lambda mu, logvar, x: NormalDist(mu, logvar).log_proba(x), mu=mu, logvar=logvar, x=x
    ) | with_gradients("entropy", lambda logvar: NormalDist(mu, logvar).entropy(), logvar=logvar)


def answer_pair(**params):
    def divergence(name):
        return lambda p_mu, p_logvar, q_mu, q_logvar: getattr(NormalDist(p_mu, p_logvar), name)(
            NormalDist(q_mu, q_logvar)
        )

    return with_gradients("cross_entropy", divergence("cross_entropy"), **params) | with_gradients(
        "kl_divergence", divergence("kl_divergence"), **params
    )


test_reference_numbers = reference_test("normal", single=answer_single, pair=answer_pair)


# scipy: the joint distribution, whose density is not averaged over dimensions.


def joint(mu, logvar):
    return scipy.stats.multivariate_normal(mu, np.diag(np.exp(logvar)))


@pytest.mark.parametrize("n", [1, 3, 17])
def test_log_proba_and_entropy_are_those_of_the_joint(n):
    mu, logvar, x = RNG(n).normal(size=(3, 5, n))
    dist = NormalDist(mu, logvar)
    joints = [joint(*row) for row in zip(mu, logvar, strict=True)]
    want = [row.logpdf(event) for row, event in zip(joints, x, strict=True)]
    np.testing.assert_allclose(dist.log_proba(x), want, rtol=1e-12)
    np.testing.assert_allclose(dist.entropy(), [row.entropy() for row in joints], rtol=1e-12, atol=1e-12)


def test_moments_are_those_of_the_joint():
    mu, logvar = RNG(0).normal(size=(2, 4))
    dist = NormalDist(mu, logvar)
    np.testing.assert_array_equal(dist.mean(), joint(mu, logvar).mean)
    np.testing.assert_array_equal(dist.mode(), mu)
    np.testing.assert_allclose(dist.variance(), np.diag(joint(mu, logvar).cov), rtol=1e-14)


def test_covariance_and_score():
    mu, logvar, x = RNG(0).normal(size=(3, 5, 2))
    dist = NormalDist(mu, logvar)
    np.testing.assert_allclose(dist.covariance(), [np.diag(np.exp(row)) for row in logvar], rtol=1e-12)
    np.testing.assert_allclose(dist.score(x), gradient_of(dist.log_proba, x)[1][0], rtol=1e-12)
    assert dist.score(np.stack([x, x])).shape == (2, 5, 2)


@pytest.mark.parametrize("n", [1, 3, 17])
def test_kl_is_that_of_the_joint(n):
    """By the formula for full covariances: trace, quadratic form and determinants."""
    mu, logvar, other_mu, other_logvar = RNG(n).normal(size=(4, n))
    p, q = joint(mu, logvar), joint(other_mu, other_logvar)
    inverse = np.linalg.inv(q.cov)
    log_det = np.linalg.slogdet(q.cov)[1] - np.linalg.slogdet(p.cov)[1]
    want = 0.5 * (np.trace(inverse @ p.cov) + (p.mean - q.mean) @ inverse @ (p.mean - q.mean) - n + log_det)
    got = NormalDist(mu, logvar).kl_divergence(NormalDist(other_mu, other_logvar))
    np.testing.assert_allclose(got, want, rtol=1e-12)


# The divergence of nearly equal policies.


def test_kl_of_nearly_equal_policies_keeps_its_digits():
    """Divergences from 1e-9 on, in float32, as PPO meets them."""
    rng = RNG(0)
    size = (20_000, 3)
    step = 10 ** rng.uniform(-5, -1, size=(20_000, 1))
    mu, logvar = rng.normal(size=size).astype("float32"), (3 * rng.normal(size=size)).astype("float32")
    other_mu = (mu + step * np.exp(0.5 * logvar) * rng.normal(size=size)).astype("float32")
    other_logvar = (logvar + step * rng.normal(size=size)).astype("float32")
    got = np.array(NormalDist(mu, logvar).kl_divergence(NormalDist(other_mu, other_logvar)))
    m1, v1, m2, v2 = (x.astype("longdouble") for x in (mu, logvar, other_mu, other_logvar))
    want = (0.5 * np.sum(np.exp(v1 - v2) - 1 - (v1 - v2) + (m1 - m2) ** 2 / np.exp(v2), axis=-1)).astype("float64")
    counted = want >= 1e-9
    assert counted.sum() > 5000 and want[counted].min() < 2e-9
    assert (got >= 0).all()
    np.testing.assert_allclose(got[counted], want[counted], rtol=1e-3)


@pytest.mark.parametrize("magnitude", [1e-4, 1e-2, 1, 10])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_kl_is_never_negative(magnitude, dtype):
    mu, logvar, mu_step, logvar_step = RNG(0).normal(size=(4, 5000, 3))
    p = NormalDist(ops.cast(mu, dtype), ops.cast(logvar, dtype))
    q = NormalDist(ops.cast(mu + magnitude * mu_step, dtype), ops.cast(logvar + magnitude * logvar_step, dtype))
    assert np.min(p.kl_divergence(q)) >= 0


# Hard points.


@pytest.mark.few(1)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["graph", "xla"])
def test_values_and_gradients_are_finite(dtype, jit_compile):
    """For each log-variance in [-30, 30], against each other one."""
    grid = np.linspace(-30, 30, 13)
    logvar, other_logvar = np.array(np.meshgrid(grid, grid)).reshape(2, -1, 1).astype(dtype)
    mu, other_mu = np.full_like(logvar, 100.0), np.full_like(logvar, -100.0)

    def evaluate(mu, logvar, other_mu, other_logvar):
        p, q = NormalDist(mu, logvar), NormalDist(other_mu, other_logvar)
        methods = [
            lambda p, q: p.log_proba(other_mu),
            lambda p, q: p.entropy(),
            lambda p, q: p.variance(),
            lambda p, q: p.cross_entropy(q),
            lambda p, q: p.kl_divergence(q),
            lambda p, q: p.sample(seed=0),
        ]
        leaves = keras.tree.flatten((p, q))
        return [
            gradient_of(lambda *leaves, f=f: f(*keras.tree.pack_sequence_as((p, q), leaves)), *leaves) for f in methods
        ]

    results = tf.function(evaluate, jit_compile=jit_compile)(mu, logvar, other_mu, other_logvar)
    for value, gradients in results:
        assert np.isfinite(value).all()
        assert all(np.isfinite(gradient).all() for gradient in gradients if gradient is not None)


def test_log_proba_far_out_is_finite():
    dist = NormalDist(np.zeros(1, "float32"), np.zeros(1, "float32"))
    value, (gradient,) = gradient_of(dist.log_proba, np.array([1e15], "float32"))
    assert np.isfinite(value) and np.isfinite(gradient)


# Variates.


@pytest.mark.parametrize("dtype", ["int32", "int64", "float16", "float64"])
def test_variates_are_cast(dtype):
    dist = NormalDist(np.zeros((2, 3), "float32"), np.zeros((2, 3), "float32"))
    x = np.array([[0, 1, 2], [3, -1, 0]])
    want = dist.log_proba(x.astype("float32"))
    assert dist.log_proba(x.astype(dtype)).dtype == "float32"
    np.testing.assert_array_equal(dist.log_proba(x.astype(dtype)), want)
    np.testing.assert_array_equal(dist.log_proba(x.tolist()), want)


def test_sample_axes_in_front():
    mu, logvar = RNG(0).normal(size=(2, 4, 3))
    dist, x = NormalDist(mu, logvar), RNG(1).normal(size=(2, 5, 4, 3))
    want = np.array([[dist.log_proba(rows) for rows in block] for block in x])
    np.testing.assert_array_equal(dist.log_proba(x), want)


def test_infinite_variates_are_impossible():
    dist = NormalDist(np.zeros(2, "float32"), np.zeros(2, "float32"))
    assert dist.log_proba([0.0, INF]) == -INF


# Draws.


def test_samples_are_normal_and_independent():
    mu, logvar = np.array([0.0, 5.0, -3.0, 1.0]), np.array([0.0, 2.0, -4.0, 1.0])
    for dtype in ("float32", "float64"):
        x = np.array(NormalDist(mu.astype(dtype), logvar.astype(dtype)).sample(100_000, seed=0), "float64")
        z = (x - mu) / np.exp(0.5 * logvar)
        assert all(scipy.stats.kstest(column, "norm").pvalue > 1e-3 for column in z.T)
        assert np.abs(np.corrcoef(z.T) - np.eye(4)).max() < 0.015


def test_successive_samples_are_uncorrelated():
    dist = NormalDist(np.zeros(50_000, "float32"), np.zeros(50_000, "float32"), random_seed=0)
    assert np.abs(np.corrcoef([dist.sample() for _ in range(4)]) - np.eye(4)).max() < 0.02


def test_samples_move_with_the_parameters():
    mu, logvar = RNG(0).normal(size=(2, 3))
    x, (mu_gradient, logvar_gradient) = gradient_of(lambda mu, lv: NormalDist(mu, lv).sample(1, seed=0), mu, logvar)
    np.testing.assert_array_equal(mu_gradient, np.ones(3))
    np.testing.assert_allclose(logvar_gradient, 0.5 * (x[0] - mu), rtol=1e-12)


def test_the_action_is_the_sample():
    dist = NormalDist(np.zeros((2, 3), "float32"), np.zeros((2, 3), "float32"))
    np.testing.assert_array_equal(dist.sample_action(seed=1), dist.sample(seed=1))
    np.testing.assert_array_equal(dist.mode_action(), dist.mode())


# The constructor.


def test_arguments_and_defaults_of_keras_gym():
    assert list(inspect.signature(NormalDist).parameters) == ["mu", "logvar", "name", "random_seed"]
    mu, logvar = RNG(0).normal(size=(2, 4, 3))
    dist = NormalDist(mu, logvar)
    assert (dist.name, dist.random_seed) == ("normal_dist", None)
    dist = NormalDist(mu, logvar, "pi", 7)
    assert (dist.name, dist.random_seed) == ("pi", 7)
    np.testing.assert_array_equal(dist.mu, mu)
    np.testing.assert_array_equal(dist.logvar, logvar)
    assert NormalDist.PARAM_NAMES == ("mu", "logvar")


@pytest.mark.parametrize("shape", [(4, 1), (3,), (1, 3), (4, 2), (2, 4, 3)])
def test_parameters_of_different_shapes(shape):
    text = (
        rf"`mu` and `logvar` must have the same shape: .*Received: mu of shape \(4, 3\), logvar of shape \({shape[0]},"
    )
    with pytest.raises(ValueError, match=text):
        NormalDist(np.zeros((4, 3)), np.zeros(shape))
    with pytest.raises(ValueError, match=text):
        tf.function(lambda mu, logvar: NormalDist(mu, logvar).entropy())(np.zeros((4, 3)), np.zeros(shape))


def test_symbolic_parameters_of_different_shapes():
    with pytest.raises(ValueError, match=r"`mu` and `logvar` must have the same shape.*\(None, 3\).*\(None, 1\)"):
        NormalDist(keras.Input((3,)), keras.Input((1,)))


def test_parameters_of_different_dtypes():
    text = "`mu` and `logvar` must have the same dtype. Received: mu of float32, logvar of float64"
    with pytest.raises(ValueError, match=text):
        NormalDist(np.zeros(3, "float32"), np.zeros(3, "float64"))


@pytest.mark.parametrize("name", ["mu", "logvar"])
@pytest.mark.parametrize("bad", [INF, -INF, NAN])
def test_parameters_must_be_finite(name, bad):
    params = {"mu": np.zeros((2, 3)), "logvar": np.zeros((2, 3))}
    params[name][1, 2] = bad
    with pytest.raises(ValueError, match=rf"`{name}` must be finite. Received: {bad} at index \[1, 2\] of {name}"):
        NormalDist(**params)


def test_the_head_gives_this_distribution():
    assert type(kg.layers.NormalHead(3)(np.zeros((2, 4), "float32"))) is NormalDist
