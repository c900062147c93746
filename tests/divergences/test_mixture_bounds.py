"""Bounds against quadrature and estimates, where they meet, and the published approximations."""

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
from keras import ops

import kgdists as kg
from kgdists import GaussianMixtureDist, divergences
from tests.divergences import PAIRS, mixture, pair_of

RNG = np.random.default_rng
INF = float("inf")


def random_mixture(kind, batch=(), k=3, n=2, seed=0, dtype="float64"):
    rng = RNG(seed)
    logits, mu = rng.normal(size=(*batch, k)), 2 * rng.normal(size=(*batch, k, n))
    if kind == "diag":
        spread = {"logvar": rng.normal(size=mu.shape).astype(dtype)}
    else:
        tril = np.tril(rng.normal(size=(*mu.shape, n)), -1) + np.eye(n) * rng.uniform(0.5, 1.5, n)
        spread = {"scale_tril": tril.astype(dtype)}
    return GaussianMixtureDist(logits.astype(dtype), mu.astype(dtype), **spread)


def with_factors(p):
    """The same mixture by its factors."""
    scale_tril = np.exp(0.5 * np.array(p.logvar))[..., None] * np.eye(p.event_shape[0])
    return GaussianMixtureDist(p.logits, p.mu, scale_tril=scale_tril)


# What they hold.


@pytest.mark.few(1)
@pytest.mark.parametrize("name", PAIRS)
def test_bounds_hold_the_values_of_quadrature(name):
    p, q = pair_of(name)
    expected = PAIRS[name]["expected"]
    bounds = {
        "entropy_p": divergences.entropy_bounds(p),
        "kl_p_q": divergences.kl_divergence_bounds(p, q),
        "kl_q_p": divergences.kl_divergence_bounds(q, p),
    }
    for quantity, (lower, upper) in bounds.items():
        assert lower - 1e-9 <= expected[quantity] <= upper + 1e-9
        assert upper - lower < 10.0


@pytest.mark.few(1)
@pytest.mark.parametrize("kinds", [("diag", "diag"), ("full", "full"), ("diag", "full")])
def test_bounds_hold_estimates(kinds):
    p, q = (random_mixture(kind, (20,), k=k, seed=k) for kind, k in zip(kinds, (4, 3), strict=True))
    for bounds, (value, error) in (
        (divergences.entropy_bounds(p), divergences.entropy(p, 2000, seed=0)),
        (divergences.kl_divergence_bounds(p, q), divergences.kl_divergence(p, q, 2000, seed=0)),
    ):
        lower, upper, value, error = (np.array(x) for x in (*bounds, value, error))
        assert lower.shape == upper.shape == (20,)
        assert (lower <= upper).all()
        assert (lower - 4.5 * error <= value).all() and (value <= upper + 4.5 * error).all()


def test_a_mixture_without_a_batch_goes_with_every_batch():
    p, q = random_mixture("full", (5,)), random_mixture("full", seed=1)
    many = keras.tree.map_structure(lambda x: ops.broadcast_to(x, (5, *x.shape)), q)
    for one, other, all_one, all_other in ((p, q, p, many), (q, p, many, p)):
        got = divergences.kl_divergence_bounds(one, other)
        np.testing.assert_allclose(got, divergences.kl_divergence_bounds(all_one, all_other), rtol=1e-9, atol=1e-12)


def test_log_variances_are_diagonal_factors():
    p, q = random_mixture("diag", (5,)), random_mixture("diag", (5,), k=2, seed=1)
    full_p, full_q = with_factors(p), with_factors(q)
    np.testing.assert_allclose(divergences.entropy_bounds(full_p), divergences.entropy_bounds(p), rtol=1e-9)
    want = divergences.kl_divergence_bounds(p, q)
    for a, b in ((full_p, full_q), (p, full_q), (full_p, q)):
        np.testing.assert_allclose(divergences.kl_divergence_bounds(a, b), want, rtol=1e-8, atol=1e-10)


# Where they meet.


@pytest.mark.parametrize("kind", ["diag", "full"])
def test_bounds_of_single_normals_are_exact(kind):
    p, q = random_mixture(kind, (7,), k=1), random_mixture(kind, (7,), k=1, seed=1)
    one, other = p.components, q.components
    np.testing.assert_allclose(divergences.entropy_bounds(p), [one.entropy()[:, 0]] * 2, rtol=1e-9)
    want = one.kl_divergence(other)[:, 0]
    np.testing.assert_allclose(divergences.kl_divergence_bounds(p, q), [want] * 2, rtol=1e-9)


def test_bounds_meet_where_components_lie_apart():
    p = mixture([0.3, 0.7], [[-50.0], [50.0]], [[[1.0]], [[2.0]]])
    q = mixture([0.5, 0.5], [[-49.0], [50.0]], [[[1.0]], [[1.0]]])
    lower, upper = divergences.entropy_bounds(p)
    want = scipy.stats.entropy([0.3, 0.7]) + 0.5 * np.log(2 * np.pi * np.e) + 0.7 * 0.5 * np.log(2.0)
    np.testing.assert_allclose([lower, upper], [want] * 2, rtol=1e-9)
    lower, upper = divergences.kl_divergence_bounds(p, q)
    want = scipy.stats.entropy([0.3, 0.7], [0.5, 0.5]) + 0.3 * 0.5 + 0.7 * 0.5 * (1 - np.log(2.0))
    np.testing.assert_allclose(upper, want, rtol=1e-6)
    assert 0.7 * want < lower <= upper


def test_bounds_meet_where_components_coincide():
    p = mixture([0.3, 0.7], [[1.0], [1.0]], [[[2.0]], [[2.0]]])
    np.testing.assert_allclose(divergences.entropy_bounds(p), [0.5 * np.log(2 * np.pi * np.e * 2.0)] * 2, rtol=1e-9)


