import gymnasium
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import tree

import kgdists as kg
from kgdists.agents.acting import CompiledPolicy, RolloutActions
from kgdists.core.backend import read
from kgdists.core.compiled import CompiledUpdate
from kgdists.envs.array_observations import Encoding
from kgdists.envs.inputs import Inputs
from kgdists.envs.player import NotANumber, decider, make_player, predictor
from tests.marks import exhaustive

OBSERVATIONS, KEY = np.ones((3, 2), "float32"), tf.constant([5, 7], "int64")


@pytest.mark.parametrize("by", ["numpy", *exhaustive("xla")])
def test_an_actor_draws_by_its_key_and_with_the_weights_of_the_moment(by):
    policy = kg.Policy(keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)]), kg.layers.NormalHead(2))
    policy(OBSERVATIONS)
    actor = CompiledPolicy(policy, OBSERVATIONS[:1], num_envs=3)
    if by == "xla":
        actor._program = None
    before, (draw,) = policy(OBSERVATIONS).sample_action(seed=KEY), actor.draws(KEY.numpy()[None])
    kept = actor.acting()
    for variable in policy.trainable_variables:
        variable.assign_add(tf.ones(variable.shape))
    after = policy(OBSERVATIONS).sample_action(seed=KEY)
    assert np.abs(before - after).min() > 0.1
    np.testing.assert_allclose(kept(OBSERVATIONS, draw), before, atol=1e-5)
    for act in (actor.acting(1), actor.acting(1000), actor.acting(weights=list(map(read, policy.variables)))):
        np.testing.assert_allclose(act(OBSERVATIONS, draw), after, atol=1e-5)


def test_a_compiled_update_takes_nested_arrays_and_names_its_results():
    total = tf.Variable(0.0)

    def update(x, nested):
        total.assign_add(tf.reduce_sum(x))
        return {"total": tf.identity(total), "first": nested["b"][0], "a": nested["a"][0]}

    compiled, nested = CompiledUpdate(update), {"b": np.float32([2.0]), "a": np.float32([3.0])}
    expected = [{"total": total, "first": 2.0, "a": 3.0} for total in (6.0, 12.0)]
    got = [compiled(np.arange(4.0, dtype="float32"), nested) for _ in range(2)]
    assert got == expected and [list(x) for x in got] == [list(x) for x in expected]
    assert compiled.num_traces == 1
    assert compiled(np.arange(3.0, dtype="float32"), nested)["total"] == 15.0
    assert compiled.num_traces == 2


HEADS = {
    "choice": lambda: kg.layers.CategoricalHead(3),
    "choices": lambda: kg.layers.MultiCategoricalHead([3, 2]),
    "flags": lambda: kg.layers.BernoulliHead(2),
    "normal": lambda: kg.layers.NormalHead(2),
    "squashed": lambda: kg.layers.SquashedNormalHead(2),
    "clipped": lambda: kg.layers.ClippedNormalHead(2),
    "beta": lambda: kg.layers.BetaHead(2),
    "cells": lambda: kg.layers.DiscretizedLogisticHead(2, 0, 99),
}


@pytest.mark.few(1)
@pytest.mark.parametrize("row", [None, 2])
@pytest.mark.parametrize("head", HEADS)
def test_no_action_of_nan_reaches_an_environment(head, row):
    policy = kg.Policy(keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)]), HEADS[head]())
    policy(OBSERVATIONS)
    actor, key = CompiledPolicy(policy, OBSERVATIONS[:1], num_envs=3), np.array([5, 7])
    deciders = [decider(policy, deterministic) for deterministic in (True, False)]
    deciders += [decider(policy, True, OBSERVATIONS[:1])]
    (draw,) = actor.draws(key[None])
    assert len(actor.acting()(OBSERVATIONS, draw)) == 3
    observations = OBSERVATIONS.copy()
    if row is None:
        policy.trainable_variables[0].assign(tf.fill((2, 4), np.nan))
    else:
        observations[row] = np.nan
    for n_steps in (1, None):
        with pytest.raises(NotANumber, match="A policy must act by numbers.* Received: a distribution whose"):
            actor.acting(n_steps)(observations, draw)
    for decide in deciders:
        with pytest.raises(NotANumber):
            decide(observations)
    with pytest.raises(NotANumber):
        make_player(policy)()(observations)
    if row is None and head.startswith("choice"):  # one weight too large, and no choice is left
        policy.trainable_variables[0].assign(tf.fill((2, 4), 1e30))
        policy.head.logits.kernel.assign(tf.fill(policy.head.logits.kernel.shape, -1e30))
        for decide in deciders:
            with pytest.raises(NotANumber):
                decide(OBSERVATIONS)
        observations = OBSERVATIONS
    started = {"first": tree.map_structure(tf.convert_to_tensor, actor.first(observations, KEY))}
    with pytest.raises(NotANumber):
        RolloutActions(actor, key[None], **started)(observations)


def test_an_observation_that_is_no_number_is_not_said_to_be_the_policy_s_fault():
    policy = kg.Policy(keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)]), kg.layers.CategoricalHead(3))
    space, actions = gymnasium.spaces.Box(-np.inf, np.inf, (2,)), gymnasium.spaces.Discrete(3)
    inputs = Inputs(OBSERVATIONS[:1], space, actions, Encoding())
    predict = predictor(policy, actions, inputs, OBSERVATIONS[:1])
    assert predict(OBSERVATIONS[0], True) in range(3)
    for observations in ([0.0, np.nan], [[0.0, 1.0], [np.nan, 0.0]]):
        with pytest.raises(ValueError, match="`observations` must be finite.* Received: "):
            predict(np.array(observations), True)
    policy.trainable_variables[0].assign(tf.fill((2, 4), np.nan))
    with pytest.raises(NotANumber):
        predict(OBSERVATIONS[0], True)


@pytest.mark.parametrize(
    "head", ["normal", *exhaustive("choice", "choices", "flags", "squashed", "clipped", "beta", "cells")]
)
def test_one_program_decides_for_any_batch(head):
    policy = kg.Policy(keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)]), HEADS[head]())
    policy(OBSERVATIONS)
    traces, call = [], policy.call
    policy.call = lambda *inputs, **options: (traces.append(0), call(*inputs, **options))[1]
    decide = decider(policy, True, OBSERVATIONS[:1])
    for size in (0, 1, 2, 3, 7, 32, 33, 100, 1000, 4097):
        x = np.random.default_rng(0).normal(size=(size, 2)).astype("float32")
        expected = policy.head(policy.trunk(x)).mode_action()
        np.testing.assert_allclose(decide(tf.constant(x)), expected, rtol=1e-5, atol=1e-6)
    assert len(traces) == 1
