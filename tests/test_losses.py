import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from kgdists import losses

LOG = np.log


def gradients(loss, *arrays, **options):
    """Gradients of `loss` for each of its tensor arguments; None where nothing flows."""
    variables = [tf.Variable(x, dtype="float64") for x in arrays]
    with tf.GradientTape() as tape:
        result = loss(*variables, **options)
    return tape.gradient(result, variables)


def tensors(*arrays):
    return [ops.convert_to_tensor(x, "float64") for x in arrays]


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)


CALLS = {
    "policy_gradient": (losses.policy_gradient, 2),
    "ppo_clip": (losses.ppo_clip, 3),
    "value": (losses.value, 2),
    "value_clip": (lambda *tensors: losses.value(*tensors, clip_range=0.2), 3),
    "entropy_bonus": (losses.entropy_bonus, 1),
}
each_loss = pytest.mark.parametrize("loss, number", CALLS.values(), ids=CALLS)


def test_policy_gradient_by_hand():
    close(losses.policy_gradient(*tensors([-1.0, -2.0, -3.0], [2.0, 1.0, -1.0])), (2.0 + 2.0 - 3.0) / 3.0)


def test_policy_gradient_goes_through_the_log_probabilities():
    gradient, _ = gradients(losses.policy_gradient, [-1.0, -2.0], [3.0, -4.0])
    close(gradient, [-1.5, 2.0])


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


def test_value_by_hand():
    close(losses.value(*tensors([1.0, 2.0], [0.0, 5.0])), (1.0 + 9.0) / 2.0)


def test_value_gradient():
    gradient, _ = gradients(losses.value, [1.0, 2.0], [0.0, 5.0])
    close(gradient, [1.0, -3.0])


@pytest.mark.parametrize(
    "value, target, expected",
    [
        (1.1, 2.0, 0.9**2),  # inside the clip: its own error
        (1.5, 2.0, 0.8**2),  # towards the target: the error at 1.2
        (0.5, 2.0, 1.5**2),  # away from the target: its own error
    ],
)
def test_value_clip_by_hand(value, target, expected):
    close(losses.value(*tensors([value], [target], [1.0]), clip_range=0.2), expected)


@pytest.mark.parametrize("value, expected", [(1.1, -1.8), (1.5, 0.0), (0.5, -3.0)])
def test_value_clip_stops_the_gradient_of_what_moved_far_enough(value, expected):
    gradient, _, _ = gradients(losses.value, [value], [2.0], [1.0], clip_range=0.2)
    close(gradient, [expected])


def test_value_clip_beyond_every_change_is_the_plain_loss():
    values, returns, old_values = tensors([1.0, -2.0], [0.5, 3.0], [0.0, 0.0])
    close(losses.value(values, returns, old_values, clip_range=10.0), losses.value(values, returns))


def test_entropy_bonus_by_hand():
    close(losses.entropy_bonus(*tensors([1.0, 2.0])), -1.5)


def test_entropy_bonus_gradient():
    close(gradients(losses.entropy_bonus, [1.0, 2.0])[0], [-0.5, -0.5])


@each_loss
def test_only_the_first_argument_gets_a_gradient(loss, number):
    first, *others = gradients(loss, *np.random.default_rng(0).normal(size=(number, 5)))
    assert np.any(first) and others == [None] * (number - 1)


@each_loss
def test_eager_is_xla(loss, number):
    inputs = tensors(*np.random.default_rng(0).normal(size=(number, 5)))
    close(tf.function(loss, jit_compile=True)(*inputs), loss(*inputs))


@each_loss
@pytest.mark.parametrize("shape", [(), (4,), (4, 3)])
def test_a_scalar_for_every_batch_shape(loss, number, shape):
    assert loss(*[ops.ones(shape)] * number).shape == ()


@pytest.mark.parametrize("wrong", ["old_log_proba", "advantages"])
def test_ppo_clip_broadcasts_nothing(wrong):
    inputs = {name: ops.zeros(4) for name in ("log_proba", "old_log_proba", "advantages")}
    inputs[wrong] = ops.zeros((4, 1))
    with pytest.raises(ValueError, match=rf"`{wrong}`.*Received: .*\(4,\), {wrong} of shape \(4, 1\)"):
        losses.ppo_clip(**inputs)


def test_policy_gradient_broadcasts_nothing():
    with pytest.raises(ValueError, match=r"`advantages`.*Received: .*\(4,\), advantages of shape \(4, 1\)"):
        losses.policy_gradient(ops.zeros(4), ops.zeros((4, 1)))


@pytest.mark.parametrize("wrong", ["returns", "old_values"])
def test_value_broadcasts_nothing(wrong):
    inputs = {name: ops.zeros((4, 1)) for name in ("values", "returns", "old_values")}
    inputs[wrong] = ops.zeros(4)
    with pytest.raises(ValueError, match=rf"`{wrong}`.*Received: .*\(4, 1\), {wrong} of shape \(4,\)"):
        losses.value(**inputs, clip_range=0.2)


def test_shapes_are_checked_in_a_graph_too():
    @tf.function
    def graph(log_proba, advantages):
        return losses.policy_gradient(log_proba, advantages)

    with pytest.raises(ValueError, match="Received:"):
        graph(ops.zeros(4), ops.zeros((4, 1)))


def test_dtypes_that_differ_are_an_error():
    with pytest.raises(ValueError, match="`advantages`.*Received: .*float32.*float64"):
        losses.policy_gradient(ops.zeros(4, "float32"), ops.zeros(4, "float64"))


@pytest.mark.parametrize("options", [{"old_values": np.zeros(4)}, {"clip_range": 0.2}])
def test_old_values_and_clip_range_go_together(options):
    with pytest.raises(ValueError, match="`old_values` and `clip_range`.*Received:"):
        losses.value(np.zeros(4), np.zeros(4), **options)
