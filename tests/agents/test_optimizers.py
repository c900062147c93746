"""The optimizer of an agent: one that is named, or one of Keras with its own settings."""

import keras
import numpy as np
import pytest

import kgdists as kg
from kgdists.agents.sac.fused_optimizers import FusedAdamW
from tests.agents.test_compiled_training import assert_same

SMALL = {"num_envs": 2, "hidden_units": (8,), "seed": 0}
AGENTS = {
    "PPO": ("CartPole-v1", SMALL | {"n_steps": 16, "batch_size": 16, "n_epochs": 2}, 32),
    "A2C": ("CartPole-v1", SMALL | {"epoch_steps": 20}, 20),
    "REINFORCE": ("CartPole-v1", SMALL, 20),
    "SAC": (
        "Pendulum-v1",
        SMALL | {"learning_starts": 10, "batch_size": 16, "epoch_steps": 20, "buffer_size": 100},
        40,
    ),
}


def made(name, **settings):
    env, own, steps = AGENTS[name]
    return getattr(kg.agents, name)(env, **own | settings), steps


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", AGENTS)
@pytest.mark.parametrize(
    "optimizer",
    ["sgd", "adamw", "lion", keras.optimizers.Nadam(1e-3, clipnorm=1.0), keras.optimizers.AdamW(1e-3, use_ema=True)],
    ids=["sgd", "adamw", "lion", "Nadam", "AdamW"],
)
def test_an_agent_learns_and_goes_on_with_any_optimizer(name, optimizer, tmp_path):
    agent, steps = made(name, optimizer=optimizer)
    before = agent.policy.get_weights()
    history = agent.learn(steps, verbose=0)
    assert np.isfinite(history.history["gradient_norm"]).all()
    assert any((x != y).any() for x, y in zip(before, agent.policy.get_weights(), strict=True))
    agent.save(tmp_path)
    loaded = type(agent).load(tmp_path)
    assert type(loaded.optimizer) is type(agent.optimizer)
    assert loaded.optimizer.get_config() | {"name": ""} == agent.optimizer.get_config() | {"name": ""}
    for one in (agent, loaded):
        one.learn(steps, verbose=0)
    assert_same(agent, loaded)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["PPO", "A2C", "REINFORCE"])
def test_a_compiled_training_takes_it_too(name):
    weights = []
    for optimizer in ("lion", keras.optimizers.SGD(0.1, momentum=0.9)):
        agent, steps = made(name, optimizer=optimizer, vectorization="compiled")
        agent.learn(steps, verbose=0)
        weights.append(agent.policy.get_weights()[0])
    assert np.isfinite(weights).all() and (weights[0] != weights[1]).any()


def test_settings_go_to_an_optimizer_that_is_named():
    optimizer = made("PPO", optimizer="adamw", learning_rate=0.01, max_grad_norm=0.3)[0].optimizer
    assert type(optimizer) is keras.optimizers.AdamW
    assert float(optimizer.learning_rate) == pytest.approx(0.01) and optimizer.global_clipnorm == 0.3
    assert made("PPO")[0].optimizer.epsilon == 1e-5
    assert type(made("A2C")[0].optimizer) is keras.optimizers.RMSprop
    assert type(made("SAC", optimizer="adamw")[0].optimizer) is FusedAdamW


def test_each_agent_has_a_copy_of_the_one_that_is_given():
    given = keras.optimizers.Adam(0.02, epsilon=1e-3)
    first, second = (made("PPO", optimizer=given)[0].optimizer for _ in range(2))
    assert len({id(given), id(first), id(second)}) == 3 and not given.built
    assert first.epsilon == 1e-3 and float(second.learning_rate) == pytest.approx(0.02)


def test_what_is_mistyped_is_told():
    with pytest.raises(ValueError, match="`optimizer` must be one of adadelta, .*, or a keras.optimizers.Optimizer"):
        made("PPO", optimizer="adamn")
    with pytest.raises(ValueError, match="has its own learning rate .* Received: .* and learning_rate, max_grad_norm"):
        made("PPO", optimizer=keras.optimizers.Adam(), learning_rate=0.1, max_grad_norm=None)
    with pytest.raises(ValueError, match="`optimizer` must be"):
        made("PPO", optimizer=keras.optimizers.Adam)
    with pytest.raises(ValueError, match="`optimizer` must be"):
        made("PPO", optimizer=np.zeros(2))
