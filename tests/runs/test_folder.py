"""A run folder belongs to one run of one agent: what is in it, and what is not, when an agent is saved there."""

import json
import shutil
import subprocess
import sys
import textwrap
import warnings

import gymnasium
import keras
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import kgdists as kg
from kgdists.agents import A2C, ES, PPO, REINFORCE, SAC, Checkpoints
from kgdists.cli.starting import _new_folder
from kgdists.core.run_warning import RunWarning
from kgdists.runs import checkpoint, layout
from tests.agents.helpers import Bandit, Noise, saved_run, small, weights
from tests.marks import exhaustive

TINY = {"num_envs": 2, "hidden_units": (4,), "seed": 0}


pytestmark = pytest.mark.usefixtures("eagerly_throughout")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A trained run with two checkpoints, and its agent."""
    return saved_run(tmp_path_factory.mktemp("saved"))


@pytest.fixture
def run(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "run")


def contents(folder):
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def assert_left_alone(folder, act, match="A run folder belongs to one run: .*`overwrite=True`. Received: "):
    before = contents(folder)
    with pytest.raises(ValueError, match=match) as error:
        act()
    assert "\n" not in str(error.value) and contents(folder) == before


OTHERS = {
    "another seed": lambda: small("CartPole-v1", seed=1),
    "the same settings again": lambda: small("CartPole-v1"),
    "another environment": lambda: small("Acrobot-v1"),
    "an environment without id": lambda: small(Noise),
    "other settings": lambda: small("CartPole-v1", gamma=0.5),
    "no seed": lambda: small("CartPole-v1", seed=None),
    "a2c": lambda: A2C("CartPole-v1", **TINY),
    "reinforce": lambda: REINFORCE("CartPole-v1", **TINY),
    "sac": lambda: SAC("CartPole-v1", **TINY, buffer_size=100),
    "a search": lambda: ES("CartPole-v1", popsize=4, hidden_units=(4,), seed=0),
}


@pytest.mark.few(1)
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("steps", [0, 16, 64])
def test_a_trained_run_is_not_overwritten_by_a_new_agent(run, other, steps):
    agent = other()
    agent.steps = steps
    assert_left_alone(run, lambda: agent.save(run))
    assert_left_alone(run, lambda: Checkpoints(agent, run).on_train_begin())
    assert agent.checkpoint is None


def test_training_into_the_folder_of_another_run_is_refused_before_it_begins(run):
    agent = small("CartPole-v1", seed=1)
    before = weights(agent)
    assert_left_alone(run, lambda: agent.learn(16, [Checkpoints(agent, run)]))
    np.testing.assert_array_equal(weights(agent), before)


@pytest.mark.exhaustive
@pytest.mark.parametrize("steps", [0, 16, 64])
def test_what_is_asked_for_takes_the_place_of_another_run(run, steps):
    agent = small(Bandit, gamma=0.5)
    agent.steps = steps
    agent.save(run, overwrite=True)
    assert [file.name for file in (run / "checkpoints").iterdir()] == [f"{steps}.zip"]
    assert PPO.load(run, Bandit).config.gamma == 0.5
    agent.save(run)  # it is its own now
    other = small(Bandit)
    other.learn(32, [Checkpoints(other, run, every_seconds=0, overwrite=True)])
    assert sorted(file.name for file in (run / "checkpoints").iterdir()) == ["16.zip", "32.zip"]


def with_files(folder, **texts):
    folder.mkdir()
    for name, text in texts.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


FOREIGN = {
    "a configuration of another program": {"config_json": '{"debug": true}'},
    "a configuration that is no JSON": {"config_json": "debug = true"},
    "a policy": {"policy_keras": "PK"},
    "the start of another run": {"config_json": '{"agent": "sac", "env": "CartPole-v1", "config": {}}'},
}


@pytest.mark.few(1)
@pytest.mark.parametrize("texts", FOREIGN.values(), ids=FOREIGN)
def test_files_of_others_are_not_overwritten(tmp_path, texts):
    folder = with_files(tmp_path / "run", **texts)
    assert_left_alone(folder, lambda: small("CartPole-v1").save(folder))


def test_a_folder_with_other_things_in_it_is_as_good_as_a_new_one(tmp_path):
    folder = with_files(tmp_path / "run", notes_txt="mine", metrics_csv="epoch\n")
    small("CartPole-v1").save(folder)
    assert PPO.load(folder).steps == 0 and (folder / "notes.txt").read_text() == "mine"


@pytest.mark.exhaustive
def test_a_run_goes_on_wherever_it_is_moved_or_copied(run, tmp_path):
    agent = PPO.load(run)
    agent.steps = 48
    agent.save(run)
    moved = run.rename(tmp_path / "moved")
    agent.steps = 64
    agent.save(moved)
    copied = shutil.copytree(moved, tmp_path / "copied")
    agent = PPO.load(copied)
    agent.steps = 80
    agent.save(copied)
    assert [PPO.load(x).steps for x in (moved, copied)] == [64, 80]


def test_a_run_goes_on_though_its_checkpoints_or_its_configuration_were_deleted(run):
    agent = PPO.load(run)
    shutil.rmtree(run / "checkpoints")
    agent.save(run)
    (run / "config.json").write_text("{")
    agent.save(run)
    (run / "config.json").unlink()
    agent.save(run)
    assert PPO.load(run).steps == 32


def test_a_run_written_before_runs_had_names_goes_on(run):
    def without_names(file):
        header = json.loads(file.read_text())
        del header["run"]
        file.write_text(json.dumps(header))

    without_names(run / "config.json")
    agent = PPO.load(run)
    agent.save(run)
    assert PPO.load(run).owned.run == agent.owned.run == layout.read_config(run)["run"]


def test_later_checkpoints_are_not_deleted_by_one_that_goes_on_from_an_earlier(run):
    agent = PPO.load(run / "checkpoints" / "16.zip")
    agent.steps = 24
    assert_left_alone(run, lambda: agent.save(run))
    agent.save(run, overwrite=True)
    assert sorted(file.name for file in (run / "checkpoints").iterdir()) == ["16.zip", "24.zip"]


# Several at once


def test_the_second_of_two_that_save_to_a_new_folder_gets_one_line(tmp_path):
    one, other = small("CartPole-v1"), small("CartPole-v1")
    one.save(tmp_path)
    assert_left_alone(tmp_path, lambda: other.save(tmp_path))
    one.save(tmp_path)


@pytest.mark.exhaustive
def test_the_second_of_two_that_go_on_with_a_run_gets_one_line(run):
    one, other = PPO.load(run), PPO.load(run)
    one.steps = 48
    one.save(run)
    assert_left_alone(run, lambda: other.save(run))
    one.steps = 64
    one.save(run)
    assert PPO.load(run).steps == 64


@pytest.mark.exhaustive
def test_of_processes_that_save_to_one_folder_at_once_one_does(tmp_path):
    code = f"""
        import sys
        import tensorflow as tf
        from kgdists.agents import PPO

        tf.config.run_functions_eagerly(True)
        agent = PPO("CartPole-v1", num_envs=2, n_steps=8, batch_size=16, hidden_units=(8,), seed=0)
        print("ready", flush=True)
        sys.stdin.readline()
        saved, reasons = 0, set()
        for agent.steps in range(0, 320, 16):
            try:
                agent.save({str(tmp_path / "run")!r})
                saved += 1
            except Exception as error:
                reasons.add(str(error).partition(":")[0])
        print(saved, *reasons)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(2)
    ]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    said = sorted(process.communicate()[0].strip() for process in started)
    assert said == ["0 A run folder belongs to one run", "20"]
    assert PPO.load(tmp_path / "run").steps == 304


