"""A run folder is loaded whatever agent wrote it, and by no other class."""

import itertools

import numpy as np
import pytest

import kgdists as kg
from kgdists.agents import A2C, ES, PPO, REINFORCE, SAC
from kgdists.agents.algorithms import class_of
from kgdists.envs.evaluation import Evaluation
from kgdists.runs.layout import read_config, write_config
from tests.marks import quick

pytestmark = pytest.mark.usefixtures("eagerly_throughout")

AGENTS = {
    "ppo": lambda: PPO("CartPole-v1", num_envs=2, n_steps=8, batch_size=16, n_epochs=1, seed=0),
    "a2c": lambda: A2C("CartPole-v1", num_envs=2, n_steps=4, seed=0),
    "reinforce": lambda: REINFORCE("CartPole-v1", num_envs=2, seed=0),
    "sac": lambda: SAC("Pendulum-v1", num_envs=1, learning_starts=8, batch_size=8, hidden_units=(8,), seed=0),
    "pgpe": lambda: ES("CartPole-v1", popsize=4, seed=0),
    "snes": lambda: ES("CartPole-v1", popsize=4, searcher="snes", seed=0),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Name of an agent -> its run folder."""
    folder = tmp_path_factory.mktemp("runs")
    for name, make in AGENTS.items():
        make().save(folder / name)
    return {name: folder / name for name in AGENTS}


@pytest.mark.parametrize("name", quick(["reinforce", "snes"], list(AGENTS)))
def test_any_run_folder_is_loaded(runs, name):
    made, agent = AGENTS[name](), kg.agents.load(runs[name])
    assert type(agent) is type(made) and agent.name == name and agent.steps == 0
    assert all(map(np.array_equal, agent.policy.get_weights(), made.policy.get_weights()))
    assert type(kg.agents.load(runs[name] / "checkpoints" / "0.zip", "Pendulum-v1" if name == "sac" else None)) is type(
        made
    )


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", AGENTS)
def test_a_run_that_is_loaded_goes_on_as_its_class_would_let_it(runs, name, tmp_path):
    agent, other = kg.agents.load(runs[name]), type(AGENTS[name]()).load(runs[name])
    for x in (agent, other):
        x.learn(16)
    assert all(map(np.array_equal, agent.policy.get_weights(), other.policy.get_weights()))
    agent.save(tmp_path / "run")
    again = kg.agents.load(tmp_path / "run")
    assert again.steps == agent.steps and isinstance(again.evaluate(1, seed=0), Evaluation)


@pytest.mark.parametrize("part", ["", "checkpoints/0.zip"])
def test_a_class_names_the_agent_that_wrote_a_run_of_another(runs, part):
    for (name, run), cls in itertools.product(runs.items(), (PPO, A2C, REINFORCE, SAC, ES)):
        if name not in cls.names():
            with pytest.raises(
                ValueError, match=f"by `kgdists.agents.load`, .* Received: .* of {name}, for {cls.__name__}"
            ) as e:
                cls.load(run / part)
            assert "damaged" not in str(e.value) and "\n" not in str(e.value)


def test_a_run_of_no_agent_of_kgdists_is_one_line(runs, tmp_path):
    write_config(tmp_path, read_config(runs["ppo"]) | {"agent": "mine"})
    with pytest.raises(
        ValueError, match="must be one of a2c, .*; one of your own is loaded by its class. Received: mine, in "
    ):
        class_of(tmp_path)
    for path, rule in (
        (tmp_path / "none", "existing folder"),
        (runs["ppo"] / "policy.keras", "damaged: it lacks 'agent'"),
    ):
        with pytest.raises(ValueError, match=rule):
            kg.agents.load(path)
