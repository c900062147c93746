"""Ids with arguments, wrappers and a limit."""

import json
import pickle

import gymnasium
import pytest

import kgdists as kg
from kgdists.envs.env_id import EnvId, is_options
from kgdists.envs.registered import newest
from kgdists.runs.layout import read_config

FULL = {
    "imports": ["math"],
    "env_kwargs": ["is_slippery=False", "map_name=4x4"],
    "wrappers": ["gymnasium.wrappers.TransformReward:func=None", "gymnasium.wrappers:ClipReward:max_reward=0.5"],
    "max_episode_steps": 7,
}


def test_arguments_are_python_s_literals_or_texts():
    texts = ["a=3", "b=-0.5", "c=None", "d=(1, 2)", "e=hello", "f='quoted'", "g={'k': [1]}", "h=", "i=a=b"]
    expected = {
        "a": 3,
        "b": -0.5,
        "c": None,
        "d": (1, 2),
        "e": "hello",
        "f": "quoted",
        "g": {"k": [1]},
        "h": "",
        "i": "a=b",
    }
    assert EnvId("E-v0", env_kwargs=texts).arguments == expected


def test_an_environment_is_made_with_all_that_is_said():
    env = EnvId("FrozenLake-v1", (), FULL["env_kwargs"], FULL["wrappers"][1:], 7).make(render_mode="rgb_array")
    assert isinstance(env, gymnasium.wrappers.ClipReward) and env.spec.max_episode_steps == 7
    assert env.spec.kwargs["map_name"] == "4x4" and env.render_mode == "rgb_array"


def test_commas_in_a_wrapper_s_values_are_kept():
    env = EnvId("CartPole-v1", wrappers=["gymnasium.wrappers.ReshapeObservation:shape=(2, 2)"]).make()
    assert env.observation_space.shape == (2, 2)
    two = EnvId("CartPole-v1", wrappers=["gymnasium.wrappers.ClipReward:min_reward=-1,max_reward=0.5"]).make()
    two.reset()
    assert two.step(0)[1] == 0.5


def test_it_is_the_id_everywhere_else_and_goes_through_pickle_and_json():
    env = EnvId("FrozenLake-v1", **FULL)
    assert env == "FrozenLake-v1" and isinstance(env, str) and env.options() == FULL
    copy = pickle.loads(pickle.dumps(env))
    assert copy == env and copy.options() == FULL
    assert EnvId.of(json.loads(json.dumps({"env": env, "env_options": env.options()}))).options() == FULL
    assert EnvId.of({"env": None}) is None and EnvId.of({"env": "A-v0"}) == "A-v0"


@pytest.mark.parametrize("wrong", ["size", "=3", "a b=3", "1=2"])
def test_arguments_of_another_form_are_refused(wrong):
    with pytest.raises(ValueError, match="key=value. Received: "):
        EnvId("CartPole-v1", env_kwargs=[wrong])


@pytest.mark.parametrize("wrong", ["x.Y:=3", "x.Y:a.b=1", "x.Y:1=2", "x.Y:a=1,2=3"])
def test_so_are_those_of_wrappers(wrong):
    with pytest.raises(ValueError, match="key=value. Received: "):
        EnvId("CartPole-v1", wrappers=[wrong])


@pytest.mark.parametrize("wrong", [[], {"other": []}, {"imports": "os"}, {"env_kwargs": [1]}, {"max_episode_steps": 0}])
def test_options_that_a_file_cannot_have(wrong):
    assert not is_options(wrong)


def test_the_newest_version_is_meant():
    assert newest("CartPole") == "CartPole-v1" and newest("CartPole-v0") == "CartPole-v0"
    assert newest("Nothing") == "Nothing" and newest("gymnasium:CartPole") == "gymnasium:CartPole-v1"


@pytest.mark.usefixtures("eagerly")
def test_an_agent_trains_saves_and_loads_it(tmp_path):
    env = EnvId("CartPole-v1", wrappers=["gymnasium.wrappers.ClipReward:max_reward=0.5"], max_episode_steps=5)
    agent = kg.agents.PPO(env, num_envs=2, n_steps=4, batch_size=8, n_epochs=1, seed=0)
    agent.learn(8)
    agent.save(tmp_path)
    assert read_config(tmp_path)["env_options"] == env.options()
    loaded = kg.agents.PPO.load(tmp_path)
    evaluation = loaded.evaluate(2)
    assert evaluation.returns == tuple(0.5 * length for length in evaluation.lengths)
    assert max(evaluation.lengths) <= 5


def test_another_environment_of_the_same_id_is_another_run(tmp_path):
    kg.agents.PPO(EnvId("CartPole-v1", max_episode_steps=5), n_steps=8, seed=0).save(tmp_path)
    with pytest.raises(ValueError, match="A run folder belongs to one run"):
        kg.agents.PPO("CartPole-v1", n_steps=8, seed=0).save(tmp_path)


def test_its_own_vector_version_lacks_what_is_said():
    env = EnvId("CartPole-v1", max_episode_steps=5)
    with pytest.raises(ValueError, match='`vectorization="native"`|vector environment of its own'):
        kg.agents.make_envs(env, 16, "native")
    envs = kg.agents.make_envs(env, 16, "auto")
    assert envs.envs[0].spec.max_episode_steps == 5
