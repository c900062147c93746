import keras
import numpy as np
import pytest
import tensorflow as tf

import kgdists as kg
from kgdists.agents.acting import Actor, CompiledUpdate

OBSERVATIONS, KEY = np.ones((3, 2), "float32"), tf.constant([5, 7], "int64")


@pytest.mark.exhaustive
def test_an_actor_draws_by_its_key_and_with_the_weights_of_the_moment():
    policy = kg.Policy(keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)]), kg.layers.NormalHead(2))
    policy(OBSERVATIONS)
    actor = Actor(policy, OBSERVATIONS[:1], num_envs=3)
    before = policy(OBSERVATIONS).sample_action(seed=KEY)
    frozen = actor.frozen()
    for variable in policy.trainable_variables:
        variable.assign_add(tf.ones(variable.shape))
    after = policy(OBSERVATIONS).sample_action(seed=KEY)
    assert np.abs(before - after).min() > 0.1
    np.testing.assert_allclose(frozen(OBSERVATIONS, KEY), before, atol=1e-5)
    for act in (actor, actor.of_rollout(1), actor.of_rollout(1000)):
        np.testing.assert_allclose(act(OBSERVATIONS, KEY), after, atol=1e-5)


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
