"""What a command makes of files and numbers that nobody expects: one line, and nothing is lost."""

import contextlib
import importlib.util
import json
import shutil
import subprocess
import sys
import textwrap
import zipfile

import h5py
import numpy as np
import pytest
import tensorflow as tf

from kgdists.agents import PPO
from kgdists.core.files import DamagedFileError, load_model
from kgdists.core.run_warning import RunWarning
from tests.agents.helpers import saved_run, small
from tests.cli.helpers import assert_one_line, kgdists, written
from tests.marks import exhaustive
from tests.runs.test_checkpoint import replaced

TINY = ["--num-envs", 1, "--n-steps", 8, "--batch-size", 8, "--n-epochs", 1, "--hidden-units", 4]


pytestmark = pytest.mark.usefixtures("eagerly_throughout")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of the command that is finished."""
    folder = saved_run(tmp_path_factory.mktemp("finished") / "run")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"total_steps": 32, "threads": 1, "versions": {}}))
    (folder / "metrics.csv").write_text("epoch,steps,return\n0,16,9.0\n1,32,9.5\n")
    (folder / "evaluation.json").write_text(json.dumps({"returns": [9.0], "lengths": [9], "steps": 32}))
    (folder / "learning_curve.png").write_bytes(b"")
    return folder


@pytest.fixture
def run(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "run")


def changed(run, /, **facts):
    config = json.loads((run / "config.json").read_text()) | facts
    (run / "config.json").write_text(json.dumps(config))


# Facts of a run

WRONG = {
    "versions": ([], [["numpy", "2"]], "2.4", 3, True, {"numpy": 2}, {"numpy": None}),
    "threads": (-1, 0, 10**6, 1.5, "1", True, [1], 10**400),
    "total_steps": (-1, 0, 1.5, "32", True, [32], {}, 10**400),
    "evaluate_every": (0, -1, 1.5, "a", True),
    "run": (3, [], {}, True),
}


@pytest.mark.few(18)
@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
@pytest.mark.parametrize("command", ["resume", *exhaustive("evaluate", "report", "record")])
def test_facts_of_a_run_that_make_no_sense_are_one_line(run, capsys, name, value, command):
    changed(run, **{name: value})
    assert_one_line(capsys, kgdists(command, run), "damaged", f"`{name}` is not", "config.json")


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["versions", "threads", "evaluate_every", "run"])
def test_facts_of_a_run_that_are_null_are_not_known(run, capsys, name):
    changed(run, **{name: None})
    assert kgdists("resume", run) == 0
    assert f"{run} is finished, after 32 steps" in capsys.readouterr().out


EVALUATIONS = {
    "endless return": '{"returns": [1e999], "lengths": [3]}',
    "endless length": '{"returns": [1.0], "lengths": [1e999], "steps": 32}',
    "no number": '{"returns": ["a"], "lengths": [3]}',
    "a list": "[]",
    "null": "null",
    "nested without end": "[" * 100_000,
    "cut": '{"returns": [1',
    "bytes": "\x00\xff",
    "NaN": '{"returns": [NaN], "lengths": [3]}',
    "a number without end": '{"returns": [' + "1" * 5000 + '], "lengths": [3]}',
    "returns in a text": '{"returns": "123", "lengths": [1, 1, 1]}',
    "returns of texts": '{"returns": ["1", "2"], "lengths": [1, 1]}',
    "lengths that lack": '{"returns": [1.0, 2.0], "lengths": [1]}',
    "more cut than played": '{"returns": [1.0], "lengths": [3], "cut": 3}',
    "a return of 1e308": '{"returns": [1e308, -1e308], "lengths": [3, 3]}',
}


@pytest.mark.parametrize("text", EVALUATIONS.values(), ids=EVALUATIONS)
def test_a_damaged_evaluation_is_one_line(run, capsys, text):
    (run / "evaluation.json").write_text(text)
    assert_one_line(capsys, kgdists("report", run), "damaged", "evaluation.json")


@pytest.mark.exhaustive
@pytest.mark.parametrize("text", EVALUATIONS.values(), ids=EVALUATIONS)
def test_a_run_whose_evaluation_is_damaged_gets_another(run, text):
    (run / "evaluation.json").write_text(text)
    with simple_evaluation():
        assert kgdists("resume", run) == 0
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert len(evaluation["returns"]) == 100 or evaluation["steps"] == 32


# Numbers beyond all bounds


@pytest.mark.parametrize("seed", [2**62 + 1, 2**63, 2**64, 10**20, 10**400, -1])
@pytest.mark.parametrize("agent", ["ppo", *exhaustive("a2c", "sac", "reinforce", "snes", "cmaes")])
def test_a_seed_beyond_all_bounds_is_one_line(tmp_path, capsys, seed, agent):
    status = kgdists("train", "CartPole-v1", "--agent", agent, "--seed", seed, "--out", tmp_path / "run")
    assert_one_line(capsys, status, "`seed` must be None or an int from 0 to 2**62. Received: seed=")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("threads", [-1, 0, 1025, 10**6, 10**20])
def test_threads_beyond_all_bounds_are_one_line(tmp_path, capsys, threads):
    status = kgdists("train", "CartPole-v1", "--threads", threads, "--out", tmp_path / "run")
    assert_one_line(capsys, status, "`--threads` must be from 1 to 1024. Received: ")


@pytest.mark.few(6)
@pytest.mark.parametrize("value", [10**400, -(10**400), True, None, "1", [1.0]])
@pytest.mark.parametrize("name", ["learning_rate", "gamma", "ent_coef"])
def test_numbers_in_a_run_that_no_float_can_hold_are_one_line(run, value, name):
    changed(run, config=json.loads((run / "config.json").read_text())["config"] | {name: value})
    for file in (run / "checkpoints").iterdir():
        replaced(file, config_json=_header(file, name, value))
    with pytest.raises(ValueError, match=f"`{name}` must be") as error:
        PPO.load(run)
    assert "\n" not in str(error.value)


def _header(file, name, value):
    with zipfile.ZipFile(file) as archive:
        header = json.loads(archive.read("config.json"))
    return json.dumps(header | {"config": header["config"] | {name: value}})


@pytest.mark.parametrize(
    ("name", "made"), [("curve", "curve.png"), ("curve.", "curve.png"), ("curve.svg", "curve.svg")]
)
def test_the_name_that_is_printed_is_the_name_that_is_written(run, tmp_path, capsys, name, made):
    assert kgdists("plot", run, "--out", tmp_path / name) == 0
    assert capsys.readouterr().out == f"{tmp_path / made}\n" and (tmp_path / made).is_file()


# Files larger than they look


def test_a_checkpoint_that_unpacks_to_far_more_is_not_unpacked(run, monkeypatch):
    file = run / "checkpoints" / "32.zip"
    with zipfile.ZipFile(file) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content + bytes(10**7 if name == "state.npz" else 0))
    assert file.stat().st_size < 10**5
    with pytest.warns(RunWarning, match="unpack to .* nothing may be compressed. Received: .*32.zip. Going on from 16"):
        assert PPO.load(run).steps == 16


def test_a_state_that_unpacks_to_far_more_is_not_unpacked(run, tmp_path):
    np.savez_compressed(tmp_path / "state.npz", steps=np.zeros(10**7))
    replaced(run / "checkpoints" / "32.zip", state_npz=(tmp_path / "state.npz").read_bytes())
    with pytest.warns(RunWarning, match="nothing may be compressed. Received: .*32.zip. Going on from 16"):
        assert PPO.load(run).steps == 16


@pytest.mark.parametrize("kind", ["compressed", "unwritten", "external", "virtual"])
def test_weights_that_unpack_to_far_more_are_not_unpacked(run, tmp_path, kind):
    weights = tmp_path / "model.weights.h5"
    with h5py.File(weights, "w") as content:
        match kind:
            case "compressed":
                content.create_dataset("x", data=np.zeros(10**7), compression="gzip")
            case "unwritten":
                content.create_dataset("x", (10**12,), "float32")
            case "external":
                content.create_dataset("x", (1,), "float32", external=[(str(run / "config.json"), 0, 4)])
            case "virtual":
                content.create_virtual_dataset("x", h5py.VirtualLayout((4,), "float32"))
    file = run / "policy.keras"
    replaced(file, model_weights_h5=None)
    with zipfile.ZipFile(file) as archive:
        contents = {name: archive.read(name) for name in archive.namelist() if not name.endswith(".h5")}
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
        archive.write(weights, "model.weights.h5")
    with pytest.raises(ValueError, match="nothing may be compressed"):
        load_model(file)


# What is not finite


def poisoned(file, name, part):
    with zipfile.ZipFile(file) as archive:
        state = archive.extract("state.npz", file.parent)
    with np.load(state) as arrays:
        arrays = dict(arrays)
    arrays[name] = np.full_like(arrays[name], part)
    np.savez(state, **arrays)
    replaced(file, state_npz=(file.parent / "state.npz").read_bytes())


@pytest.mark.few(2)
@pytest.mark.parametrize("part", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["optimizer_1", "optimizer_2", "optimizer_3", "kl_coef"])
def test_a_checkpoint_of_numbers_that_are_not_finite_is_passed_over(run, name, part):
    poisoned(run / "checkpoints" / "32.zip", name, part)
    with pytest.warns(RunWarning, match=f"not finite, in {name}. Received: .*32.zip. Going on from 16.zip"):
        assert PPO.load(run).steps == 16


@pytest.mark.few(1)
@pytest.mark.parametrize("part", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("model", ["policy", "value"])
def test_statistics_and_weights_that_are_not_finite_are_passed_over_and_never_saved(tmp_path, model, part, monkeypatch):
    agent = small("CartPole-v1", normalize_observations=True)
    agent.save(tmp_path)
    agent.steps = 16
    poison = getattr(agent, model).variables[0]
    poison.assign(np.full(poison.shape, part))
    with pytest.raises(FloatingPointError, match=f"diverged after 16 steps: {poison.path} not finite.*is .*0.zip"):
        agent.save(tmp_path)
    assert not agent.is_sound and [x.name for x in (tmp_path / "checkpoints").iterdir()] == ["0.zip"]
    with monkeypatch.context() as before:  # as those that were written before this was checked
        before.setattr("kgdists.runs.checkpoint._unsound", lambda models, arrays: [])
        agent.save(tmp_path)
    with pytest.warns(RunWarning, match="not finite, in .*Received: .*16.zip. Going on from 0.zip"):
        assert PPO.load(tmp_path).steps == 0
    with pytest.raises(DamagedFileError, match="not finite"):
        PPO.load(tmp_path / "checkpoints" / "16.zip")


# Modules, and several at once


@pytest.mark.parametrize("command", ["evaluate", "resume", "record"])
def test_the_module_that_an_environment_names_is_named_before_it_is_imported(run, capsys, command):
    changed(run, env="some_module:CartPole-v1")
    assert kgdists(command, run) == 2
    first = capsys.readouterr().err.splitlines()[0]
    assert first.startswith("kgdists: importing the Python module some_module, ") and "some_module" not in sys.modules


@pytest.mark.exhaustive
@pytest.mark.parametrize("out", [None, "run"])
def test_trainings_that_start_at_once_get_a_folder_each_or_one_line(tmp_path, out):
    code = f"""
        import sys
        import tensorflow as tf
        from kgdists.cli import main

        tf.config.run_functions_eagerly(True)
        print("ready", flush=True)
        sys.stdin.readline()
        settings = {[str(x) for x in TINY] + (["--out", out] if out else [])!r}
        sys.exit(main(["train", "CartPole-v1", "--agent", "ppo", "--steps", "8", *settings]))
    """
    started = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    errors = [process.communicate()[1] for process in started]
    statuses = sorted(process.returncode for process in started)
    if out:
        assert statuses == [0, 2, 2, 2] and sum("`--out` must be a new or empty" in x for x in errors) == 3
        assert PPO.load(tmp_path / "run").steps == 8
    else:
        assert statuses == [0, 0, 0, 0]
        assert [PPO.load(folder).steps for folder in (tmp_path / "runs").iterdir()] == [8, 8, 8, 8]


def test_a_run_of_ours_is_still_plotted(tmp_path):
    assert kgdists("plot", written(tmp_path / "run")) == 0


# Folders where files belong, and the other way round

MISPLACED = {
    "metrics.csv": ("metrics.csv lacks whole rows", "metrics-damaged.csv"),
    "learning_curve.png": ("The learning curve is not drawn", None),
    "tensorboard": ("TensorBoard's logs are left out", None),
    "checkpoints/48.zip": ("A folder stood in the place of", None),
}


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", MISPLACED)
def test_what_stands_in_the_place_of_a_file_ends_no_training(run, capsys, name):
    text, other = MISPLACED[name]
    shutil.rmtree(run / "tensorboard", ignore_errors=True)
    (run / name).unlink(missing_ok=True)
    if name == "tensorboard":
        (run / name).write_text("mine")
    else:
        (run / name).mkdir()
        (run / name / "mine").write_text("mine")
    with simple_evaluation():
        assert kgdists("resume", run, "--steps", 48) == 0
    said = capsys.readouterr()
    assert text in said.err and "\n48 steps in " in said.out and "Traceback" not in said.err
    assert PPO.load(run).steps == 48
    assert other is None or (run / other / "mine").read_text() == "mine"


@pytest.mark.exhaustive
def test_without_tensorboard_its_logs_are_left_out(run, capsys, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *at: None if name == "tensorboard" else found(name, *at)
    )
    shutil.rmtree(run / "tensorboard", ignore_errors=True)
    with simple_evaluation():
        assert kgdists("resume", run, "--steps", 48) == 0
    said = capsys.readouterr()
    assert "they need tensorboard, which `pip install 'kgdists[agents]'` brings" in said.err
    assert "\n48 steps in " in said.out and not (run / "tensorboard").exists()


@pytest.mark.exhaustive
def test_an_evaluation_that_cannot_be_written_is_still_said(run, capsys):
    (run / "evaluation.json").unlink()
    (run / "evaluation.json").mkdir()
    with simple_evaluation():
        assert kgdists("resume", run, "--steps", 48) == 2
    said = capsys.readouterr()
    assert "\n48 steps in " in said.out and "evaluation.json" in said.err


@contextlib.contextmanager
def simple_evaluation():
    tf.config.run_functions_eagerly(False)  # a hundred episodes in one environment are many steps
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(True)


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((".foo:CartPole-v1",), "must have its full name"),
        (("CartPole-v1", "--steps", "1" + "0" * 400), "`--steps` must be from 1 to 1e+15"),
        (("CartPole-v1", "--steps", 10**15 + 1), "`--steps` must be from 1 to 1e+15"),
        (("CartPole-v1", "--agent", "sac", "--buffer-size", 10**13), ""),
        (("CartPole-v1", "--hidden-units", 3_000_000, 3_000_000), ""),
    ],
)
def test_what_no_machine_can_do_is_one_line(tmp_path, capsys, arguments, text):
    assert_one_line(capsys, kgdists("train", *arguments, "--out", tmp_path / "run"), text)


def test_a_schedule_that_is_none_is_a_damaged_configuration(run, capsys):
    config = json.loads((run / "config.json").read_text())
    schedule = {"module": "keras.optimizers.schedules", "class_name": "PolynomialDecay", "registered_name": None}
    schedule["config"] = {"initial_learning_rate": "a"}
    changed(run, config=config["config"] | {"learning_rate": schedule})
    for file in ("checkpoints", "policy.keras", "metrics.csv", "evaluation.json"):
        shutil.rmtree(run / file) if (run / file).is_dir() else (run / file).unlink()
    assert kgdists("resume", run) == 2
    warning, error = capsys.readouterr().err.splitlines()
    assert "Other versions" in warning and "damaged" in error and "config.json" in error
