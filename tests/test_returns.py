import functools

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from kgdists.returns import discounted, gae, lambda_returns, n_step, vtrace
from tests.golden import TOLERANCE, assert_close, cases
from tests.marks import exhaustive

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


@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["eager", "xla"])
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


def ends_at(*places):
    return np.isin(np.arange(5), places)


SEQUENCE = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([10.0, 20.0, 30.0, 40.0, 50.0])
EVERY_END = ends_at(1), ends_at(3)
NO_END = ends_at(), ends_at()


@pytest.mark.parametrize(
    "ends, expected", [(NO_END, [5.125, 8.25, 12.5, 19.0, 30.0]), (EVERY_END, [2.0, 2.0, 15.0, 24.0, 30.0])]
)
def test_discounted_by_hand(ends, expected):
    assert_close(discounted(*SEQUENCE, *ends, gamma=0.5), expected, 1e-15)


def test_discounted_of_a_whole_episode_needs_no_values():
    rewards, _ = SEQUENCE
    totals = discounted(rewards, np.zeros(5), ends_at(4), ends_at(), gamma=1.0)
    assert_close(totals, np.cumsum(rewards[::-1])[::-1], 1e-15)


def test_lambda_returns_by_hand():
    # The first: 1 + 0.5 (0.5 * 10 + 0.5 * 2), of which the second terminates.
    assert_close(lambda_returns(*SEQUENCE, *EVERY_END, 0.5, 0.5), [4.0, 2.0, 16.5, 24.0, 30.0], 1e-15)


def test_lambda_returns_are_those_of_gae():
    rewards, values, next_values = random_inputs(9, 2)
    next_values[:-1] = values[1:]
    ends = np.random.default_rng(1).random((2, 9, 2)) < 0.3
    next_values[ends[1]] = 7.0
    _, expected = run(rewards, values, next_values, *ends)
    assert_close(lambda_returns(rewards, next_values, *ends, GAMMA, LAMBDA), expected, 1e-13)


@pytest.mark.parametrize(
    "n, ends, expected",
    [
        (1, NO_END, [6.0, 12.0, 18.0, 24.0, 30.0]),
        (2, NO_END, [1.0 + 1.0 + 5.0, 2.0 + 1.5 + 7.5, 3.0 + 2.0 + 10.0, 4.0 + 2.5 + 12.5, 30.0]),
        (2, EVERY_END, [2.0, 2.0, 15.0, 24.0, 30.0]),
        (5, NO_END, [5.125, 8.25, 12.5, 19.0, 30.0]),
        (100, EVERY_END, [2.0, 2.0, 15.0, 24.0, 30.0]),
    ],
)
def test_n_step_by_hand(n, ends, expected):
    assert_close(n_step(*SEQUENCE, *ends, gamma=0.5, n=n), expected, 1e-15)


def test_mixtures_of_many_steps_are_lambda_returns():
    rewards, _, next_values = random_inputs(9, 2)
    ends = np.random.default_rng(1).random((2, 9, 2)) < 0.2
    got = n_step(rewards, next_values, *ends, GAMMA, n=9, lambda_=0.7)
    assert_close(got, lambda_returns(rewards, next_values, *ends, GAMMA, 0.7), 1e-13)


def test_vtrace_by_hand():
    # Ratios 0.5 and 4, of which the second counts as 1 and, for what comes later, as 1: the last error is 2,
    # the one before 0.5 * 1 + 0.5 * 0.25 * 2.
    inputs = [ops.convert_to_tensor(x, "float64") for x in ([1.0, 2.0], [2.0, 4.0], [4.0, 8.0])]
    ratios = ops.convert_to_tensor(np.log([0.5, 4.0]))
    advantages, returns = vtrace(*inputs, [False] * 2, [False] * 2, ratios, GAMMA, LAMBDA)
    assert_close(advantages, [1.0 + 0.25 * 2.0, 2.0], 1e-15)
    assert_close(returns, [2.0 + 0.75, 4.0 + 2.0], 1e-15)


def test_vtrace_of_the_policys_own_steps_is_gae():
    inputs, ends = random_inputs(9, 2), np.random.default_rng(1).random((2, 9, 2)) < 0.3
    got = vtrace(*inputs, *ends, np.zeros((9, 2)), GAMMA, LAMBDA)
    for x, expected in zip(got, run(*inputs, *ends), strict=True):
        assert_close(x, expected, 1e-14)


def test_vtrace_of_actions_the_policy_never_takes_learns_nothing():
    inputs = random_inputs(4)
    advantages, returns = vtrace(*inputs, np.zeros(4), np.zeros(4), np.full(4, -np.inf), GAMMA)
    assert_close(returns, inputs[1], 1e-15)
    assert np.isfinite(advantages).all()