# Odd things in the folder

ODD = {
    "a link to nowhere": lambda folder: (folder / "partial-link").symlink_to("nowhere"),
    "a link to a file": lambda folder: (folder / "partial-x.zip").symlink_to(folder.parent / "config.json"),
    "a link to a folder": lambda folder: (folder / "partial-y").symlink_to(folder.parent),
    "a folder like a checkpoint": lambda folder: (folder / "99999.zip").mkdir(),
    "a full folder like a checkpoint": lambda folder: shutil.copytree(folder, folder / "48.zip"),
    "a left folder": lambda folder: shutil.copytree(folder, folder / "partial-z"),
    "another file": lambda folder: (folder / "notes.txt").write_text("mine"),
    "a checkpoint by another name": lambda folder: shutil.copy(folder / "32.zip", folder / "best.zip"),
    "a number of other digits": lambda folder: shutil.copy(folder / "32.zip", folder / "٣٢.zip"),
    "a signed number": lambda folder: (folder / "-5.zip").write_bytes(b""),
}


@pytest.mark.few(1)
@pytest.mark.parametrize("put", ODD.values(), ids=ODD)
def test_a_save_passes_over_what_is_not_a_file_of_its_own(run, put):
    agent = PPO.load(run)
    put(run / "checkpoints")
    kept = contents(run)
    for agent.steps in (64, 80):
        agent.save(run)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunWarning)  # of a folder that would be the newest one
        assert PPO.load(run).steps == 80
    assert {"64.zip", "80.zip"} <= {x.name for x in (run / "checkpoints").iterdir()}
    gone = {file.relative_to(run / "checkpoints").parts[0] for file in kept.keys() - contents(run).keys()}
    assert gone <= {"16.zip", "32.zip", "partial-z"}


