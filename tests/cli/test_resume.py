import csv
import functools
import io
import json
import os
import shutil
import signal

import numpy as np
import pytest

from kgdists.agents import PPO
from kgdists.cli.training import exclusive_run
from tests.agents.helpers import Broken, Noise
from tests.cli.helpers import assert_one_line, kgdists, registered
from tests.kills import differences, results

TINY = ["--num-envs", 2, "--n-steps", 8, "--batch-size", 16, "--n-epochs", 1, "--hidden-units", 4]
TRAIN = [*TINY, "--steps", 64, "--save-every", 0]


class Events(Noise):
    """Something happens at one step of all that are taken, of the first training."""

    taken = 0
    happens = {}

    def step(self, action):
        Events.taken += 1
        for happen in Events.happens.get(Events.taken, ()):
            happen()
        return super().step(action)


def fail():
    raise RuntimeError("the physics broke")


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


pytestmark = pytest.mark.usefixtures("eagerly_throughout")


@pytest.fixture
def happens(monkeypatch):
    """What happens after 39 steps, in the middle of the third update, by name of the environment."""
    monkeypatch.setattr(Events, "taken", 0)
    monkeypatch.setattr(Events, "happens", {})
    with registered(Events) as name:
        yield lambda *what: Events.happens.update({39: what}) or name


def assert_same(run, other):
    differ = differences(results(run), results(other))
    assert [name for name in differ if not name.endswith(".keras config")] == []  # Keras counts its layers


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A run of four updates that nothing happened to."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    with registered(Events) as name:
        assert kgdists("train", name, *TINY, "--steps", 64, "--out", folder) == 0
    return folder


@pytest.fixture(scope="module")
def killed(uninterrupted, tmp_path_factory):
    """A copy of it as if it had been killed after its checkpoint at three quarters."""
    run = shutil.copytree(uninterrupted, tmp_path_factory.mktemp("runs") / "run")
    with registered(Events) as name:
        ended = PPO.load(run)
        agent = PPO(name, **ended.config.__dict__)
        agent.owned.run = ended.owned.run
        shutil.rmtree(run / "checkpoints")
        agent.learn(48)
    agent.save(run)
    (run / "evaluation.json").unlink()
    with (run / "metrics.csv").open("a") as file:
        file.write("4,80,1.")
    return run


@pytest.fixture
def run(killed, tmp_path):
    with registered(Events):
        yield shutil.copytree(killed, tmp_path / "run")


def test_a_resumed_run_ends_as_an_uninterrupted_one(run, uninterrupted, capsys):
    assert kgdists("resume", run) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == f"ppo on kgdists/Events-v0, from step 48 to 64, in {run}"
    assert out[-2].startswith("kgdists/Events-v0: return ") and out[-1].endswith(f"saved in {run}")
    assert_same(run, uninterrupted)
    assert kgdists("resume", run) == 0
    assert capsys.readouterr().out == f"{run} is finished, after 64 steps\n"


@pytest.mark.exhaustive
def test_a_run_that_was_killed_before_its_first_checkpoint_is_begun_again(run, uninterrupted):
    for file in (*run.iterdir(), *(run / "checkpoints").iterdir()):
        if file.is_file() and file.name != "config.json":
            file.unlink()
    assert kgdists("resume", run) == 0
    assert_same(run, uninterrupted)


@pytest.mark.exhaustive
def test_a_run_that_was_killed_before_its_first_checkpoint_and_again_is_still_one(run, uninterrupted, monkeypatch):
    config = json.loads((run / "config.json").read_text())
    for path in run.iterdir():
        if path.name != "config.json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    monkeypatch.setattr(Events, "taken", 0)
    monkeypatch.setattr(Events, "happens", {39: (interrupt, interrupt)})
    assert kgdists("resume", run, "--save-every", 1e9) == 130
    assert json.loads((run / "config.json").read_text()) == config
    assert kgdists("resume", run) == 0
    assert_same(run, uninterrupted)