def test_equal_mixtures_have_an_upper_bound_near_0():
    p, _ = pair_of("2d-tutorial-to-mode")
    lower, upper = divergences.kl_divergence_bounds(p, p)
    assert lower == 0.0
    assert 0.0 <= upper < 1e-6


# Approximations.


@pytest.mark.parametrize("method", ["variational", "product"])
def test_approximations_are_the_published_formulas(method):
    p, q = (random_mixture("full", k=k, seed=k) for k in (3, 2))

    def likeness(i, other):
        mean, cov = np.array(p.mu)[i], np.array(p.scale_tril @ np.swapaxes(p.scale_tril, -1, -2))[i]
        means, covs = np.array(other.mu), np.array(other.scale_tril @ np.swapaxes(other.scale_tril, -1, -2))
        total = 0.0
        for w, m, c in zip(scipy.special.softmax(other.logits), means, covs, strict=True):
            if method == "product":
                total += w * scipy.stats.multivariate_normal(m, cov + c).pdf(mean)
            else:
                steps = np.trace(np.linalg.solve(c, cov)) + (mean - m) @ np.linalg.solve(c, mean - m)
                total += w * np.exp(-0.5 * (steps - 2 - np.log(np.linalg.det(cov) / np.linalg.det(c))))
        return np.log(total)

    want = sum(w * (likeness(i, p) - likeness(i, q)) for i, w in enumerate(np.array(scipy.special.softmax(p.logits))))
    np.testing.assert_allclose(divergences.kl_divergence_approximation(p, q, method), want, rtol=1e-9)
    assert divergences.kl_divergence_approximation(p, p, method) == 0.0


# Hard points.


@pytest.mark.few(1)
@pytest.mark.parametrize("kind", ["diag", "full"])
def test_a_component_without_weight_changes_nothing(kind):
    """Neither values nor gradients, and its own gradients are 0."""
    p, q = random_mixture(kind, (2,), dtype="float32"), random_mixture(kind, (2,), k=2, seed=1, dtype="float32")
    logits, mu, spread = p.params.values()
    logits = np.array(logits)
    logits[:, 1] = -INF
    leaves = [ops.convert_to_tensor(x) for x in (logits, mu, spread, *q.params.values())]
    name = p.PARAM_NAMES[-1]

    def bounds(*leaves):
        p, q = (GaussianMixtureDist(logits, mu, **{name: x}) for logits, mu, x in (leaves[:3], leaves[3:]))
        return ops.stack([*divergences.entropy_bounds(p), *divergences.kl_divergence_bounds(p, q)])

    with tf.GradientTape() as tape:
        tape.watch(leaves)
        value = bounds(*leaves)
        total = ops.sum(value)
    gradients = [np.array(gradient) for gradient in tape.gradient(total, leaves)]
    without = [ops.take(x, [0, 2], axis=1) for x in leaves[:3]]
    np.testing.assert_allclose(value, bounds(*without, *leaves[3:]), rtol=1e-4, atol=1e-5)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert all((gradient[:, 1] == 0).all() for gradient in gradients[:3])


@pytest.mark.exhaustive
def test_bounds_under_xla():
    got = tf.function(divergences.entropy_bounds, jit_compile=True)(pair_of("2d-tutorial-to-mode", dtype="float32")[0])
    np.testing.assert_allclose(got, divergences.entropy_bounds(pair_of("2d-tutorial-to-mode")[0]), rtol=1e-5)


def test_nearly_singular_covariances():
    tril = np.array([[[1.0, 0.0], [1.0, 1e-6]], [[1.0, 0.0], [-1.0, 1e-6]]], "float32")
    p = GaussianMixtureDist([0.0, 0.0], [[0.0, 0.0], [1.0, 0.0]], scale_tril=tril)
    for bound in (*divergences.entropy_bounds(p), *divergences.kl_divergence_bounds(p, p)):
        assert np.isfinite(bound)


@pytest.mark.parametrize("kind", ["diag", "full"])
def test_half_precision(kind):
    p = random_mixture(kind, dtype="float16")
    wide = keras.tree.map_structure(lambda x: ops.cast(x, "float32"), p)
    np.testing.assert_array_equal(divergences.entropy_bounds(p), divergences.entropy_bounds(wide))


def test_targets_of_mixtures():
    target = kg.targets.GaussianMixture.create_tutorial()
    want = divergences.entropy_bounds(pair_of("2d-tutorial-to-mode")[0])
    np.testing.assert_allclose(divergences.entropy_bounds(target), want, rtol=1e-9)


# Errors.


def test_other_distributions_and_methods():
    p, other = random_mixture("diag"), kg.NormalDist([0.0], [0.0])
    with pytest.raises(TypeError, match="`p` must be a GaussianMixtureDist. Received: NormalDist"):
        divergences.entropy_bounds(other)
    with pytest.raises(TypeError, match="`q` must be a GaussianMixtureDist. Received: NormalDist"):
        divergences.kl_divergence_bounds(p, other)
    with pytest.raises(ValueError, match='must be "variational" or "product". Received: method=\'best\''):
        divergences.kl_divergence_approximation(p, p, "best")


@pytest.mark.parametrize("fields", [{"n": 3}, {"batch": (2,)}, {"dtype": "float32"}])
def test_mixtures_that_do_not_fit(fields):
    p, q = random_mixture("diag", batch=(3,)), random_mixture("diag", **({"batch": (3,)} | fields))
    with pytest.raises(ValueError, match="must have the same dtype and event shape"):
        divergences.kl_divergence_bounds(p, q)
