import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

import kgdists as kg
from kgdists.agents import A2C, PPO, REINFORCE, SAC
from kgdists.core.sharing import places, share, trainable
from kgdists.layers import CategoricalHead, RunningNormalization
from tests.agents.helpers import Noise, weights
from tests.agents.test_ppo import experience

eager = pytest.mark.usefixtures("eagerly")


def nested():
    trunk = keras.Sequential([keras.Input((2,)), layers.Dense(4, "tanh")])
    return trunk, keras.Sequential([keras.Input((2,)), trunk, layers.Dense(1)])


def one_layer():
    shared = layers.Dense(4, "tanh")
    return (keras.Sequential([keras.Input((2,)), shared, *more]) for more in ((), (layers.Dense(1),)))


def functional():
    x = keras.Input((2,))
    h = layers.Dense(4, "tanh")(x)
    return keras.Model(x, h), keras.Model(x, layers.Dense(1)(layers.Dense(3)(h)))


def two_inputs():
    shared, x, y = layers.Dense(4, "tanh"), keras.Input((2,)), keras.Input((2,))
    return keras.Model(x, shared(x)), keras.Model(y, layers.Dense(1)(shared(layers.Identity()(y))))


def normalized():
    trunk = keras.Sequential([keras.Input((2,)), RunningNormalization(), layers.Dense(4, "tanh")])
    return trunk, keras.Sequential([keras.Input((2,)), trunk, layers.Dense(1)])


def part_of_values():
    values = keras.Sequential([keras.Input((2,)), layers.Dense(4, "tanh"), layers.Dense(1)])
    return keras.Sequential([keras.Input((2,)), values.layers[0]]), values


def recurrent():
    trunk = keras.Sequential([keras.Input((2,)), layers.Reshape((2, 1)), layers.GRU(4), layers.LayerNormalization()])
    return trunk, keras.Sequential([keras.Input((2,)), trunk, layers.Dense(1)])


@keras.saving.register_keras_serializable("tests")
class Held(layers.Layer):
    """Has its weights in a list, a dict, and a list within a dict."""

    def build(self, shape):
        def weight(name):
            return self.add_weight((shape[-1], 4), "glorot_uniform", name=name)

        self.listed, self.named = [weight("a"), weight("b")], {"c": weight("c"), "more": [weight("d")]}

    def call(self, x):
        weights = (*self.listed, self.named["c"], *self.named["more"])
        return sum(keras.ops.matmul(x, weight) for weight in weights)


def held_in_lists():
    shared, x = Held(), keras.Input((2,))
    return keras.Model(x, shared(x)), keras.Model(x, layers.Dense(1)(shared(x)))


def nothing_shared():
    return (keras.Sequential([keras.Input((2,)), layers.Dense(n, "tanh")]) for n in (4, 1))


TOPOLOGIES = [
    nested,
    one_layer,
    functional,
    two_inputs,
    normalized,
    part_of_values,
    recurrent,
    held_in_lists,
    nothing_shared,
]
AGENTS = {
    PPO: {"n_steps": 8, "batch_size": 8, "n_epochs": 2},
    A2C: {"n_steps": 8, "epoch_steps": 16, "learning_rate": 0.01},
    REINFORCE: {"episodes": 4},
}


def made(cls, topology, **config):
    trunk, value = topology()
    policy = kg.Policy(trunk, CategoricalHead(2, random_seed=0))
    return cls(Noise, policy=policy, value=value, num_envs=2, seed=0, **AGENTS[cls], **config)


@eager
@pytest.mark.few(1)
@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("cls", AGENTS)
def test_a_shared_trunk_takes_one_step_and_stays_shared_in_a_file(cls, topology, tmp_path):
    agent = made(cls, topology)
    every = [*agent.policy.trainable_variables, *agent.value.trainable_variables]
    assert len(agent.variables) == len({id(x) for x in every}) == len({id(x) for x in agent.variables})
    agent.learn(16)
    agent.save(tmp_path)
    loaded = cls.load(tmp_path, Noise)
    assert len(loaded.variables) == len(agent.variables) and len(loaded.normalizations) == len(agent.normalizations)
    for each in (agent, loaded):
        each.rollouts.observations, each.rollouts.seed = None, 3  # environments of a function record nothing
        each.learn(32)
    np.testing.assert_array_equal(weights(loaded), weights(agent))
    x = np.float32([[0.3, -2.0]])
    np.testing.assert_array_equal(loaded.value(x), agent.value(x))
    np.testing.assert_array_equal(loaded.policy(x).logits, agent.policy(x).logits)


@eager
def test_weights_in_lists_and_dicts_are_shared_again_where_a_layer_reads_them(tmp_path):
    agent = made(PPO, held_in_lists)
    agent.save(tmp_path)
    loaded = PPO.load(tmp_path, Noise)
    one, other = (next(x for x in m._flatten_layers() if type(x) is Held) for m in (loaded.policy, loaded.value))
    assert one.listed[0] is other.listed[0] is other.trainable_variables[0]
    assert one.named["c"] is other.named["c"] and one.named["more"][0] is other.named["more"][0]


@pytest.mark.few(2)
@eager
@pytest.mark.parametrize("topology", [nested, functional, two_inputs])
def test_the_gradient_of_a_shared_weight_counts_once_in_the_norm(topology):
    agent = made(A2C, topology, max_grad_norm=None, vf_coef=0.7)
    agent.optimizer = keras.optimizers.SGD(1.0)
    agent.optimizer.build(agent.variables)
    before = [x.numpy() for x in agent.variables]
    logs = agent.update(*experience())
    steps = [x.numpy() - y for x, y in zip(agent.variables, before, strict=True)]
    norm = np.sqrt(sum(np.square(x).sum() for x in steps))
    np.testing.assert_allclose(logs["gradient_norm"], norm, rtol=1e-4)


@pytest.mark.exhaustive
@eager
def test_shared_statistics_count_each_observation_once():
    agent = made(PPO, normalized)
    agent.learn(16)
    assert [float(x.count) for x in agent.normalizations] == [16.0]


@pytest.mark.exhaustive
@eager
def test_sac_trains_what_policy_and_critics_share_once():
    trunk = keras.Sequential([keras.Input((2,)), layers.Dense(4, "tanh")])
    critic = keras.Sequential([keras.Input((2,)), trunk, layers.Dense(4), layers.Reshape((2, 2))])
    policy = kg.Policy(trunk, CategoricalHead(2))
    agent = SAC(Noise, policy=policy, critic=critic, learning_starts=8, batch_size=4, epoch_steps=16, seed=0)
    assert len(agent.variables) == 2 + 2 + 2 + 1
    agent.learn(16)
    assert np.isfinite(weights(agent)).all()


def test_models_that_share_nothing_need_no_places():
    assert places(list(nothing_shared())) is None


@pytest.mark.parametrize("found", [[0, 1, 2], [0, 1, 0, 1, 2], [0, 1, 1, 0], [0, 0, 2, 3]], ids=str)
def test_places_of_other_models_are_refused(found):
    with pytest.raises(ValueError, match="models that share variables must have those that were saved"):
        share(list(nothing_shared()), np.array(found))


def test_trainable_weights_are_listed_in_their_order():
    trunk, value = nested()
    assert [x.path for x in trainable(trunk, value)] == [x.path for x in value.trainable_variables]
    assert tf.is_tensor(tf.convert_to_tensor(trainable(trunk)[0]))
