import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from kgdists import CategoricalDist, NormalDist, losses
from tests.losses import close, gradients, tensors

LOGITS, VALUES = np.array([[0.5, -1.0, 2.0], [0.0, 0.3, 1.0]]), np.array([[1.0, 2.0, -0.5], [3.0, -1.0, 0.0]])
ALPHA = 0.7


def discrete(logits, values=VALUES, mask=None):
    return losses.sac_actor_discrete(CategoricalDist(logits, mask=mask).log_probs, ops.convert_to_tensor(values), ALPHA)


def softmax(x):
    return np.exp(x) / np.sum(np.exp(x), axis=-1, keepdims=True)


def test_critic_by_hand():
    close(losses.sac_critic(*tensors([1.0, 2.0], [0.0, 1.0], [2.0, 4.0])), 0.5 * (1.0 + 4.0 + 4.0 + 9.0) / 2.0)


def test_critic_gradient_is_the_error_over_the_number():
    first, second, targets = gradients(losses.sac_critic, [1.0, 2.0], [0.0, 1.0], [2.0, 4.0])
    close(first, [-0.5, -1.0])
    close(second, [-1.0, -1.5])
    assert targets is None


def test_actor_by_hand():
    close(losses.sac_actor(*tensors([-1.0, -3.0], [2.0, 5.0]), alpha=0.5), (-0.5 - 2.0 - 1.5 - 5.0) / 2.0)


def test_actor_takes_the_temperature_as_a_constant():
    alpha = tf.Variable(0.5)
    with tf.GradientTape() as tape:
        loss = losses.sac_actor(ops.ones(3), ops.ones(3), alpha)
    assert tape.gradient(loss, alpha) is None


def test_actor_gradient_goes_through_the_action():
    # The entropy of a normal does not depend on its mean; through the action a = m + s e comes -dQ/da = 2 (a - 3).
    mean, logvar = tf.Variable(np.zeros((1000, 1))), np.zeros((1000, 1))
    with tf.GradientTape() as tape:
        pi = NormalDist(mean, logvar)
        actions = pi.sample(seed=0)
        loss = losses.sac_actor(pi.log_proba(actions), -ops.square(actions[:, 0] - 3.0), ALPHA)
    np.testing.assert_allclose(tape.gradient(loss, mean), 2.0 * (actions - 3.0) / 1000.0, atol=1e-12)


def test_discrete_actor_by_hand():
    probs = softmax(LOGITS)
    close(discrete(LOGITS), np.mean(np.sum(probs * (ALPHA * np.log(probs) - VALUES), axis=1)))


def test_discrete_actor_gradient():
    probs = softmax(LOGITS)
    costs = ALPHA * np.log(probs) - VALUES
    centered = costs - np.sum(probs * costs, axis=1, keepdims=True)
    close(gradients(discrete, LOGITS)[0], probs * centered / 2.0)


def test_discrete_expectation_is_what_draws_estimate():
    pi, number = CategoricalDist(LOGITS), 100_000
    actions = np.stack([np.random.default_rng(i).choice(3, number, p=softmax(LOGITS)[i]) for i in range(2)], axis=1)
    logits = tf.Variable(LOGITS)
    log_proba = pi.log_proba(actions)
    values = np.take_along_axis(VALUES, actions.T, axis=1).T
    costs = ALPHA * log_proba - values
    error = np.std(np.mean(costs, axis=1)) / np.sqrt(number)
    np.testing.assert_allclose(discrete(LOGITS), losses.sac_actor(log_proba, values, ALPHA), atol=4.0 * error)
    with tf.GradientTape() as tape:  # the score estimate of the gradient
        estimate = losses.policy_gradient(CategoricalDist(logits).log_proba(actions), -costs)
    np.testing.assert_allclose(gradients(discrete, LOGITS)[0], tape.gradient(estimate, logits), atol=0.01)


def test_discrete_actor_ends_at_the_softmax_of_the_values():
    close(gradients(discrete, VALUES / ALPHA)[0], np.zeros((2, 3)))


@pytest.mark.parametrize("value", [0.0, 1e30, np.inf, np.nan])
def test_values_of_choices_ruled_out_do_not_count(value):
    mask, values = [[True, False, True]] * 2, VALUES.copy()
    values[:, 1] = value
    gradient = gradients(lambda logits: discrete(logits, values, mask), LOGITS)[0]
    close(discrete(LOGITS, values, mask), discrete(LOGITS[:, ::2], VALUES[:, ::2]))
    close(gradient[:, ::2], gradients(lambda logits: discrete(logits, VALUES[:, ::2]), LOGITS[:, ::2])[0])
    close(gradient[:, 1], np.zeros(2))


def test_temperature_by_hand():
    log_alpha, entropy = tf.Variable(0.5, dtype="float64"), tf.Variable([1.0, 4.0], dtype="float64")
    with tf.GradientTape() as tape:
        loss = losses.sac_temperature(log_alpha, entropy, target_entropy=2.0)
    close(loss, 0.5 * 0.5)
    of_log_alpha, of_entropy = tape.gradient(loss, [log_alpha, entropy])
    close(of_log_alpha, 0.5)
    assert of_entropy is None


@pytest.mark.parametrize("entropy, rises", [(1.0, True), (3.0, False)])
def test_temperature_rises_while_the_entropy_is_too_low(entropy, rises):
    log_alpha, optimizer = keras.Variable(0.0), keras.optimizers.SGD(0.1)
    with tf.GradientTape() as tape:
        loss = losses.sac_temperature(log_alpha.value, ops.full((4,), entropy), target_entropy=2.0)
    optimizer.apply(tape.gradient(loss, [log_alpha]), [log_alpha])
    assert (float(log_alpha) > 0.0) == rises


def test_a_temperature_that_is_no_scalar_is_an_error():
    with pytest.raises(ValueError, match=r"`log_alpha`.*Received: log_alpha of shape \(1,\)"):
        losses.sac_temperature(ops.zeros(1), ops.zeros(4), 1.0)


def test_discrete_shapes_that_differ_are_an_error():
    with pytest.raises(ValueError, match=r"`values`.*Received: .*\(4, 3\), values of shape \(4,\)"):
        losses.sac_actor_discrete(ops.zeros((4, 3)), ops.zeros(4), ALPHA)