def test_vtrace_without_bounds_has_the_values_of_the_policy():
    # A bandit whose arms pay 0 and 1: drawn evenly, but taken with 0.2 and 0.8.
    rewards, no = np.array([[0.0, 1.0]]), np.zeros((1, 2), bool)
    log_ratios = np.log([[0.2 / 0.5, 0.8 / 0.5]])
    values = np.zeros((1, 2))
    for _ in range(50):
        _, returns = vtrace(rewards, values, values, ~no, no, log_ratios, 0.9, clip_rho=np.inf)
        values = values + 0.5 * np.mean(returns - values)
    assert_close(values, np.full((1, 2), 0.8), 1e-8)


def reference(kind):
    """Each case of a kind, in each dtype: its inputs, the ends that its discounts hold, and what is expected."""
    for dtype in ("float64", "float32"):
        for case in cases("gae", kind, dtype):
            inputs = case["inputs"]
            floats = {name: ops.convert_to_tensor(x, dtype) for name, x in inputs.items() if isinstance(x, list)}
            floats["gamma"], terminated = max(inputs["discounts"]), np.equal(inputs["discounts"], 0.0)
            yield case, inputs | floats, (terminated, np.zeros_like(terminated)), TOLERANCE[dtype]


def test_lambda_returns_golden():
    for case, inputs, ends, tolerance in reference("lambda_return"):
        got = lambda_returns(inputs["rewards"], inputs["next_values"], *ends, inputs["gamma"], inputs["lambda"])
        assert_close(got, case["expected"]["returns"], tolerance, case["scale"]["returns"], case["id"])


def test_n_step_golden():
    for case, inputs, ends, tolerance in reference("n_step"):
        factors = {"gamma": inputs["gamma"], "lambda_": inputs["lambda"]}
        got = n_step(inputs["rewards"], inputs["next_values"], *ends, n=inputs["n"], **factors)
        assert_close(got, case["expected"]["returns"], tolerance, case["scale"]["returns"], case["id"])


@pytest.mark.parametrize("jit_compile", [False, *exhaustive(True)], ids=["eager", "xla"])
def test_vtrace_golden(jit_compile):
    def answers():  # one function for all cases, so that XLA compiles only once
        return [_vtrace_answer(inputs, ends) for _, inputs, ends, _ in reference("vtrace")]

    got = tf.function(answers, jit_compile=True, autograph=False)() if jit_compile else answers()
    for answer, (case, _, _, tolerance) in zip(got, reference("vtrace"), strict=True):
        for name, want in case["expected"].items():
            assert_close(answer[name], want, tolerance, case["scale"][name], f"{case['id']}: {name}")


def _vtrace_answer(inputs, ends):
    values = inputs["values"]
    next_values = ops.append(values[1:], ops.reshape(ops.cast(inputs["last_value"], values.dtype), (1,)))
    factors = {"gamma": inputs["gamma"], "lambda_": inputs["lambda"], "clip_rho": inputs["clip_rho_threshold"]}
    advantages, returns = vtrace(inputs["rewards"], values, next_values, *ends, inputs["log_rhos"], **factors)
    weights = ops.minimum(inputs["rhos"], inputs["clip_pg_rho_threshold"])
    return {
        "targets": returns,
        "errors": returns - values,
        "q_estimates": advantages + values,
        "pg_advantages": weights * advantages,
    }


@pytest.mark.parametrize("name, bound", [("clip_rho", 0.0), ("clip_trace", -1.0), ("clip_rho", np.nan)])
def test_a_bound_of_ratios_that_is_not_positive_is_an_error(name, bound):
    with pytest.raises(ValueError, match=f"`{name}`.*Received: {name}={bound}"):
        vtrace(*random_inputs(3), np.zeros(3), np.zeros(3), np.zeros(3), GAMMA, **{name: bound})


@pytest.mark.parametrize("n", [0, 1.5, True])
def test_n_must_be_a_count(n):
    with pytest.raises(ValueError, match=f"`n` must be.*Received: n={n}"):
        n_step(*SEQUENCE, *NO_END, gamma=0.5, n=n)


@pytest.mark.parametrize(
    "call", [discounted, functools.partial(lambda_returns, lambda_=0.9), functools.partial(n_step, n=2)]
)
def test_returns_broadcast_nothing(call):
    rewards, values = SEQUENCE
    with pytest.raises(ValueError, match=r"`next_values`.*Received: .*\(5,\), next_values of shape \(5, 1\)"):
        call(rewards, values[:, None], *NO_END, gamma=0.5)
    with pytest.raises(ValueError, match="`gamma`.*Received: gamma=1.5"):
        call(rewards, values, *NO_END, gamma=1.5)


