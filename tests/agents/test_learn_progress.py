"""What `learn` shows: in Python as on the command line."""

import re

import numpy as np
import pytest

import kgdists as kg
from tests.agents.helpers import Counter, Noise, small

pytestmark = pytest.mark.usefixtures("eagerly")

SMALL = {"num_envs": 2, "hidden_units": (4,), "seed": 0}
AGENTS = {
    "ppo": lambda env: small(env),
    "a2c": lambda env: kg.agents.A2C(env, n_steps=8, epoch_steps=16, **SMALL),
    "reinforce": lambda env: kg.agents.REINFORCE(env, episodes=2, **SMALL),
    "sac": lambda env: kg.agents.SAC(env, n_steps=8, epoch_steps=16, learning_starts=100, buffer_size=200, **SMALL),
    "snes": lambda env: kg.agents.ES(env, searcher="snes", popsize=4, hidden_units=(4,), seed=0),
}


@pytest.mark.parametrize("make", AGENTS.values(), ids=AGENTS)
def test_every_agent_shows_steps_time_return_length_and_speed(capsys, make):
    agent = make(lambda: Counter(4))
    agent.learn(16)
    (line,) = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"16/16 \d+s - return: 10.00 - length: 4.00 - [\d.]+ (steps/s|s/step)", line)
    agent.learn(16, verbose=0)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("total_steps", "expected"), [(48, "48/48"), (40, "48/48"), (1, "16/16")])
def test_the_steps_that_are_announced_are_those_that_are_taken(capsys, total_steps, expected):
    agent = small(lambda: Counter(4))
    agent.learn(total_steps)
    assert capsys.readouterr().out.startswith(f"{expected} ") and f"{agent.steps}/{agent.steps}" == expected
    assert agent.config.num_steps(total_steps) == agent.steps


def test_the_steps_are_those_of_this_training(capsys):
    agent = small(lambda: Counter(4))
    agent.learn(32, verbose=0)
    agent.learn(32)
    assert capsys.readouterr().out.startswith("32/32 ")


def test_a_line_for_each_epoch(capsys):
    small(lambda: Counter(4)).learn(48, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["16/48", "32/48", "48/48"]


def test_what_was_asked_of_infos_and_evaluations_are_shown(capsys, tmp_path):
    evaluating = kg.agents.EvaluateAndKeepBest(lambda: Noise(), tmp_path / "best.keras", episodes=2)
    small(Told, log_info=("profit",)).learn(16, evaluating)
    line = capsys.readouterr().out
    assert "eval: " in line and "profit: 3.00" in line


class Told(Noise):
    def step(self, action):
        return *super().step(action)[:4], {"profit": 3}


def test_a_wrong_verbosity_is_refused_before_anything_is_done():
    agent = small(Noise)
    with pytest.raises(ValueError, match="`verbose` must be"):
        agent.learn(16, verbose=5)
    assert agent.steps == 0


def test_a_search_shows_generations_or_steps(capsys):
    agent = AGENTS["snes"](lambda: Counter(4))
    agent.search.run(3)
    assert capsys.readouterr().out.startswith("3/3 ")
    agent.search.learn(20)
    assert capsys.readouterr().out.startswith("20/20 ")
    agent.search.run(2, verbose=2)
    assert len(capsys.readouterr().out.splitlines()) == 2
    agent.search.run(2, verbose=0)
    assert capsys.readouterr().out == ""


def test_training_is_the_same_whatever_is_shown():
    histories = [small(Noise).learn(48, verbose=verbose).history for verbose in (0, 1, 2)]
    for history in histories[1:]:
        np.testing.assert_array_equal(history["policy_loss"], histories[0]["policy_loss"])