@pytest.mark.exhaustive
@pytest.mark.parametrize("left", ["policy.keras", "metrics.csv", "evaluation.json"])
def test_a_run_whose_checkpoints_were_deleted_is_left_as_it_is(uninterrupted, tmp_path, capsys, left):
    run = shutil.copytree(uninterrupted, tmp_path / "run", ignore=shutil.ignore_patterns("tensorboard", "*.png"))
    shutil.rmtree(run / "checkpoints")
    for name in {"policy.keras", "metrics.csv", "evaluation.json"} - {left}:
        (run / name).unlink()
    before = {file: file.read_bytes() for file in run.iterdir()}
    assert_one_line(capsys, kgdists("resume", run), "A run goes on from a checkpoint, and this one has none", str(run))
    assert {file: file.read_bytes() for file in run.iterdir()} == before


@pytest.mark.exhaustive
def test_a_run_that_lacks_its_evaluation_gets_it(run, uninterrupted, capsys):
    shutil.rmtree(run)
    shutil.copytree(uninterrupted, run)
    (run / "evaluation.json").write_text((run / "evaluation.json").read_text().replace('"steps": 64', '"steps": 48'))
    assert kgdists("resume", run) == 0
    assert_same(run, uninterrupted)


@pytest.mark.exhaustive
def test_a_damaged_checkpoint_is_one_line_of_warning(run, uninterrupted, capsys):
    (run / "checkpoints" / "96.zip").write_bytes(b"PK")
    assert kgdists("resume", run) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("kgdists: warning: ") and line.endswith("96.zip. Going on from 48.zip")
    assert_same(run, uninterrupted)
    assert sorted(file.name for file in (run / "checkpoints").iterdir()) == ["48.zip", "64.zip"]


@pytest.mark.exhaustive
def test_other_versions_are_told(run, capsys):
    config = json.loads((run / "config.json").read_text())
    config["versions"]["numpy"] = "1.0"
    (run / "config.json").write_text(json.dumps(config))
    assert kgdists("resume", run) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert f"Other versions may compute other numbers: numpy {np.__version__}, not 1.0" in line


METRICS = {
    "cut in the middle": lambda text: text[: len(text) // 2],
    "cut in the header": lambda text: text[:20],
    "cut by one byte": lambda text: text[:-1],
    "empty": lambda text: "",
    "no header": lambda text: text.partition("\n")[2],
    "one metric fewer": lambda text: without_column(text, "entropy"),
    "no steps": lambda text: without_column(text, "steps"),
    "another metric": lambda text: text.replace("entropy", "surprise"),
    "a digit flipped to a letter": lambda text: text.replace("0,16", "0,1G"),
    "a step flipped": lambda text: text.replace("\n1,32", "\n1,12"),
    "an epoch flipped": lambda text: text.replace("\n1,32", "\n5,32"),
    "a comma flipped": lambda text: text.replace("\n1,32", "\n1;32"),
    "a row twice": lambda text: text + text.splitlines(keepends=True)[-1],
    "rows in another order": lambda text: "".join(text.splitlines(keepends=True)[i] for i in (0, 3, 2, 1)),
    "a column twice": lambda text: text.replace("entropy", "kl"),
    "bytes of another kind": lambda text: "\x00\x01" + text,
    "an endless number": lambda text: text.replace("0,16", "0,1e999"),
}


def without_column(text, name):
    rows = [row.split(",") for row in text.splitlines()]
    at = rows[0].index(name)
    return "".join(",".join(row[:at] + row[at + 1 :]) + "\n" for row in rows)


@pytest.mark.exhaustive
@pytest.mark.parametrize("change", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize("is_finished", [False, True])
def test_the_log_never_decides_what_becomes_of_a_training(run, uninterrupted, capsys, change, is_finished):
    if is_finished:
        shutil.rmtree(run)
        shutil.copytree(uninterrupted, run)
        (run / "evaluation.json").unlink()
    file = run / "metrics.csv"
    rows = {row["steps"]: row for row in csv.DictReader(io.StringIO((uninterrupted / "metrics.csv").read_text()))}
    text = file.read_text().removesuffix("4,80,1.")  # a row that was not written to its end
    file.write_text(change(text))
    assert kgdists("resume", run) == 0
    errors = capsys.readouterr().err.splitlines()
    assert all(line.startswith("kgdists: warning: ") for line in errors) and len(errors) <= 2
    shutil.rmtree(run / "tensorboard")
    if not file.exists():  # what was there was no log, and there is no more to be logged
        assert is_finished and (run / "metrics-damaged.csv").read_text() == change(text)
        file.write_text("")
    differ = differences(results(run), results(uninterrupted))
    assert {name for name in differ if not name.endswith(".keras config")} <= {"metrics"}
    for row in csv.DictReader(io.StringIO(file.read_text())):
        same = row.keys() & rows[row["steps"]].keys() - {"steps_per_second"}
        assert {row[name] for name in same if row[name] != "NA"} <= set(rows[row["steps"]].values())
        assert {"epoch", "steps", "return"} <= same
        assert all(row[name] in ("NA", rows[row["steps"]][name]) for name in same)
    whole = [row["steps"] for row in csv.DictReader(io.StringIO(file.read_text()))] == list(rows)
    assert whole or errors


def test_two_processes_do_not_train_the_same_run(run, capsys):
    with exclusive_run(run):
        assert_one_line(capsys, kgdists("resume", run), "A run is trained by one process at a time", str(run))


def test_what_cannot_be_resumed_is_one_line(run, tmp_path, capsys):
    assert_one_line(capsys, kgdists("resume", tmp_path / "nowhere"), "no such run folder", "nowhere")
    assert_one_line(capsys, kgdists("resume", tmp_path), "a run folder must contain the file config.json")
    assert_one_line(
        capsys, kgdists("resume", run, "--save-every", -1), "--save-every: must be a number >= 0. Received: -1"
    )
    (run / "checkpoints" / "48.zip").write_bytes(b"PK")
    assert_one_line(capsys, kgdists("resume", run), "damaged", "48.zip")
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"agent": "dqn"}))
    assert_one_line(capsys, kgdists("resume", run), "Received: dqn")
    del config["total_steps"]
    (run / "config.json").write_text(json.dumps(config))
    assert_one_line(capsys, kgdists("resume", run), "A run is resumed if `kgdists train` started it")


