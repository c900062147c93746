"""The command line reaches any environment: of the working folder, with arguments, wrappers and a limit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import gymnasium
import pytest

from tests.cli.helpers import assert_one_line, kgdists
from tests.marks import quick

MODULE = """
import gymnasium
from gymnasium.envs.classic_control.cartpole import CartPoleEnv


class Windy(CartPoleEnv):
    def __init__(self, wind, render_mode=None):
        super().__init__(render_mode=render_mode)
        self.wind = wind


class Scaled(gymnasium.RewardWrapper):
    def __init__(self, env, factor=1.0, offset=0.0):
        super().__init__(env)
        self.factor, self.offset = factor, offset

    def reward(self, reward):
        return self.factor * reward + self.offset


gymnasium.register("Windy-v0", Windy, max_episode_steps=500)
gymnasium.register("Windy-v1", Windy, max_episode_steps=500)
"""
pytestmark = pytest.mark.usefixtures("eagerly")

SHORT = ("--n-epochs", 1, "--n-steps", 4, "--batch-size", 8, "--eval-episodes", 2)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "windy_envs.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("windy_envs", None)
    for name in ("Windy-v0", "Windy-v1"):
        gymnasium.registry.pop(name, None)


STEPPED = {f"{num_envs} {how}": (num_envs, how) for how in ("sync", "async") for num_envs in (2, 16)}


@pytest.mark.parametrize(("num_envs", "vectorization"), quick(["2 sync"], STEPPED))
def test_an_environment_of_one_s_own_is_trained_resumed_evaluated_and_filmed(folder, num_envs, vectorization, capsys):
    status = kgdists(
        *(
            "train",
            "windy_envs:Windy-v1",
            "--env-kwargs",
            "wind=3",
            "--wrapper",
            "windy_envs.Scaled:factor=0.5,offset=1",
        ),
        *("--max-episode-steps", 10, "--num-envs", num_envs, "--vectorization", vectorization, "--out", "run", *SHORT),
        *("--steps", 16),
    )
    assert status == 0, capsys.readouterr().err
    assert json.loads(Path("run/config.json").read_text())["env_options"] == {
        "env_kwargs": ["wind=3"],
        "wrappers": ["windy_envs.Scaled:factor=0.5,offset=1"],
        "max_episode_steps": 10,
    }
    assert kgdists("evaluate", "run", "--episodes", 2) == 0
    assert kgdists("resume", "run", "--steps", 20 * num_envs) == 0
    assert kgdists("record", "run", "--max-steps", 3) == 0
    out = capsys.readouterr().out
    assert "recording.gif: return 4.5 " in out  # three steps of 0.5 + 1
    returns, lengths = (json.loads(Path("run/evaluation.json").read_text())[name] for name in ("returns", "lengths"))
    assert max(lengths) <= 10 and returns == [1.5 * length for length in lengths]


def test_a_module_may_be_imported_by_an_option(folder, capsys):
    assert kgdists("check", "Windy", "--import", "windy_envs", "--env-kwargs", "wind=1.5", "--steps", 20) == 0
    assert capsys.readouterr().out.startswith("Windy-v1")  # the newest


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("windy_envs:Windy-v1",), ("--env-kwargs", "wind")),
        (("windy_envs:Windy-v1", "--env-kwargs", "wnd=3"), ("wnd=3", "unexpected keyword")),
        (("CartPole-v1", "--env-kwargs", "nothing"), ("key=value", "Received: nothing")),
        (("CartPole-v1", "--wrapper", "gymnasium.wrappers.Nothing"), ("package.Class", "Nothing")),
        (("CartPole-v1", "--wrapper", "no_such_module.Wrapper"), ("no_such_module",)),
        (("CartPole-v1", "--wrapper", "gymnasium"), ("package.Class", "Received: gymnasium")),
        (("CartPole-v1", "--wrapper", "gymnasium.make"), ("package.Class", "gymnasium.make")),
        (("CartPole-v1", "--wrapper", "gymnasium.Env"), ("package.Class", "gymnasium.Env")),
        (("CartPole-v1", "--wrapper", "windy_envs.Scaled:size=1"), ("size=1",)),
        (("CartPole-v1", "--max-episode-steps", 0), ("`--max-episode-steps` must be an int >= 1",)),
        (("CartPole-v1", "--import", "no_such_module"), ("no_such_module",)),
        (("Carpole",), ("CartPole",)),
    ],
    ids=str,
)
def test_what_is_mistyped_is_one_line(folder, arguments, parts, capsys):
    assert_one_line(capsys, kgdists("train", *arguments, "--out", "run"), *parts)
    assert not (folder / "run").exists()


def test_an_id_without_version_is_the_newest_with_its_settings(tmp_path, capsys):
    out = tmp_path / "run"
    assert (
        kgdists("train", "CartPole", "--num-envs", 2, *SHORT, "--steps", 16, "--eval-max-steps", 5, "--out", out) == 0
    )
    config = json.loads((out / "config.json").read_text())
    assert config["env"] == "CartPole-v1" and config["config"]["gae_lambda"] == 0.8
    assert "ppo on CartPole-v1, seed 0, 16 steps" in capsys.readouterr().out


def test_the_number_of_steps_is_the_one_that_is_taken(tmp_path, capsys):
    out = tmp_path / "run"
    kgdists(
        *("train", "MountainCar-v0", "--num-envs", 2, *SHORT, "--steps", 13, "--eval-max-steps", 5, "--out", out),
    )
    assert "13 steps were asked for; whole updates take 16\n" in capsys.readouterr().out
    assert (out / "checkpoints" / "16.zip").is_file()


@pytest.mark.exhaustive
def test_the_module_is_found_by_the_installed_command(folder):
    kept = {name: x for name, x in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(
        [sys.executable, "-P", "-m", "kgdists", "check", "windy_envs:Windy", "--env-kwargs", "wind=1", "--steps", "20"],
        capture_output=True,
        text=True,
        env=kept | {"PYTHONPATH": os.pathsep.join(x for x in sys.path if x)},
        timeout=300,
    )
    assert result.returncode == 0 and result.stderr == "", result.stderr
