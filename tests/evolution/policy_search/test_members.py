import keras
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, OneOf

import kgdists as kg
from kgdists.evolution.policy_search.members import Members

BOX = Box(-1.0, 2.0, (2,))
HEADS = {
    "categorical": lambda: kg.head_for(Discrete(3)),
    "multi categorical": lambda: kg.head_for(MultiDiscrete([2, 3])),
    "bernoulli": lambda: kg.head_for(MultiBinary(2)),
    "squashed": lambda: kg.head_for(BOX),
    "beta": lambda: kg.head_for(BOX, family="beta"),
    "clipped": lambda: kg.head_for(BOX, family="clipped"),
    "normal": lambda: kg.head_for(BOX, family="normal"),
    "state-dependent": lambda: kg.layers.StateDependentNormalHead(2),
    "composite": lambda: kg.head_for(Dict(a=Discrete(3), b=BOX)),
    "one of": lambda: kg.head_for(OneOf([Discrete(2), BOX])),
}


def members_of(head, *layers):
    policy = kg.Policy(keras.Sequential([keras.Input((3,)), *(layers or [keras.layers.Identity()])]), head)
    policy(np.ones((1, 3), "float32"))
    return Members(policy)


def population(members, num_rows=3):
    return members.weights() + np.random.default_rng(0).normal(size=(num_rows, members.length)).astype("float32")


@pytest.fixture(scope="module")
def observations():
    return np.random.default_rng(1).normal(size=(3, 2, 3)).astype("float32")


@pytest.mark.few(1)
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_each_member_is_the_policy_with_its_weights(head, observations):
    members = members_of(head(), keras.layers.Dense(4, "tanh"))
    rows = population(members)
    together = members.distribution(tf.constant(rows), tf.constant(observations))
    assert together.batch_shape == (3, 2)
    for i, row in enumerate(rows):
        members.assign(row)
        alone = members.policy(observations[i])
        for x, y in zip(keras.tree.flatten(together), keras.tree.flatten(alone), strict=True):
            np.testing.assert_allclose(x[i], y, rtol=1e-5, atol=1e-6)


def test_weights_come_back_as_they_were_assigned():
    members = members_of(kg.layers.CategoricalHead(2), keras.layers.Dense(4, "tanh"), keras.layers.Dense(2))
    (row,) = population(members, 1)
    members.assign(row)
    np.testing.assert_array_equal(members.weights(), row)
    assert members.length == 4 * 3 + 4 + 2 * 4 + 2 + 2 * 2 + 2


def test_the_most_probable_actions_are_those_of_the_distributions(observations):
    members = members_of(kg.layers.CategoricalHead(3))
    rows = population(members)
    act = members.actor(rows, observations, False)
    expected = members.distribution(tf.constant(rows), tf.constant(observations)).mode_action()
    np.testing.assert_array_equal(act(rows, observations, np.zeros(2, "int64")), expected)
    assert members.actor(rows, observations, False) is act  # compiled once


def test_drawn_actions_follow_the_key(observations):
    members = members_of(kg.layers.NormalHead(1))
    rows = population(members)
    act = members.actor(rows, observations, True)
    a, again, b = (act(rows, observations, np.array(key)).numpy() for key in ([0, 0], [0, 0], [0, 1]))
    np.testing.assert_array_equal(a, again)
    assert (a != b).all() and len(np.unique(a)) == a.size


@pytest.mark.exhaustive
def test_statistics_are_shared_and_stay_what_they_were(observations):
    normalization = kg.layers.RunningNormalization()
    members = members_of(kg.layers.CategoricalHead(2), normalization)
    rows = population(members)
    act = members.actor(rows, observations, True)
    before = members.distribution(tf.constant(rows), tf.constant(observations)).logits
    act(rows, observations, np.zeros(2, "int64"))
    assert normalization.count == 0
    normalization.update_moments(10, np.full(3, 2.0), np.ones(3))
    after = members.distribution(tf.constant(rows), tf.constant(observations + 2.0)).logits
    np.testing.assert_allclose(before, after, atol=1e-5)


def test_a_policy_without_weights_is_refused():
    with pytest.raises(ValueError, match="must have trainable weights"):
        Members(kg.Policy(keras.layers.Identity(), keras.layers.Identity()))