@pytest.mark.exhaustive
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_interrupt_ends_with_checkpoint_evaluation_and_summary(
    number, status, happens, uninterrupted, tmp_path, capsys
):
    run, env = tmp_path / "run", happens(functools.partial(signal.raise_signal, number))
    assert kgdists("train", env, *TRAIN, "--save-every", 60, "--out", run) == status
    out = capsys.readouterr().out
    assert f"stopped after 48 of 64 steps; `kgdists resume {run}` goes on" in out
    assert out.splitlines()[-1].startswith("48 steps in ")
    assert json.loads((run / "evaluation.json").read_text())["steps"] == 48
    assert kgdists("resume", run) == 0
    assert_same(run, uninterrupted)


@pytest.mark.exhaustive
def test_the_second_interrupt_ends_at_once(happens, uninterrupted, tmp_path, capsys):
    run = tmp_path / "run"
    before = signal.getsignal(signal.SIGINT)
    assert kgdists("train", happens(interrupt, interrupt), *TRAIN, "--out", run) == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"aborted; `kgdists resume {run}` goes on from {run / 'checkpoints' / '32.zip'}"
    assert signal.getsignal(signal.SIGINT) is before and not (run / "evaluation.json").exists()
    assert kgdists("resume", run) == 0
    assert_same(run, uninterrupted)


@pytest.mark.exhaustive
def test_an_environment_that_fails_loses_no_training(happens, tmp_path, capsys):
    run = tmp_path / "run"
    assert kgdists("train", happens(fail), *TRAIN, "--save-every", 60, "--out", run) == 1
    *traceback, last = capsys.readouterr().err.splitlines()
    assert last == (
        "kgdists: error: RuntimeError after 32 steps: the physics broke; "
        f"`kgdists resume {run}` goes on from {run / 'checkpoints' / '32.zip'}"
    )
    assert any("in fail" in line for line in traceback)
    assert kgdists("resume", run) == 0
    assert capsys.readouterr().err.strip().endswith("The episodes being played were not recorded: new ones are started")
    assert PPO.load(run).steps == 64


@pytest.mark.exhaustive
def test_divergence_names_the_last_good_checkpoint(tmp_path, capsys):
    class Diverging(Broken):
        def __init__(self):
            super().__init__(20)

    with registered(Diverging) as name:
        status = kgdists("train", name, *TRAIN, "--out", tmp_path / "run")
        parts = (
            "diverged after 32 steps: ",
            "value_loss",
            f"The last good checkpoint is {tmp_path}/run/checkpoints/32.zip",
        )
        assert_one_line(capsys, status, *parts, expected=1)
        assert PPO.load(tmp_path / "run").steps == 32
