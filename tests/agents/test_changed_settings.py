"""Going on with other settings: which may change, and that they have an effect."""

import dataclasses
import json
import re
import warnings

import numpy as np
import pytest
from keras.optimizers.schedules import PolynomialDecay

import kgdists as kg
from kgdists.core.run_warning import RunWarning
from tests.agents.helpers import Bandit, Noise, small, weights
from tests.marks import exhaustive, quick

pytestmark = pytest.mark.usefixtures("eagerly")

SMALL = {"num_envs": 2, "hidden_units": (4,), "seed": 0}
AGENTS = {
    "ppo": lambda **settings: small(Noise, **settings),
    "a2c": lambda **settings: kg.agents.A2C(Noise, n_steps=8, epoch_steps=16, **SMALL, **settings),
    "reinforce": lambda **settings: kg.agents.REINFORCE(Noise, episodes=2, **SMALL, **settings),
    "sac": lambda **settings: kg.agents.SAC(
        Noise, n_steps=8, epoch_steps=16, learning_starts=1, buffer_size=64, **SMALL, **settings
    ),
    "snes": lambda **settings: kg.agents.ES(Noise, searcher="snes", popsize=4, hidden_units=(4,), seed=0, **settings),
}
# A new value of each setting that may change.
CHANGED = {
    "vectorization": "sync",
    "num_envs": 4,
    "log_info": ("profit",),
    "learning_rate": 0.5,
    "gamma": 0.5,
    "batch_size": 8,
    "n_epochs": 3,
    "clip_range": 0.1,
    "clip_range_value": 0.3,
    "gae_lambda": 0.5,
    "ent_coef": 0.25,
    "vf_coef": 0.25,
    "max_grad_norm": 0.25,
    "kl_coef": 0.25,
    "adaptive_kl": None,
    "vtrace": True,
    "target_kl": 0.5,
    "normalize_advantages": False,
    "normalize_rewards": True,
    "epsilon": 1e-3,
    "max_steps": 7,
    "gradient_steps": 2,
    "learning_starts": 3,
    "n_step_returns": 2,
    "tau": 0.25,
    "target_entropy": 0.25,
    "noise_repeat": 2,
    "overlap": True,
    "jit_compile": False,
    "save_replay": False,
    "popsize": 6,
    "episodes": 2,
    "num_interactions": 10,
    "popsize_max": None,
    "center_learning_rate": 0.25,
    "stdev_learning_rate": 0.25,
    "parenthood_ratio": None,
    "sample_actions": True,
}


def saved(name, folder, **settings):
    agent = AGENTS[name](**settings)
    agent.learn(16, verbose=0)
    agent.save(folder)
    return agent


@pytest.mark.parametrize("name", quick(["ppo"], list(AGENTS)))
def test_every_setting_may_change_or_says_that_it_may_not(tmp_path, name):
    agent = saved(name, tmp_path)
    for field in dataclasses.fields(agent.Config):
        if field.name in agent.Config.FIXED:
            with pytest.raises(ValueError, match=f"make a new one for another `{field.name}`. Received: {field.name}="):
                type(agent).load(tmp_path, Noise, **{field.name: getattr(agent.config, field.name)})
        else:
            value = CHANGED[field.name]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RunWarning)  # of other numbers of environments
                other = kg.agents.load(tmp_path, Noise, **{field.name: value})
            assert getattr(other.config, field.name) == value and other.steps == agent.steps, field.name


@pytest.mark.parametrize("name", quick(["ppo"], list(AGENTS)))
def test_an_agent_with_another_setting_learns_and_goes_on_with_it(tmp_path, name):
    changes = {"ppo": {"n_epochs": 3, "kl_coef": 0.5}, "a2c": {"ent_coef": 0.1}, "reinforce": {"gamma": 0.5}}
    changes |= {"sac": {"tau": 0.25}, "snes": {"center_learning_rate": 0.25}}
    agent = saved(name, tmp_path)
    (tmp_path / "config.json").write_text(
        json.dumps(json.loads((tmp_path / "config.json").read_text()) | {"total_steps": 640})
    )  # as `kgdists train` has it
    before = np.concatenate([x.ravel() for x in agent.policy.get_weights()])
    agent = kg.agents.load(tmp_path, Noise, **changes[name])
    agent.learn(16, verbose=0)
    assert not np.array_equal(np.concatenate([x.ravel() for x in agent.policy.get_weights()]), before)
    agent.save(tmp_path)  # it is the same run
    again = type(agent).load(tmp_path, Noise)
    assert again.config == agent.config and again.steps == agent.steps
    assert json.loads((tmp_path / "config.json").read_text())["total_steps"] == 640


def test_a_weight_that_training_moves_is_set(tmp_path):
    saved("ppo", tmp_path, kl_coef=0.25, adaptive_kl=0.01)
    assert float(kg.agents.PPO.load(tmp_path, Noise, kl_coef=4.0).kl_coef) == 4.0
    assert float(kg.agents.PPO.load(tmp_path, Noise).kl_coef) != 4.0


def test_a_bound_of_gradients_is_that_of_the_optimizer(tmp_path):
    saved("ppo", tmp_path)
    assert kg.agents.PPO.load(tmp_path, Noise, max_grad_norm=0.125).optimizer.global_clipnorm == 0.125


def test_schedules_start_where_the_training_goes_on(tmp_path):
    agent = saved("ppo", tmp_path)
    decay = PolynomialDecay(0.1, 100, 0.0)
    agent = kg.agents.PPO.load(tmp_path, Noise, clip_range=decay, learning_rate=decay)
    at = int(agent.optimizer.iterations)
    assert at > 0 and float(agent.config.clip_range(at)) == pytest.approx(0.1)
    assert float(agent.optimizer.learning_rate) == pytest.approx(0.1)


def test_a_setting_that_is_none_is_answered(tmp_path):
    saved("ppo", tmp_path)
    for load in (kg.agents.PPO.load, kg.agents.load):
        with pytest.raises(TypeError, match=re.escape("did you mean `learning_rate`? Received: lr=0.1")):
            load(tmp_path, Noise, lr=0.1)
        with pytest.raises(ValueError, match=re.escape("`gamma` must be in [0, 1]. Received: gamma=2")):
            load(tmp_path, Noise, gamma=2)


@pytest.mark.parametrize("load", [kg.agents.load, *exhaustive(kg.agents.PPO.load)])
def test_a_finished_run_that_is_loaded_learns_and_says_by_which_schedule(tmp_path, load):
    small(Bandit, learning_rate=PolynomialDecay(0.01, 6, 0.0)).save(tmp_path)
    agent = kg.agents.PPO.load(tmp_path, Bandit)
    agent.learn(96, verbose=0)
    agent.save(tmp_path)
    agent = load(tmp_path, Bandit)
    before = weights(agent)
    with pytest.warns(RunWarning, match=f"are stretched to {agent.steps + 1024} steps: `learning_rate` from "):
        agent.learn(1024, verbose=0)
    assert not np.array_equal(weights(agent), before)
    agent = load(tmp_path, Bandit, learning_rate=1e-3)  # set anew, by whoever loads it
    before = weights(agent)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RunWarning)
        agent.learn(64, verbose=0)
    assert not np.array_equal(weights(agent), before)