def test_a_folder_where_a_checkpoint_belongs_makes_way_and_is_named(run):
    agent = PPO.load(run)
    agent.steps = 48
    (run / "checkpoints" / "48.zip").mkdir()
    (run / "checkpoints" / "48.zip" / "mine").write_text("mine")
    with pytest.warns(RunWarning, match="it is a folder. Received: .*48.zip. Going on from 32.zip"):
        assert PPO.load(run).steps == 32
    with pytest.warns(RunWarning, match="A folder stood in the place of .*48.zip; it is folder-"):
        agent.save(run)
    (moved,) = (run / "checkpoints").glob("folder-*-48.zip")
    assert PPO.load(run).steps == 48 and (moved / "mine").read_text() == "mine"


def test_a_model_that_could_not_be_read_again_is_refused_before_it_is_trained(tmp_path):
    trunk = keras.Sequential([keras.Input((1,)), keras.layers.Lambda(lambda x: 2.0 * x, name="double")])
    agent = small(Bandit, policy=kg.Policy(trunk, kg.layers.CategoricalHead(4)))
    with pytest.raises(ValueError, match="`policy` must have no Lambda layers.* Received: double"):
        agent.learn(16, [Checkpoints(agent, tmp_path / "run")])
    with pytest.raises(ValueError, match="no Lambda layers"):
        agent.save(tmp_path / "run")
    assert agent.steps == 0 and not (tmp_path / "run").exists()
    agent.learn(16)  # where it is not saved it may have any


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["metrics.csv", "log.csv"])
def test_another_run_is_refused_before_any_callback_changes_its_files(tmp_path, name):
    def callbacks(agent):
        return [
            keras.callbacks.CSVLogger(tmp_path / "run" / name),
            kg.agents.EvaluateAndKeepBest(Bandit, tmp_path / "run" / "best.keras", episodes=2),
            Checkpoints(agent, tmp_path / "run"),
        ]

    (tmp_path / "run").mkdir()
    first, second = small(Bandit), small(Bandit, seed=1)
    first.learn(16, callbacks(first))
    before = {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()}
    with pytest.raises(ValueError, match="A run folder belongs to one run"):
        second.learn(16, callbacks(second))
    assert {file: file.read_bytes() for file in (tmp_path / "run").rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("left", ["policy.keras", "config.json", "notes.txt", None])
def test_a_run_without_its_checkpoints_is_not_trained_over(tmp_path, monkeypatch, left):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "CartPole-v1-ppo-seed0-1"
    folder.mkdir(parents=True)
    if left is not None:
        (folder / left).write_text("mine")
    made = _new_folder(None, "CartPole-v1-ppo-seed0")
    assert made.name == "CartPole-v1-ppo-seed0-2" and [x.name for x in made.iterdir()] == ["checkpoints"]
    assert [x.name for x in folder.iterdir()] == ([] if left is None else [left])


@pytest.mark.exhaustive
@pytest.mark.parametrize("env", ["a function", *exhaustive("a vector environment")])
def test_a_run_of_an_id_goes_on_with_an_environment_of_ones_own(tmp_path, env):
    agent, run = small("CartPole-v1"), tmp_path / "run"
    layout.write_config(run, checkpoint.identity(agent) | {"total_steps": 64, "threads": 1})
    agent.learn(16, [Checkpoints(agent, run)])
    own = {
        "a function": lambda: gymnasium.make("CartPole-v1"),
        "a vector environment": SyncVectorEnv(
            [lambda: gymnasium.make("CartPole-v1")] * 3, autoreset_mode=AutoresetMode.SAME_STEP
        ),
    }[env]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunWarning)
        agent = kg.agents.PPO.load(run, own)
        agent.learn(16, [Checkpoints(agent, run)])
        config = layout.read_config(run)
        assert config["env"] == "CartPole-v1" and config["total_steps"] == 64
        again = kg.agents.PPO.load(run)
    assert again.env == "CartPole-v1" and again.steps == agent.steps
    (run / "checkpoints" / f"{agent.steps}.zip").write_bytes(b"")
    with pytest.warns(RunWarning, match="Going on from 16.zip"):
        assert kg.agents.PPO.load(run).steps == 16
