import functools

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from kgdists.returns import gae
from tests.golden import TOLERANCE, assert_close, cases

GAMMA, LAMBDA = 0.5, 0.5


def run(rewards, values, next_values, terminated=None, truncated=None, gamma=GAMMA, gae_lambda=LAMBDA, dtype="float64"):
    rewards, values, next_values = (ops.convert_to_tensor(x, dtype) for x in (rewards, values, next_values))
    no = ops.zeros(rewards.shape, "bool")
    terminated, truncated = (no if x is None else ops.convert_to_tensor(x, "bool") for x in (terminated, truncated))
    return gae(rewards, values, next_values, terminated, truncated, gamma, gae_lambda)


def random_inputs(*shape):
    rng = np.random.default_rng(0)
    return tuple(rng.normal(size=shape) for _ in range(3))


GOLDEN = [
    pytest.param(case, dtype, id=f"{case['id']}-{dtype}")
    for dtype in ("float64", "float32")
    for case in cases("gae", "gae", dtype)
]


@pytest.mark.parametrize("jit_compile", [False, True], ids=["eager", "xla"])
@pytest.mark.parametrize("case, dtype", GOLDEN)
def test_golden(case, dtype, jit_compile):
    inputs, expected = case["inputs"], case["expected"]
    floats = [ops.convert_to_tensor(inputs[name], dtype) for name in ("rewards", "values", "next_values")]
    ends = [ops.convert_to_tensor(inputs[name], "bool") for name in ("terminated", "truncated")]
    call = functools.partial(gae, gamma=inputs["gamma"], gae_lambda=inputs["lambda"])
    advantages, returns = (tf.function(call, jit_compile=True) if jit_compile else call)(*floats, *ends)
    assert advantages.dtype == returns.dtype == dtype
    assert_close(advantages, expected["advantages"], TOLERANCE[dtype], case["scale"]["advantages"])
    assert_close(returns, expected["returns"], TOLERANCE[dtype], case["scale"]["returns"])


def test_recursion_by_hand():
    # The one-step errors are 1 + 4/2 - 2 = 1 and 2 + 8/2 - 4 = 2.
    advantages, returns = run([1.0, 2.0], [2.0, 4.0], [4.0, 8.0])
    assert_close(advantages, [1.0 + 0.25 * 2.0, 2.0], 1e-15)
    assert_close(returns, [3.5, 6.0], 1e-15)


def test_termination_stops_the_bootstrap_and_the_recursion():
    advantages, _ = run([1.0, 2.0], [2.0, 4.0], [4.0, 8.0], terminated=[True, False])
    assert_close(advantages, [1.0 - 2.0, 2.0], 1e-15)


def test_truncation_bootstraps_from_the_final_observation_and_stops_the_recursion():
    advantages, _ = run([1.0, 2.0], [2.0, 4.0], [6.0, 8.0], truncated=[True, False])
    assert_close(advantages, [1.0 + 0.5 * 6.0 - 2.0, 2.0], 1e-15)


def test_both_ends_at_once_count_as_termination():
    inputs, end = random_inputs(5, 2), np.eye(5, 2, dtype=bool)
    both, terminated = run(*inputs, terminated=end, truncated=end), run(*inputs, terminated=end)
    np.testing.assert_array_equal(both, terminated)


def test_lambda_0_gives_one_step_errors():
    rewards, values, next_values = random_inputs(6, 3)
    advantages, _ = run(rewards, values, next_values, gae_lambda=0.0)
    assert_close(advantages, rewards + GAMMA * next_values - values, 1e-15)


def test_lambda_1_gives_discounted_rewards_and_a_bootstrap_at_the_end():
    rewards, values, _ = random_inputs(6, 3)
    next_values = np.concatenate([values[1:], np.full((1, 3), 7.0)])
    _, returns = run(rewards, values, next_values, gae_lambda=1.0)
    discounts = GAMMA ** np.arange(6)[:, None]
    assert_close(returns[0], np.sum(discounts * rewards, axis=0) + GAMMA**6 * 7.0, 1e-14)


def test_gamma_0_gives_rewards_less_values():
    rewards, values, next_values = random_inputs(6, 3)
    advantages, returns = run(rewards, values, next_values, gamma=0.0)
    assert_close(advantages, rewards - values, 1e-15)
    assert_close(returns, rewards, 1e-15)


@pytest.mark.parametrize("shape", [(1,), (5,), (5, 3), (5, 2, 3)])
def test_every_batch_shape(shape):
    advantages, returns = run(*random_inputs(*shape))
    assert tuple(advantages.shape) == tuple(returns.shape) == shape


def test_columns_are_independent():
    inputs, ends = random_inputs(7, 4), np.random.default_rng(1).random((7, 4)) < 0.3
    together, _ = run(*inputs, terminated=ends)
    for i in range(4):
        alone, _ = run(*(x[:, i] for x in inputs), terminated=ends[:, i])
        assert_close(alone, together[:, i], 1e-15)


def test_gradient_for_values_is_minus_one_at_their_own_step():
    rewards, values, next_values = (tf.Variable(x) for x in random_inputs(4))
    with tf.GradientTape() as tape:
        last = run(rewards, values, next_values)[0][3]
    assert_close(tape.gradient(last, values), [0.0, 0.0, 0.0, -1.0], 1e-15)


def test_gradients_are_finite_with_ends_of_both_kinds():
    variables = [tf.Variable(x) for x in random_inputs(5, 2)]
    with tf.GradientTape() as tape:
        advantages, _ = run(*variables, terminated=np.eye(5, 2), truncated=np.eye(5, 2, k=1))
    assert all(np.isfinite(gradient).all() for gradient in tape.gradient(advantages, variables))


def test_takes_arrays():
    no = np.zeros(3, bool)
    advantages, _ = gae(*(x.astype("float32") for x in random_inputs(3)), no, no, 0.9, 0.9)
    assert advantages.dtype == "float32"


@pytest.mark.parametrize("wrong", ["values", "next_values", "terminated", "truncated"])
def test_shapes_that_differ_are_an_error(wrong):
    names = ("rewards", "values", "next_values", "terminated", "truncated")
    inputs = {name: ops.zeros((3, 1), "bool" if name in names[3:] else "float32") for name in names}
    inputs[wrong] = inputs[wrong][:, 0]
    with pytest.raises(ValueError, match=rf"`{wrong}`.*Received: .*\(3, 1\), {wrong} of shape \(3,\)"):
        gae(**inputs, gamma=0.9, gae_lambda=0.9)


def test_dtypes_that_differ_are_an_error():
    x, no = ops.zeros((3,), "float32"), ops.zeros((3,), "bool")
    with pytest.raises(ValueError, match="`values`.*Received: .*float32.*float64"):
        gae(x, ops.cast(x, "float64"), x, no, no, 0.9, 0.9)


@pytest.mark.parametrize("factor", [-0.1, 1.1, float("nan")])
@pytest.mark.parametrize("name", ["gamma", "gae_lambda"])
def test_a_factor_outside_0_to_1_is_an_error(name, factor):
    with pytest.raises(ValueError, match=f"`{name}`.*Received: {name}={factor}"):
        run(*random_inputs(3), **{name: factor})
