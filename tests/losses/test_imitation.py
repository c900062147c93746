import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from kgdists import CategoricalDist, CompositeDist, GaussianMixtureDist, NormalDist, losses

LOGITS, BEHAVIOUR = np.array([[0.5, -1.0, 2.0], [0.0, 0.0, 1.0]], "float32"), [[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]]


def of_probs(probs):
    with np.errstate(divide="ignore"):
        return CategoricalDist(np.log(probs).astype("float32"))


def test_by_hand():
    log_probs = LOGITS - np.log(np.sum(np.exp(LOGITS), axis=1, keepdims=True))
    expected = -np.sum(np.multiply(BEHAVIOUR, log_probs)) / 2.0
    loss = losses.cross_entropy(CategoricalDist(LOGITS), of_probs(BEHAVIOUR))
    np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_gradient_for_logits_is_the_difference_of_the_probabilities():
    logits, other = tf.Variable(LOGITS), tf.Variable([[0.2, 0.3, 0.5], [1.0, -2.0, 0.0]])
    with tf.GradientTape() as tape:
        loss = losses.cross_entropy(CategoricalDist(logits), CategoricalDist(other))
    gradient, of_behaviour = tape.gradient(loss, [logits, other])
    np.testing.assert_allclose(gradient, (ops.softmax(logits) - ops.softmax(other)) / 2.0, atol=1e-7)
    assert of_behaviour is None


def test_gradient_is_the_expected_score():
    # Of a normal with mean m and log-variance v: that of the mean is m - E[x], that of v (1 - E[(x - m)^2]) / 2.
    mean, logvar = tf.Variable([[1.0]]), tf.Variable([[0.0]])
    with tf.GradientTape() as tape:
        loss = losses.cross_entropy(NormalDist(mean, logvar), NormalDist([[3.0]], [[np.log(0.25)]]))
    gradients = [float(x[0, 0]) for x in tape.gradient(loss, [mean, logvar])]
    np.testing.assert_allclose(gradients, [1.0 - 3.0, 0.5 * (1.0 - (4.0 + 0.25))], rtol=1e-6)


def test_policy_gradient_with_advantages_of_1_estimates_it():
    pi, behaviour = CategoricalDist(LOGITS[:1]), of_probs(BEHAVIOUR[:1])
    actions = np.repeat([0, 1, 2], [200, 300, 500])
    log_proba = pi.log_proba(actions[:, None])[:, 0]
    estimate = losses.policy_gradient(log_proba, ops.ones_like(log_proba))
    np.testing.assert_allclose(losses.cross_entropy(pi, behaviour), estimate, rtol=1e-5)


def test_composites():
    pi = CompositeDist({"a": CategoricalDist(LOGITS), "b": NormalDist(ops.zeros((2, 1)), ops.zeros((2, 1)))})
    expected = ops.mean(pi.entropy())
    np.testing.assert_allclose(losses.cross_entropy(pi, pi), expected, rtol=1e-6)


@pytest.mark.exhaustive
def test_a_policy_learns_a_behaviour_it_never_acts():
    behaviour = of_probs(BEHAVIOUR[:1])
    logits, optimizer = keras.Variable([[0.0, 0.0, 0.0]]), keras.optimizers.SGD(1.0)
    for _ in range(100):
        with tf.GradientTape() as tape:
            loss = losses.cross_entropy(CategoricalDist(logits.value), behaviour)
        optimizer.apply(tape.gradient(loss, [logits]), [logits])
    np.testing.assert_allclose(ops.softmax(logits), BEHAVIOUR[:1], atol=1e-4)
    np.testing.assert_allclose(loss, ops.mean(behaviour.entropy()), rtol=1e-5)


def test_other_kinds_are_an_error():
    with pytest.raises(TypeError, match="Received:"):
        losses.cross_entropy(CategoricalDist(LOGITS), NormalDist(LOGITS, LOGITS))


def test_without_a_closed_form_the_estimator_is_named():
    mixture = GaussianMixtureDist(ops.zeros((1, 2)), ops.zeros((1, 2, 1)), ops.zeros((1, 2, 1)))
    with pytest.raises(NotImplementedError, match="divergences"):
        losses.cross_entropy(mixture, mixture)
