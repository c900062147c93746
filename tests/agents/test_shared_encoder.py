"""PPO's policy and values have one encoder of images, which computes its features once for both."""

import gymnasium
import keras
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

import kgdists as kg
from kgdists.agents import PPO
from kgdists.agents.shared_encoder import policy_and_values, shares_encoder
from kgdists.encoders import EncodedNetwork
from kgdists.layers import CategoricalHead
from tests.agents.helpers import Noise, small, weights

SETTINGS = {"num_envs": 2, "n_steps": 4, "batch_size": 4, "n_epochs": 1, "hidden_units": (4,), "seed": 0}


class Camera(gymnasium.Env):
    """Observes noise of 6 x 6 pixels, in episodes that are cut off after three steps."""

    observation_space = Box(0, 255, (6, 6, 1), "uint8")
    action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self._observation(), {}

    def step(self, action):
        self.count += 1
        return self._observation(), float(action), False, self.count == 3, {}

    def _observation(self):
        return self.np_random.integers(256, size=(6, 6, 1), dtype="uint8")


def calls_of(encoders, function):
    """How often some layers are called by a function."""
    calls = []
    for encoder in encoders:
        object.__setattr__(encoder, "call", lambda x, call=encoder.call: calls.append(x) or call(x))
    function()
    for encoder in encoders:
        object.__delattr__(encoder, "call")
    return len(calls)


def look(agent):
    images = np.zeros((3, 6, 6, 1), "uint8")
    policy_and_values(agent.policy, agent.value, keras.ops.convert_to_tensor(images))


def encoders_of(agent):
    return list({id(x): x for x in (agent.policy.trunk.encoder, agent.value.encoder)}.values())


def test_an_encoder_with_convolutions_is_shared(eagerly):
    agent = PPO(Camera, **SETTINGS)
    assert agent.policy.trunk.encoder is agent.value.encoder
    assert calls_of(encoders_of(agent), lambda: look(agent)) == 1
    apart = PPO(Camera, **SETTINGS, share_encoder=False)
    assert not shares_encoder(apart.policy, apart.value)
    assert calls_of(encoders_of(apart), lambda: look(apart)) == 2


def test_one_without_is_shared_where_it_is_asked_for(eagerly):
    agents = [PPO("FrozenLake-v1", **SETTINGS, share_encoder=share) for share in (None, True)]
    assert [shares_encoder(agent.policy, agent.value) for agent in agents] == [False, True]


@pytest.mark.parametrize("given", [{"share_encoder": True}, {"share_encoder": "yes"}])
def test_what_cannot_be_shared_is_refused(given, eagerly):
    with pytest.raises(ValueError, match="`share_encoder`"):
        small(Noise, **given)


def test_a_pair_of_ones_own_is_computed_once(eagerly):
    encoder = kg.encoder_for(Camera.observation_space)
    trunk, value = (EncodedNetwork(encoder, [keras.layers.Dense(n)], np.zeros((1, 6, 6, 1), "uint8")) for n in (2, 1))
    agent = PPO(Camera, policy=kg.Policy(trunk, CategoricalHead(2)), value=value, **SETTINGS)
    assert shares_encoder(agent.policy, agent.value)
    pi, values = policy_and_values(agent.policy, agent.value, np.ones((3, 6, 6, 1), "uint8"))
    images = np.ones((3, 6, 6, 1), "uint8")
    np.testing.assert_array_equal(pi.logits, agent.policy(images).logits)
    np.testing.assert_array_equal(values, agent.value(images)[:, 0])


def test_a_saved_pair_shares_its_encoder_again(eagerly, tmp_path):
    agent = PPO(Camera, **SETTINGS)
    agent.learn(8)
    agent.save(tmp_path / "run")
    loaded = PPO.load(tmp_path / "run", Camera)
    assert shares_encoder(loaded.policy, loaded.value) and len(loaded.variables) == len(agent.variables)
    assert calls_of(encoders_of(loaded), lambda: look(loaded)) == 1
    for each in (agent, loaded):
        each.learn(8)
    np.testing.assert_array_equal(weights(loaded), weights(agent))
