"""Agents with convolutional networks train at the speed of TensorFlow's kernels."""

import gymnasium
import keras
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from keras import layers

import kgdists as kg
from kgdists.agents import A2C, PPO, REINFORCE, SAC
from kgdists.core import compiled
from kgdists.layers import CategoricalHead
from tests.agents.helpers import weights
from tests.marks import exhaustive

SHAPE = (4, 4, 2)


class Grid(gymnasium.Env):
    """Observes noise on a small grid, in episodes of four steps, and rewards action 1."""

    observation_space = Box(-1.0, 1.0, SHAPE, "float32")
    action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return self._observation(), {}

    def step(self, action):
        self.count += 1
        return self._observation(), float(action == 1), self.count == 4, False, {}

    def _observation(self):
        return self.np_random.uniform(-1.0, 1.0, SHAPE).astype("float32")


def network(kind, outputs, seed):
    glorot = keras.initializers.GlorotUniform
    features = layers.Conv2D(2, 2, activation="relu", kernel_initializer=glorot(seed))
    hidden = [features] if kind == "convolution" else []
    last = layers.Dense(outputs, kernel_initializer=glorot(seed + 1))
    return keras.Sequential([keras.Input(SHAPE), *hidden, layers.Flatten(), last])


def agent_of(cls, kind):
    settings = {"num_envs": 2, "seed": 0}
    settings |= {
        PPO: {"n_steps": 4, "batch_size": 4, "n_epochs": 2},
        A2C: {"n_steps": 4, "epoch_steps": 8},
        REINFORCE: {"episodes": 2},
        SAC: {"learning_starts": 4, "batch_size": 4, "epoch_steps": 8, "buffer_size": 100, "jit_compile": True},
    }[cls]
    value = {"critic": Twin(kind)} if cls is SAC else {"value": network(kind, 1, 5)}
    return cls(Grid, policy=kg.Policy(network(kind, 4, 3), CategoricalHead(2, random_seed=0)), **value, **settings)


class Twin(keras.Model):
    """Two critics of choices."""

    def __init__(self, kind):
        super().__init__()
        self.features = network(kind, 4, 5)

    def call(self, x):
        return keras.ops.reshape(self.features(x), (-1, 2, 2))


def updates_of(agent):
    """The update that the agent's training has compiled."""
    compiled_updates = (getattr(agent, name, None) for name in ("_compiled_update", "_compiled_turn"))
    return next(x for x in compiled_updates if x is not None and x.num_traces)


@pytest.mark.parametrize("cls", [PPO, *exhaustive(A2C, REINFORCE, SAC)])
def test_an_update_with_convolutions_is_not_left_to_xla(cls):
    agent = agent_of(cls, "convolution")
    agent.learn(8)
    assert not updates_of(agent).is_by_xla


@pytest.mark.exhaustive
@pytest.mark.parametrize("cls", [PPO, A2C, REINFORCE, SAC])
def test_an_update_of_dense_networks_is_compiled_by_xla(cls):
    agent = agent_of(cls, "dense")
    agent.learn(8)
    assert updates_of(agent).is_by_xla


@pytest.mark.exhaustive
@pytest.mark.parametrize("cls", [PPO, A2C, REINFORCE, SAC])
def test_convolutions_learn_what_they_would_under_xla(cls, monkeypatch):
    fast = agent_of(cls, "convolution")
    fast.learn(16)
    monkeypatch.setattr(compiled, "loses_kernels", lambda _: False)
    by_xla = agent_of(cls, "convolution")
    by_xla.learn(16)
    assert updates_of(by_xla).is_by_xla and not updates_of(fast).is_by_xla
    np.testing.assert_allclose(weights(fast), weights(by_xla), rtol=1e-4, atol=1e-5)
