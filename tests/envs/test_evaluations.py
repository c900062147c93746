"""Evaluations make no environments that nobody asked for, play their own episodes, and end."""

import json

import gymnasium
import pytest

from kgdists.agents import ES, EvaluateAndKeepBest
from kgdists.cli import main
from kgdists.core.run_warning import RunWarning
from kgdists.runs.layout import read_config, read_evaluation
from tests.agents.helpers import Counter, Noise, small
from tests.cli.helpers import registered

pytestmark = pytest.mark.usefixtures("eagerly")


class Counted(Noise):
    """Counts how many there are, and ever were."""

    made = closed = 0

    def __init__(self):
        type(self).made += 1

    def close(self):
        type(self).closed += 1


@pytest.fixture(autouse=True)
def none_yet():
    Counted.made = Counted.closed = 0


def test_an_evaluation_makes_no_environments():
    small(Counted).evaluate(7)
    assert Counted.made == 2


def test_an_evaluation_makes_as_many_as_asked_and_closes_them():
    evaluation = small(Counted).evaluate(7, eval_envs=3)
    assert (Counted.made, Counted.closed, len(evaluation.returns)) == (5, 3, 7)
    small(Counted).evaluate(2, eval_envs=100)
    assert Counted.made == 9  # no more than episodes


def test_an_evaluation_of_what_cannot_be_repeated_makes_as_many_as_the_training_has(monkeypatch):
    made = []
    agent = small("CartPole-v1", num_envs=3, batch_size=8, vectorization="native")
    real = gymnasium.make
    monkeypatch.setattr(gymnasium, "make", lambda *args, **kwargs: made.append(args) or real(*args, **kwargs))
    agent.evaluate(20, max_steps=1)
    assert len(made) == 3


@pytest.mark.parametrize("given", ["agent", "id", "other number"])
def test_a_callback_makes_no_more_environments_than_the_training_has(given, tmp_path):
    agent = small(Counted)
    options = {"eval_envs": 5} if given == "other number" else {}
    env = agent if given == "agent" else Counted
    agent.learn(16, [EvaluateAndKeepBest(env, tmp_path / "best.keras", **options)])
    assert Counted.made - 2 == Counted.closed == {"agent": 0, "id": 2, "other number": 5}[given]


def test_a_search_is_evaluated_in_its_own_environments():
    agent = ES(Counted, popsize=4, hidden_units=(4,), seed=0)
    agent.evaluate(5)
    assert Counted.made == 4


class Endless(Counter):
    """Never ends."""

    def __init__(self):
        super().__init__(length=10**9)


def test_a_callback_counts_what_it_cuts_off(tmp_path):
    keeping = EvaluateAndKeepBest(Endless, tmp_path / "best.keras", episodes=3, every_steps=None, max_steps=4)
    with pytest.warns(RunWarning, match="3 of 3 episodes of an evaluation were cut off after 4 steps") as said:
        small(Endless).learn(32, [keeping])
    assert len([x for x in said if x.category is RunWarning]) == 1
    assert keeping.evaluations == [[16, 10.0], [32, 10.0]]


def test_a_policy_that_stands_still_on_the_cliff_is_evaluated_to_an_end(tmp_path):
    agent = small("CliffWalking-v1", num_envs=1, batch_size=8)
    agent.policy.head.trainable_variables[-1].assign([50.0, -50.0, -50.0, -50.0])  # up, for ever
    agent.save(tmp_path / "run")
    evaluation = agent.evaluate(2, max_steps=30)
    assert (evaluation.cut, evaluation.lengths) == (2, (30, 30))
    assert main(["evaluate", str(tmp_path / "run"), "--episodes", "2", "--max-steps", "30"]) == 0


@pytest.mark.exhaustive
def test_the_command_line_says_how_a_run_is_evaluated(tmp_path, capsys):
    arguments = ["--steps", "32", "--num-envs", "2", "--n-steps", "8", "--batch-size", "16", "--hidden-units", "4"]
    evaluations = ["--evaluate-every", "16", "--eval-episodes", "3", "--eval-envs", "2", "--eval-max-steps", "5"]
    run = tmp_path / "run"
    with registered(Endless) as name:
        assert main(["train", name, "--agent", "ppo", *arguments, *evaluations, "--out", str(run)]) == 0
        assert "over 3 episodes, 3 of them cut off after 5 steps" in capsys.readouterr().out
        assert {name: x for name, x in read_config(run).items() if name.startswith("eval_")} == {
            "eval_episodes": 3,
            "eval_envs": 2,
            "eval_max_steps": 5,
        }
        assert json.loads((run / "best.json").read_text())["return"] == 15.0
        (run / "evaluation.json").unlink()
        assert main(["resume", str(run), "--eval-max-steps", "4"]) == 0
        assert read_evaluation(run).lengths == (4, 4, 4)
        assert main(["evaluate", str(run), "--eval-episodes", "2", "--max-steps", "3", "--eval-envs", "1"]) == 0
        assert "over 2 episodes, 2 of them cut off after 3 steps" in capsys.readouterr().out
    assert main(["train", "CartPole-v1", "--eval-envs", "0"]) == 2
    assert "`--eval-envs` must be an int >= 1. Received: --eval-envs=0" in capsys.readouterr().err
