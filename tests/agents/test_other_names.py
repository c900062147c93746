"""What users of other libraries type: it works, or one line says what is meant."""

import dataclasses
import re

import gymnasium
import numpy as np
import pytest

import kgdists as kg
from kgdists.agents.other_names import HINTS, OTHER_NAMES
from kgdists.core.did_you_mean import check_names
from tests.agents.helpers import Noise, small

pytestmark = pytest.mark.usefixtures("eagerly")

AGENTS = (kg.agents.PPO, kg.agents.A2C, kg.agents.REINFORCE, kg.agents.SAC, kg.agents.ES)


@pytest.mark.parametrize("total_steps", [32, 32.0, 3.2e1, np.int64(32), np.float32(32.0), np.array(32)], ids=repr)
def test_numbers_of_steps_may_be_written_in_any_way(total_steps):
    agent = small(Noise)
    agent.learn(total_steps, verbose=0)
    assert agent.steps == 32


@pytest.mark.parametrize("total_steps", [0, -1e3, 1.5, float("nan"), float("inf"), True, "100"], ids=repr)
def test_what_is_no_number_of_steps_is_refused(total_steps):
    with pytest.raises(ValueError, match="`total_steps` must be an int >= 1. Received: total_steps="):
        small(Noise).learn(total_steps)


@pytest.mark.parametrize("env", ["CartPole-v1", lambda: Noise(), Noise()], ids=["id", "function", "environment"])
def test_an_environment_may_be_given_by_name(env):
    assert kg.agents.PPO(env=env, n_steps=16, batch_size=16, num_envs=1).steps == 0


@pytest.mark.parametrize("agent", AGENTS)
def test_a_policy_by_its_name_is_answered(agent):
    env = gymnasium.make("CartPole-v1")
    with pytest.raises(TypeError, match=re.escape(f"did you mean `{agent.__name__}(env, ...)`?")) as error:
        agent("MlpPolicy", env, verbose=1)
    assert "Received:" in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(TypeError, match="`policy` must be None, for the default networks, .* policy='MlpPolicy'"):
        agent(policy="MlpPolicy", env="CartPole-v1")


@pytest.mark.parametrize(
    ("settings", "answer"),
    [
        ({"n_envs": 4}, "PPO has no argument `n_envs`: did you mean `num_envs`? Received: n_envs=4"),
        ({"gae_lamda": 0.9}, "PPO has no argument `gae_lamda`: did you mean `gae_lambda`? Received: gae_lamda=0.9"),
        ({"lr": 1e-3}, "did you mean `learning_rate`?"),
        ({"ent_coeff": 0.1}, "did you mean `ent_coef`?"),
        ({"clip_coef": 0.1}, "did you mean `clip_range`?"),
        ({"policy_kwargs": {"net_arch": [64]}}, "set `hidden_units`"),
        ({"verbose": 1}, "it is an argument of `learn`"),
        ({"total_timesteps": 1000}, "did you mean `total_steps`, an argument of `learn`?"),
        ({"device": "cpu"}, "TensorFlow chooses the device"),
        ({"tensorboard_log": "logs"}, "pass `callbacks=kg.agents.TensorBoard(folder)`"),
        ({"xyzzy": 1}, "its settings are the fields of `PPOConfig`. Received: xyzzy=1"),
    ],
    ids=str,
)
def test_a_setting_by_another_name_is_answered(settings, answer):
    for make in (lambda: kg.agents.PPO("CartPole-v1", **settings), lambda: kg.agents.PPOConfig(**settings)):
        with pytest.raises(TypeError, match=re.escape(answer)) as error:
            make()
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("method", "arguments", "answer"),
    [
        ("learn", {"total_timesteps": 1000}, "`learn` has no argument `total_timesteps`: did you mean `total_steps`?"),
        ("learn", {"total_steps": 16, "callback": None}, "did you mean `callbacks`?"),
        ("learn", {"total_steps": 16, "progress_bar": True}, "did you mean `verbose`"),
        ("learn", {"total_steps": 16, "xyzzy": 1}, "it has total_steps, callbacks, verbose. Received: xyzzy=1"),
        ("evaluate", {"n_eval_episodes": 5}, "`evaluate` has no argument `n_eval_episodes`: did you mean `episodes`?"),
    ],
)
def test_an_argument_of_a_method_by_another_name_is_answered(method, arguments, answer):
    with pytest.raises(TypeError, match=re.escape(answer)):
        getattr(small(Noise), method)(**arguments)


def test_every_name_in_the_table_is_one_of_another_library_and_leads_to_one_of_ours():
    settings = {field.name for agent in AGENTS for field in dataclasses.fields(agent.Config)}
    ours = settings | {"total_steps", "callbacks", "episodes", "env"}
    assert set(OTHER_NAMES.values()) <= ours and not OTHER_NAMES.keys() & settings
    assert not HINTS.keys() & settings


def test_an_agent_of_ones_own_may_have_other_arguments():
    class Mine(kg.agents.PPO):
        def __init__(self, env, flavor, *, color="red", **config):
            super().__init__(env, **config)
            self.flavor, self.color = flavor, color

    mine = Mine(Noise, "sweet", color="blue", num_envs=2, n_steps=8, batch_size=16)
    assert (mine.flavor, mine.color) == ("sweet", "blue")
    with pytest.raises(TypeError, match="did you mean `Mine\\(env, ...\\)`"):
        Mine(Noise, "sweet", "blue")


def test_the_name_of_another_library_comes_before_one_that_looks_alike():
    with pytest.raises(TypeError, match="did you mean `beta`?"):
        check_names("f", {"alpha": 1}, ["alpha_1", "beta"], {"alpha": "beta"})
