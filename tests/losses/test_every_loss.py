import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from kgdists import losses
from tests.losses import close, gradients, tensors

# Name -> loss, how many tensors it takes, and which of them are trained.
CALLS = {
    "policy_gradient": (losses.policy_gradient, 2, {0}),
    "ppo_clip": (losses.ppo_clip, 3, {0}),
    "ppo_kl_penalty": (lambda *tensors: losses.ppo_kl_penalty(*tensors, kl_coef=0.5), 4, {0, 3}),
    "vtrace_policy_gradient": (losses.vtrace_policy_gradient, 3, {0}),
    "value": (losses.value, 2, {0}),
    "value_clip": (lambda *tensors: losses.value(*tensors, clip_range=0.2), 3, {0}),
    "entropy_bonus": (losses.entropy_bonus, 1, {0}),
    "sac_actor": (lambda *tensors: losses.sac_actor(*tensors, alpha=0.5), 2, {0, 1}),
    "sac_critic": (losses.sac_critic, 3, {0, 1}),
}
each_loss = pytest.mark.parametrize("loss, number, trained", CALLS.values(), ids=CALLS)


@each_loss
def test_only_what_is_trained_gets_a_gradient(loss, number, trained):
    found = gradients(loss, *np.random.default_rng(0).normal(size=(number, 5)))
    assert {i for i, gradient in enumerate(found) if gradient is not None and np.any(gradient)} == trained
    assert all(gradient is None for i, gradient in enumerate(found) if i not in trained)


def test_eager_is_xla():
    inputs = tensors(*np.random.default_rng(0).normal(size=(4, 5)))

    def all_losses(inputs):
        return [loss(*inputs[:number]) for loss, number, _ in CALLS.values()]

    for xla, eager in zip(tf.function(all_losses, jit_compile=True)(inputs), all_losses(inputs), strict=True):
        close(xla, eager)


@each_loss
@pytest.mark.parametrize("shape", [(), (4,), (4, 3)])
def test_a_scalar_for_every_batch_shape(loss, number, trained, shape):
    assert loss(*[ops.ones(shape)] * number).shape == ()


@each_loss
def test_nothing_is_broadcast(loss, number, trained):
    for wrong in range(1, number):
        inputs = [ops.zeros((4, 1) if i == wrong else (4,)) for i in range(number)]
        with pytest.raises(ValueError, match=r"must have the same shape.*Received: .*\(4,\), .* of shape \(4, 1\)"):
            loss(*inputs)


def test_shapes_are_checked_in_a_graph_too():
    @tf.function
    def graph(log_proba, advantages):
        return losses.policy_gradient(log_proba, advantages)

    with pytest.raises(ValueError, match="Received:"):
        graph(ops.zeros(4), ops.zeros((4, 1)))


def test_dtypes_that_differ_are_an_error():
    with pytest.raises(ValueError, match="`advantages`.*Received: .*float32.*float64"):
        losses.policy_gradient(ops.zeros(4, "float32"), ops.zeros(4, "float64"))


COEFFICIENTS = {
    "clip_ratio": lambda c: losses.vtrace_policy_gradient(*[ops.ones(4)] * 3, clip_ratio=c),
    "clip_range": lambda c: losses.ppo_clip(*[ops.ones(4)] * 3, clip_range=c),
    "clip_range_of_values": lambda c: losses.value(*[ops.ones(4)] * 3, clip_range=c),
    "kl_coef": lambda c: losses.ppo_kl_penalty(*[ops.ones(4)] * 4, kl_coef=c),
    "alpha": lambda c: losses.sac_actor(*[ops.ones(4)] * 2, alpha=c),
    "alpha_of_choices": lambda c: losses.sac_actor_discrete(*[ops.ones((4, 3))] * 2, alpha=c),
    "log_alpha": lambda c: losses.sac_temperature(c, ops.ones(4), 1.0),
    "target_entropy": lambda c: losses.sac_temperature(ops.zeros(()), ops.ones(4), c),
}


@pytest.mark.parametrize("name", COEFFICIENTS)
def test_a_coefficient_is_one_number(name):
    """A column of them, such as a schedule for each row, would be broadcast."""
    loss = COEFFICIENTS[name]
    for number in (0.5, 1, np.float32(0.5), np.array(0.5), ops.convert_to_tensor(0.5), tf.Variable(0.5)):
        assert loss(number).shape == ()
    for wrong in (ops.ones((4, 1)), ops.ones(4), ops.ones(1), [0.5], "0.5", None):
        if (name, wrong) != ("clip_range_of_values", None):
            with pytest.raises(ValueError, match="must be a number or a scalar tensor: nothing is broadcast. Received"):
                loss(wrong)


@pytest.mark.parametrize("wrong", [[1.0, 2.0], None, 1.0, "1"])
def test_losses_are_of_tensors(wrong):
    for name, (loss, number, _) in CALLS.items():
        if number > 1 and (name, wrong) != ("value_clip", None):
            with pytest.raises(ValueError, match="must be a tensor. Received: "):
                loss(ops.ones(2), *[wrong] * (number - 1))


def test_log_probabilities_of_a_last_dense_of_1_are_refused():
    """And those that broadcast to the same shape: a row, a scalar, one number, all pairs."""
    for shape in ((4, 1), (1, 4), (), (1,), (4, 4), (2,), (4, 1, 1)):
        for loss in (losses.policy_gradient, losses.value, lambda a, b: losses.sac_actor(a, b, alpha=0.1)):
            with pytest.raises(ValueError, match="must have the same shape: nothing is broadcast. Received: "):
                loss(ops.ones(shape), ops.ones(4))


@pytest.mark.few(3)
@each_loss
def test_no_rows_have_no_loss_and_no_gradient(loss, number, trained):
    none = [np.zeros((0,))] * number
    for compiled in (loss, tf.function(loss, input_signature=[tf.TensorSpec((None,), "float64")] * number)):
        assert float(compiled(*map(tf.constant, none))) == 0.0
    assert all(gradient is None or gradient.shape == (0,) for gradient in gradients(loss, *none))
