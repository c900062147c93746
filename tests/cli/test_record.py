import json
import re
import shutil

import pytest

from tests.cli.helpers import assert_one_line, kgdists, policy, registered, written
from tests.runs.test_recording import Blind, Screen, frames

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture
def run(tmp_path):
    with registered(Screen) as env:
        yield written(tmp_path / "run", env=env)


def test_a_film_goes_into_the_run(run, capsys):
    assert kgdists("record", run) == 0
    assert re.match(r".*run/recording.gif: return \d.0 \+- 0.0 over 1 episodes\n$", capsys.readouterr().out)
    assert len(frames(run / "recording.gif")[0]) == 5


def test_the_options_of_a_film(run, tmp_path, capsys):
    out = tmp_path / "film.gif"
    assert kgdists("record", run, "--out", out, "--episodes", 2, "--max-steps", 3, "--seed", 5, "--stochastic") == 0
    assert "over 2 episodes" in capsys.readouterr().out and len(frames(out)[0]) == 8


def test_the_best_policy_may_play(run, tmp_path, capsys):
    assert_one_line(capsys, kgdists("record", run, "--best"), "must contain the file best.keras", str(run))
    shutil.copy(run / "policy.keras", run / "best.keras")
    (run / "policy.keras").unlink()
    assert kgdists("record", run, "--best") == 0


def test_a_run_that_lacks_its_policy_is_not_recorded(run, capsys):
    (run / "policy.keras").unlink()
    assert_one_line(capsys, kgdists("record", run), "must contain the file policy.keras", str(run))


def test_a_damaged_policy_is_not_recorded(run, capsys):
    (run / "policy.keras").write_bytes((run / "policy.keras").read_bytes()[:200])
    assert_one_line(capsys, kgdists("record", run), "damaged", "policy.keras")
    assert not (run / "recording.gif").exists()


def test_a_policy_of_another_environment_is_not_recorded(run, capsys):
    policy(inputs=7).save(run / "policy.keras")
    assert_one_line(capsys, kgdists("record", run), "must fit its environment", "Screen")


def test_a_run_without_an_id_is_not_recorded(tmp_path, capsys):
    assert_one_line(capsys, kgdists("record", written(tmp_path / "run", env=None)), "id", "run")


def test_an_unknown_environment_is_one_line(tmp_path, capsys):
    assert_one_line(capsys, kgdists("record", written(tmp_path / "run", env="NoSuchEnv-v0")), "NoSuchEnv")


def test_an_environment_that_cannot_be_drawn_is_one_line(tmp_path, capsys):
    with registered(Blind) as env:
        status = kgdists("record", written(tmp_path / "run", env=env))
    assert_one_line(capsys, status, "render to arrays", "no display")


@pytest.mark.parametrize(
    "options", [["--episodes", 0], ["--seed", -1], ["--out", "film.avi"], ["--max-steps", 0]], ids=str
)
def test_wrong_options_are_one_line(run, options, capsys):
    assert_one_line(capsys, kgdists("record", run, *options), str(options[1]))


def test_a_film_cannot_go_into_a_folder_that_is_not_there(run, tmp_path, capsys):
    assert_one_line(capsys, kgdists("record", run, "--out", tmp_path / "nowhere" / "film.gif"), "nowhere")


@pytest.mark.exhaustive
def test_the_best_policy_of_a_training_may_play(tmp_path, capsys):
    tiny = ["--num-envs", 2, "--n-steps", 16, "--batch-size", 32, "--n-epochs", 1, "--hidden-units", 2]
    out = tmp_path / "run"
    with registered(Screen) as env:
        arguments = ["--agent", "ppo", *tiny, "--steps", 96, "--evaluate-every", 64, "--out", out]
        assert kgdists("train", env, *arguments) == 0
        assert kgdists("record", out, "--best") == 0
    evaluations = json.loads((out / "best.json").read_text())["evaluations"]
    assert [steps for steps, _ in evaluations] == [32, 64, 96]
    assert json.loads((out / "config.json").read_text())["evaluate_every"] == 64
    rows = (out / "metrics.csv").read_text().splitlines()
    assert "evaluation_return" in rows[0] and len(rows) == 4


def test_evaluations_are_some_steps_apart(tmp_path, capsys):
    status = kgdists("train", "CartPole-v1", "--evaluate-every", 0, "--out", tmp_path / "run")
    assert_one_line(capsys, status, "`--evaluate-every` must be at least 1. Received: 0")
