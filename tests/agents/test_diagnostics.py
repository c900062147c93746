"""Diagnostics against numbers worked out by hand."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.spaces import Box, Dict, Discrete, OneOf, Tuple
from keras import ops

import kgdists as kg
from kgdists.agents import diagnostics
from tests.agents.helpers import Bandit, small

LOG2 = math.log(2.0)


def coin(p=0.5):
    return kg.BernoulliDist(ops.array([[math.log(p / (1 - p))]]))


def fair(n):
    return kg.CategoricalDist(ops.zeros((1, n)))


def numbers(logs):
    return {name: np.asarray(x).item() for name, x in logs.items()}


# Entropies


def test_a_policy_of_one_part_has_one_entropy():
    assert numbers(diagnostics.entropies(fair(4))) == {"entropy": pytest.approx(2 * LOG2)}


def test_the_entropy_of_a_composite_is_the_sum_of_its_branches():
    pi = kg.CompositeDist({"b": (fair(2), fair(8)), "a": coin()})
    assert numbers(diagnostics.entropies(pi)) == {
        "entropy": pytest.approx(5 * LOG2),
        "entropy_a": pytest.approx(LOG2),
        "entropy_b/0": pytest.approx(LOG2),
        "entropy_b/1": pytest.approx(3 * LOG2),
    }


def test_of_one_of_several_the_values_count_as_often_as_they_are_chosen():
    choice = kg.CategoricalDist(ops.log(ops.array([[0.25, 0.75]])))
    logs = numbers(diagnostics.entropies(kg.OneOfDist((choice, (fair(2), fair(8))))))
    of_choice = 0.25 * math.log(4.0) + 0.75 * math.log(4.0 / 3.0)
    assert logs["entropy_0"] == pytest.approx(of_choice)
    assert (logs["entropy_1/0"], logs["entropy_1/1"]) == (pytest.approx(LOG2), pytest.approx(3 * LOG2))
    assert logs["entropy"] == pytest.approx(of_choice + 0.25 * LOG2 + 0.75 * 3 * LOG2)


def test_what_has_no_closed_form_is_estimated_by_a_draw_of_the_seed():
    pi = kg.CompositeDist(
        {
            "box": kg.SquashedNormalDist(ops.zeros((500, 1)), ops.zeros((500, 1))),
            "dice": kg.CategoricalDist(ops.zeros((500, 6))),
        }
    )
    logs = diagnostics.entropies(pi, seed=3)
    exact = 0.5 * math.log(2 * math.pi * math.e) + expected_log_slope()
    assert logs["entropy_box"].shape == (500,)
    draws = np.asarray(logs["entropy_box"])
    assert abs(draws.mean() - exact) < 4 * draws.std() / math.sqrt(500)
    np.testing.assert_array_equal(diagnostics.entropies(pi, seed=3)["entropy"], logs["entropy"])
    np.testing.assert_allclose(logs["entropy"], logs["entropy_box"] + logs["entropy_dice"], rtol=1e-6)


def expected_log_slope():
    """The mean of log(1 - tanh(u)^2) for a standard normal u."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    return (weights * np.log(1.0 - np.tanh(nodes) ** 2)).sum() / weights.sum()


# Saturation


def share(space, actions):
    actions = keras.tree.map_structure(ops.convert_to_tensor, encode(actions))
    return np.asarray(diagnostics.saturation(space, actions)["saturation"]).item()


def encode(actions):
    """Lists, which are rows here, as arrays."""
    if isinstance(actions, dict):
        return {key: encode(x) for key, x in actions.items()}
    return tuple(map(encode, actions)) if isinstance(actions, tuple) else np.asarray(actions)


@pytest.mark.parametrize(
    ("space", "actions", "expected"),
    [
        (Box(-1.0, 1.0, (2,)), [[0.0, 0.0]], 0.0),
        (Box(-1.0, 1.0, (2,)), [[-1.0, 1.0]], 1.0),
        (Box(-1.0, 1.0, (2,)), [[0.981, 0.979], [-0.981, -0.979]], 0.5),  # the width is 2, one hundredth of it 0.02
        (Box(-1.0, 1.0, (1,)), [[-5.0], [0.0], [7.0], [0.5]], 0.5),
        (Box(np.array([0.0, -10.0], "float32"), np.array([100.0, 10.0], "float32")), [[0.9, 0.9]], 0.5),
        (Box(0.0, np.inf, (1,)), [[0.0], [-1.0], [1e-9], [1e9]], 0.5),
        (
            Box(np.array([-1.0, -np.inf, 3.0], "float32"), np.array([1.0, np.inf, 3.0], "float32")),
            [[1.0, 9.0, 3.0]],
            1.0,
        ),
        (Box(-3e38, 3e38, (1,)), [[0.0], [2.99e38]], 0.5),
        (Dict(a=Box(-1.0, 1.0, (3,)), b=Discrete(2)), {"a": [[1.0, 0.0, 0.0]], "b": [1]}, 1 / 3),
        (Tuple((Box(-1.0, 1.0, (3,)), Box(0.0, 1.0, (1,)))), ([[1.0, 0.0, 0.0]], [[1.0]]), 0.5),
    ],
)
def test_the_share_of_saturated_coordinates(space, actions, expected):
    assert share(space, actions) == pytest.approx(expected)


def test_values_of_branches_not_chosen_do_not_count():
    space = OneOf((Box(0.0, 1.0, (2,)), Discrete(3), Box(0.0, 1.0, (1,))))
    rows = np.array([[0.0, 0.5], [0.0, 0.0], [0.0, 0.0]], "float32")
    actions = (np.array([0, 1, 2]), (rows, np.array([0, 2, 0]), np.array([[0.0], [0.0], [0.5]], "float32")))
    assert share(space, actions) == pytest.approx(1 / 3)  # one of the two of row 0, none of row 2


