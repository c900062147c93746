"""Losses of fits: their values and gradients against quadrature, and the noise of their gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import kgdists as kg
from kgdists import GaussianMixtureDist, divergences
from tests.divergences import PAIRS, pair_of

ESTIMATORS = ["score", "pathwise"]


def value_and_gradients(loss, q):
    """Of the sum of `loss(q)` in the parameters of `q`."""
    leaves = list(q.params.values())
    with tf.GradientTape() as tape:
        tape.watch(leaves)
        value = loss(keras.tree.pack_sequence_as(q, leaves))
        total = ops.sum(value)
    return value, tape.gradient(total, leaves)


def diagonal(p):
    """A mixture in one dimension by its log-variances."""
    return GaussianMixtureDist(p.logits, p.mu, 2.0 * ops.log(p.scale_tril[..., 0]))


# Reverse divergence.


@pytest.mark.few(3)
@pytest.mark.parametrize("covariance", ["full", "diag"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_reverse_values_and_gradients_are_without_bias(estimator, covariance):
    """Their mean over a batch against quadrature, in all parameters."""
    n = 4000
    kind = diagonal if covariance == "diag" else lambda q: q
    p, q = pair_of("1d-three-to-two")
    x = np.linspace(-15, 15, 3001)[:, None]

    def exact(q):
        log_q = q.log_prob(x)
        return ops.sum(ops.exp(log_q) * (log_q - p.log_prob(x))) * (x[1, 0] - x[0, 0])

    want, want_gradients = value_and_gradients(exact, kind(q))
    many, target = kind(pair_of("1d-three-to-two", (n,), "float32")[1]), pair_of("1d-three-to-two", dtype="float32")[0]
    got, gradients = value_and_gradients(
        lambda q: divergences.reverse_kl_loss(q, target, 10, seed=0, estimator=estimator), many
    )
    np.testing.assert_allclose(want, PAIRS["1d-three-to-two"]["expected"]["kl_q_p"], rtol=1e-6)
    for g, w in zip([got, *gradients], [want, *want_gradients], strict=True):
        assert (np.abs(np.mean(g, axis=0) - w) <= 4.5 * np.std(g, axis=0) / np.sqrt(n)).all()
        assert np.std(g) > 0


def test_pathwise_gradients_have_no_noise_where_q_is_p():
    p, q = pair_of("1d-identical", dtype="float32")
    value, gradients = value_and_gradients(
        lambda q: divergences.reverse_kl_loss(q, p, 100, seed=0, estimator="pathwise"), q
    )
    np.testing.assert_allclose(value, 0.0, atol=1e-6)
    for gradient in gradients:
        np.testing.assert_allclose(gradient, np.zeros_like(gradient), atol=1e-5)


def test_gradients_by_score_do_not_know_the_constant_of_the_density():
    p, q = pair_of("1d-three-to-two")
    value, gradients = value_and_gradients(lambda q: divergences.reverse_kl_loss(q, p, 50, seed=0), q)
    shifted, others = value_and_gradients(
        lambda q: divergences.reverse_kl_loss(q, lambda x: p.log_prob(x) + 100.0, 50, seed=0), q
    )
    np.testing.assert_allclose(shifted, value - 100.0, rtol=1e-12)
    for gradient, other in zip(gradients, others, strict=True):
        np.testing.assert_allclose(gradient, other, rtol=1e-8, atol=1e-10)


@pytest.mark.exhaustive
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_reverse_losses_of_restarts_under_xla(estimator):
    """A batch of mixtures in two dimensions and a target without a batch."""
    p = pair_of("2d-tutorial-to-mode", dtype="float32")[0]
    q = pair_of("2d-tutorial-to-moments", (3,), "float32")[1]
    compiled = tf.function(divergences.reverse_kl_loss, jit_compile=True)
    value = compiled(q, p, num_samples=20_000, seed=0, estimator=estimator)
    expected = PAIRS["2d-tutorial-to-moments"]["expected"]
    assert value.shape == (3,)
    assert (np.abs(value - expected["kl_q_p"]) <= 4 * expected["kl_q_p_std"] / np.sqrt(20_000)).all()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_reverse_losses_of_normals(estimator):
    p, q = kg.NormalDist([0.0, 1.0], [0.0, 0.5]), kg.NormalDist([0.5, 1.0], [-0.5, 0.2])
    value = divergences.reverse_kl_loss(q, p, 20_000, seed=0, estimator=estimator)
    np.testing.assert_allclose(value, q.kl_divergence(p), atol=0.02)


def test_each_component_draws_as_often():
    _, q = pair_of("1d-three-to-two")
    seen = []

    def log_prob(x):
        seen.append(x)
        return ops.zeros_like(x[..., 0])

    divergences.reverse_kl_loss(q, log_prob, 501, seed=0, estimator="pathwise")
    assert seen[0].shape == (2 * 251, 1)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_without_a_seed_a_mixture_draws_from_its_own_stream(estimator):
    def loss():
        q = GaussianMixtureDist([0.0, 0.0], [[0.0], [1.0]], [[0.0], [0.0]], random_seed=3)
        return divergences.reverse_kl_loss(q, kg.NormalDist([0.0], [0.0]), 4, estimator=estimator)

    assert loss() == loss()


def test_a_component_without_weight_has_no_part():
    p = pair_of("1d-three-to-two")[0]
    q = GaussianMixtureDist([0.0, -np.inf], [[0.0], [1.0]], [[0.0], [0.0]])
    for estimator in ESTIMATORS:
        value, gradients = value_and_gradients(
            lambda q, estimator=estimator: divergences.reverse_kl_loss(
                q, lambda x: ops.cast(p.log_prob(x), "float32"), 50, seed=0, estimator=estimator
            ),
            q,
        )
        assert np.isfinite(value)
        assert all(np.isfinite(gradient).all() and (np.array(gradient)[1] == 0).all() for gradient in gradients)


# Forward divergence.


def test_the_forward_loss_is_the_mean_negative_log_likelihood():
    p, q = pair_of("2d-tutorial-to-moments", (3,))
    x = p.sample(50, seed=0)
    loss = divergences.forward_kl_loss(q, x)
    np.testing.assert_allclose(loss, -np.mean(q.log_prob(x), axis=0), rtol=1e-12)
    one = keras.tree.map_structure(lambda leaf: leaf[0], q)
    np.testing.assert_allclose(divergences.forward_kl_loss(one, x[:, 0]), loss[0], rtol=1e-12)


def test_the_tutorial_target_under_itself():
    p, _ = pair_of("2d-tutorial-to-standard")
    x = p.sample(10**5, seed=0)
    error = PAIRS["2d-tutorial-to-standard"]["expected"]["entropy_p_std"] / np.sqrt(10**5)
    np.testing.assert_allclose(divergences.forward_kl_loss(p, x), 4.122519, atol=3 * error)


# Errors.


def test_unknown_estimators_and_what_is_not_a_distribution():
    p = kg.NormalDist([0.0], [0.0])
    with pytest.raises(ValueError, match='must be "score" or "pathwise". Received: estimator=\'best\''):
        divergences.reverse_kl_loss(p, p, estimator="best")
    with pytest.raises(TypeError, match="`q` must be a Distribution. Received: float"):
        divergences.reverse_kl_loss(1.0, p)
    with pytest.raises(TypeError, match="A density must have .* Received: float"):
        divergences.reverse_kl_loss(p, 1.0)


def test_the_baseline_needs_two_samples():
    p = kg.NormalDist([0.0], [0.0])
    with pytest.raises(ValueError, match="`num_samples` must be an int >= 2. Received: num_samples=1"):
        divergences.reverse_kl_loss(p, p, 1)
    assert np.isfinite(divergences.reverse_kl_loss(p, p, 1, estimator="pathwise"))


def test_choices_have_no_paths():
    p = kg.CategoricalDist([0.0, 1.0])
    with pytest.raises(TypeError, match="must be a mixture or have reparameterised samples .* Received: CategoricalD"):
        divergences.reverse_kl_loss(p, p, estimator="pathwise")
    assert np.isfinite(divergences.reverse_kl_loss(p, p, 10))