def test_vtrace_broadcasts_nothing():
    with pytest.raises(ValueError, match=r"`log_ratios`.*Received: .*\(3,\), log_ratios of shape \(3, 1\)"):
        vtrace(*random_inputs(3), np.zeros(3), np.zeros(3), np.zeros((3, 1)), GAMMA)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (4, 0), (0, 0, 2)])
def test_no_steps_and_no_environments_have_no_returns(shape):
    x, no = ops.zeros(shape), ops.zeros(shape, "bool")
    results = [
        discounted(x, x, no, no, 0.9),
        lambda_returns(x, x, no, no, 0.9, 0.5),
        n_step(x, x, no, no, 0.9, 3),
        *gae(x, x, x, no, no, 0.9, 0.5),
        *vtrace(x, x, x, no, no, x, 0.9),
    ]
    assert {tuple(result.shape) for result in results} == {shape}


# What does not count may be anything: the final observation of a terminated episode has no value to speak of.
ESTIMATORS = {
    "gae": lambda r, v, nv, d, u: gae(r, v, nv, d, u, 0.9, 0.8),
    "gae-0": lambda r, v, nv, d, u: gae(r, v, nv, d, u, 0.9, 0.0),
    "gae-1": lambda r, v, nv, d, u: gae(r, v, nv, d, u, 1.0, 1.0),
    "lambda": lambda r, v, nv, d, u: lambda_returns(r, nv, d, u, 0.9, 0.8),
    "lambda-0": lambda r, v, nv, d, u: lambda_returns(r, nv, d, u, 0.9, 0.0),
    "discounted": lambda r, v, nv, d, u: discounted(r, nv, d, u, 0.9),
    "n-step": lambda r, v, nv, d, u: n_step(r, nv, d, u, 0.9, 3),
    "n-step-lambda": lambda r, v, nv, d, u: n_step(r, nv, d, u, 0.9, 3, 0.5),
    "n-step-1": lambda r, v, nv, d, u: n_step(r, nv, d, u, 0.9, 1),
    "vtrace": lambda r, v, nv, d, u: vtrace(r, v, nv, d, u, 0.3 * v, 0.9, 0.8),
    "vtrace-unbounded": lambda r, v, nv, d, u: vtrace(r, v, nv, d, u, 0.3 * v, 0.9, 1.0, np.inf, np.inf),
}


@pytest.mark.few(8)
@pytest.mark.parametrize("worth", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_nothing_comes_of_the_value_behind_a_terminated_step(estimator, worth):
    rewards, values, next_values = (x.astype("float32") for x in random_inputs(6, 2))
    terminated, truncated = np.zeros((6, 2), bool), np.zeros((6, 2), bool)
    terminated[2, 0] = terminated[5, 1] = truncated[2, 0] = truncated[3, 1] = True
    results = []
    for behind in (0.0, worth):
        inputs = [tf.constant(x) for x in (rewards, values, np.where(terminated, np.float32(behind), next_values))]
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            found = ESTIMATORS[estimator](*inputs, terminated, truncated)
            total = sum(map(ops.sum, found)) if isinstance(found, tuple) else ops.sum(found)
        gradients = tape.gradient(total, inputs, unconnected_gradients="zero")
        results.append([np.asarray(x) for x in (found, *gradients)])
    for expected, result in zip(*results, strict=True):
        assert np.isfinite(result).all()
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_what_is_not_finite_stays_in_its_episode(estimator):
    rewards, values, next_values = random_inputs(6, 1)
    terminated, truncated = np.zeros((6, 1), bool), np.zeros((6, 1), bool)
    terminated[2], rewards[4] = True, np.nan
    found = ESTIMATORS[estimator](rewards, values, next_values, terminated, truncated)
    assert np.isfinite(np.asarray(found)[..., :3, :]).all()


def test_sums_need_no_values_but_those_of_truncated_steps_and_the_last():
    rewards, _, next_values = random_inputs(5, 1)
    no, truncated = np.zeros((5, 1), bool), np.zeros((5, 1), bool)
    truncated[1] = True
    unknown = np.where(np.arange(5)[:, None] % 3 == 1, next_values, np.nan)
    expected = discounted(rewards, next_values, no, truncated, 0.9)
    np.testing.assert_array_equal(discounted(rewards, unknown, no, truncated, 0.9), expected)