def test_branches_may_be_nested():
    space = OneOf((Tuple((Box(0.0, 1.0, (1,)), Discrete(3))), Box(0.0, 1.0, (2,))))
    actions = ([0, 1], (([[1.0], [0.0]], [0, 0]), [[0.0, 0.0], [0.0, 0.5]]))
    assert share(space, actions) == pytest.approx(2 / 3)


def test_without_a_chosen_box_nothing_is_saturated():
    space = OneOf((Box(0.0, 1.0, (2,)), Discrete(3)))
    assert share(space, (np.array([1]), (np.zeros((1, 2), "float32"), np.array([0])))) == 0.0


@pytest.mark.parametrize(
    "space", [Discrete(3), Box(-np.inf, np.inf, (2,)), Box(0, 200, (2,), "int32"), Box(1.0, 1.0, (1,))], ids=str
)
def test_what_has_no_bounds_has_no_saturation(space):
    assert diagnostics.saturation(space, ops.zeros((3, 2))) == {}


# The others


@pytest.mark.parametrize(
    ("values", "returns", "expected"),
    [
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], 1.0),
        ([3.0, 4.0, 5.0], [1.0, 2.0, 3.0], 1.0),  # an offset is no variance
        ([2.0, 2.0, 2.0], [1.0, 2.0, 3.0], 0.0),
        ([3.0, 2.0, 1.0], [1.0, 2.0, 3.0], -3.0),
        ([0.0, 1.0, 2.0], [5.0, 5.0, 5.0], math.nan),
        ([0.0, 0.0], [5.0, 5.0], math.nan),
    ],
)
def test_explained_variance(values, returns, expected):
    result = diagnostics.explained_variance(ops.array(values), ops.array(returns))
    assert np.asarray(result).item() == pytest.approx(expected, nan_ok=True)


def test_the_kl_estimate_of_ratios_of_a_half_and_two():
    log_ratio = ops.log(ops.array([0.5, 2.0]))
    expected = ((0.5 - 1 + LOG2) + (2.0 - 1 - LOG2)) / 2
    assert np.asarray(diagnostics.approximate_kl(log_ratio)).item() == pytest.approx(expected)


def test_the_kl_estimate_keeps_its_digits_near_zero():
    result = np.asarray(diagnostics.approximate_kl(ops.array([1e-3, -1e-3]))).item()
    assert result == pytest.approx(5e-7, rel=1e-4) and np.asarray(diagnostics.approximate_kl(ops.zeros(3))).item() == 0


def test_the_share_of_clipped_ratios():
    ratios = ops.array([0.7, 0.81, 1.0, 1.19, 1.3])
    assert np.asarray(diagnostics.clip_fraction(ops.log(ratios), 0.2)).item() == pytest.approx(0.4)


def test_the_norm_of_gradients_is_that_of_all_as_one_vector():
    slices = tf.IndexedSlices(tf.constant([[3.0], [1.0]]), tf.constant([1, 1]), tf.constant([4, 1]))  # a row twice: 4
    assert np.asarray(diagnostics.gradient_norm([tf.constant([[2.0, 2.0]]), None, slices])).item() == pytest.approx(
        math.sqrt(24.0)
    )


def test_adam_remembers_the_norm_of_its_gradients():
    variables = [keras.Variable([1.0, 2.0]), keras.Variable(3.0)]
    optimizer = keras.optimizers.Adam(0.1)
    for _ in range(3):
        optimizer.apply([ops.array([2.0, 4.0]), ops.array(4.0)], variables)
    assert diagnostics.adam_gradient_norm(optimizer) == pytest.approx(6.0, rel=1e-4)


@pytest.mark.exhaustive
def test_all_of_them_compile():
    space = Dict(a=Box(-1.0, 1.0, (2,)), b=Discrete(3))

    @tf.function(jit_compile=True, autograph=False)
    def update(features, log_ratio):
        pi = kg.CompositeDist(
            {"a": kg.SquashedNormalDist(features, features), "b": kg.CategoricalDist(features[:, :1])}
        )
        logs = {name: tf.reduce_mean(x) for name, x in diagnostics.entropies(pi, seed=0).items()}
        logs |= diagnostics.saturation(space, pi.sample_action(seed=1))
        logs["kl"] = diagnostics.approximate_kl(log_ratio)
        logs["clip_fraction"] = diagnostics.clip_fraction(log_ratio, tf.constant(0.2))
        logs["explained_variance"] = diagnostics.explained_variance(log_ratio, log_ratio + features[:, 0])
        return logs | {"gradient_norm": diagnostics.gradient_norm([features])}

    logs = update(tf.zeros((4, 2)), tf.zeros(4))
    assert sorted(logs) == sorted(
        [
            "clip_fraction",
            "entropy",
            "entropy_a",
            "entropy_b",
            "explained_variance",
            "gradient_norm",
            "kl",
            "saturation",
        ]
    )


@pytest.mark.exhaustive
def test_an_agent_reports_what_its_action_space_has(eagerly):
    space = Dict(near=Discrete(4), far=Box(-1.0, 1.0, (2,)))
    logs = small(lambda: Bandit(space), max_grad_norm=1e-9).learn(16).history
    assert logs["entropy"][0] == pytest.approx(logs["entropy_far"][0] + logs["entropy_near"][0], rel=1e-5)
    assert logs["entropy_near"][0] <= math.log(4.0) and 0.0 <= logs["saturation"][0] <= 1.0
    assert logs["gradient_norm"][0] > 0.01  # before it was clipped
