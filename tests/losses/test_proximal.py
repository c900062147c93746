import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from kgdists import CategoricalDist, losses
from tests.losses import LOG, close, gradients, tensors


def test_ppo_clip_by_hand():
    ratios, advantages = LOG([1.5, 0.5, 1.1, 0.9]), [2.0, -2.0, 1.0, -1.0]
    expected = -(1.2 * 2.0 + 0.8 * -2.0 + 1.1 * 1.0 + 0.9 * -1.0) / 4.0
    close(losses.ppo_clip(*tensors(ratios, [0.0] * 4, advantages), clip_range=0.2), expected)


def test_ppo_clip_takes_the_ratio_to_the_old_probability():
    close(losses.ppo_clip(*tensors([LOG(0.33)], [LOG(0.3)], [1.0])), -1.1)


def test_ppo_clip_at_ratio_1_has_the_policy_gradient():
    log_proba, advantages = [-0.3, -1.2, -2.0], [1.0, -0.5, 2.0]
    ppo, _, _ = gradients(losses.ppo_clip, log_proba, log_proba, advantages)
    plain, _ = gradients(losses.policy_gradient, log_proba, advantages)
    close(ppo, plain)


@pytest.mark.parametrize(
    "ratio, advantage, expected",
    [
        (1.5, 2.0, 0.0),  # good, and far enough up
        (0.5, -2.0, 0.0),  # bad, and far enough down
        (0.5, 2.0, -1.0),  # good, but down: back up
        (1.5, -2.0, 3.0),  # bad, but up: back down
        (1.1, 2.0, -2.2),
        (0.9, -2.0, 1.8),
    ],
)
def test_ppo_clip_stops_the_gradient_on_the_right_side_only(ratio, advantage, expected):
    gradient, _, _ = gradients(losses.ppo_clip, [LOG(ratio)], [0.0], [advantage])
    close(gradient, [expected])


def test_ppo_clip_range_may_be_a_tensor():
    inputs = tensors(LOG([1.5, 0.5]), [0.0, 0.0], [2.0, -2.0])
    close(losses.ppo_clip(*inputs, clip_range=tf.constant(0.1, "float64")), losses.ppo_clip(*inputs, clip_range=0.1))


@pytest.mark.parametrize("advantage", [1.0, 0.0])
def test_ppo_clip_with_a_ratio_beyond_the_float_range_stays_finite(advantage):
    gradient, _, _ = gradients(losses.ppo_clip, [1e4, -1.0], [0.0, -1.0], [advantage, 1.0])
    close(gradient, [0.0, -0.5])


@pytest.mark.parametrize("wrong", ["old_log_proba", "advantages"])
def test_ppo_clip_broadcasts_nothing(wrong):
    inputs = {name: ops.zeros(4) for name in ("log_proba", "old_log_proba", "advantages")}
    inputs[wrong] = ops.zeros((4, 1))
    with pytest.raises(ValueError, match=rf"`{wrong}`.*Received: .*\(4,\), {wrong} of shape \(4, 1\)"):
        losses.ppo_clip(**inputs)


def test_kl_penalty_by_hand():
    inputs = tensors(LOG([1.5, 0.5]), [0.0, 0.0], [2.0, -2.0], [0.1, 0.3])
    close(losses.ppo_kl_penalty(*inputs, kl_coef=3.0), -(1.5 * 2.0 + 0.5 * -2.0) / 2.0 + 3.0 * 0.2)


def test_kl_penalty_gradient():
    log_proba, old, advantages, kl = gradients(
        losses.ppo_kl_penalty, LOG([1.5, 0.5]), [0.0, 0.0], [2.0, -2.0], [0.1, 0.3], kl_coef=3.0
    )
    close(log_proba, [-1.5, 0.5])
    close(kl, [1.5, 1.5])
    assert old is advantages is None


def test_kl_penalty_at_ratio_1_has_the_policy_gradient():
    old, actions, advantages = (
        CategoricalDist([[0.3, -0.2, 1.0]] * 2),
        np.array([0, 2]),
        np.array([1.5, -0.5], "float32"),
    )

    def penalised(logits):
        pi = CategoricalDist(logits)
        kl = old.kl_divergence(pi)
        return losses.ppo_kl_penalty(pi.log_proba(actions), old.log_proba(actions), advantages, kl, kl_coef=7.0)

    def plain(logits):
        return losses.policy_gradient(CategoricalDist(logits).log_proba(actions), advantages)

    logits = tf.Variable(old.logits)
    with tf.GradientTape(persistent=True) as tape:
        values = penalised(logits), plain(logits)
    np.testing.assert_allclose(*(tape.gradient(value, logits) for value in values), atol=1e-7)


def test_kl_penalty_pulls_back_to_the_old_policy():
    old = CategoricalDist([[0.3, -0.2, 1.0]])
    logits, no = tf.Variable([[1.0, 0.0, 0.0]]), ops.zeros((1,))
    with tf.GradientTape() as tape:
        loss = losses.ppo_kl_penalty(no, no, no, old.kl_divergence(CategoricalDist(logits)), kl_coef=2.0)
    gradient = tape.gradient(loss, logits)
    np.testing.assert_allclose(gradient, 2.0 * (ops.softmax(logits) - old.probs), rtol=1e-5)
