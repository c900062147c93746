"""Runs whose files were changed at random: a good checkpoint, or one line; and nothing of the run is lost.

KGDISTS_FUZZ=500 pytest -n auto -m exhaustive tests/runs/test_file_fuzz.py
"""

import json
import os
import shutil
import warnings
import zipfile

import numpy as np
import pytest

from kgdists.agents import PPO
from kgdists.core.run_warning import RunWarning
from tests.agents.helpers import small, weights
from tests.cli.helpers import kgdists

SEEDS = int(os.environ.get("KGDISTS_FUZZ", "60"))
FILES = (
    "checkpoints/16.zip",
    "checkpoints/32.zip",
    "policy.keras",
    "config.json",
    "metrics.csv",
    "evaluation.json",
)
COMMANDS = (
    ("evaluate", "--episodes", 1),
    ("resume",),
    ("report",),
    ("plot",),
)


pytestmark = pytest.mark.usefixtures("eagerly_throughout")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that is finished, and the weights of its checkpoints by their steps."""
    folder, agent, known = tmp_path_factory.mktemp("finished") / "run", small("CartPole-v1"), {}
    for agent.steps in (16, 32):
        for x in agent.variables:
            x.assign_add(np.ones(x.shape))
        known[agent.steps] = weights(agent)
        agent.save(folder)
    config = json.loads((folder / "config.json").read_text())
    facts = {"total_steps": 32, "threads": 1, "evaluate_every": None, "versions": {"numpy": np.__version__}}
    (folder / "config.json").write_text(json.dumps(config | facts, indent=2))
    (folder / "metrics.csv").write_text("epoch,steps,return,kl\n0,16,9.0,0.01\n1,32,9.5,NA\n")
    (folder / "evaluation.json").write_text(json.dumps({"returns": [9.0] * 3, "lengths": [9] * 3, "steps": 32}))
    (folder / "learning_curve.png").write_bytes(b"")
    return folder, known


def loaded_or_one_line(run):
    """The agent of a run, None if loading it is refused in one line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunWarning)
        try:
            return PPO.load(run)
        except ValueError as error:
            assert "\n" not in str(error) and "Received: " in str(error)


def changed_bytes(draw, content, other):
    for _ in range(draw.integers(1, 9)):
        content[draw.integers(len(content))] = draw.integers(256)
    return content


def changed_digits(draw, content, other):
    places = [i for i, x in enumerate(content) if chr(x).isdigit()]
    for i in draw.choice(places, size=draw.integers(1, 4)):
        content[i] = ord(str(draw.integers(10)))
    return content


def flipped_bit(draw, content, other):
    content[draw.integers(len(content))] ^= 1 << draw.integers(8)
    return content


def cut(draw, content, other):
    return content[: draw.integers(len(content))]


def without_a_piece(draw, content, other):
    start, end = sorted(draw.integers(len(content), size=2))
    return content[:start] + content[end:]


def twice(draw, content, other):
    return content + content


def zeros(draw, content, other):
    start, end = sorted(draw.integers(len(content), size=2))
    content[start:end] = bytes(end - start)
    return content


def with_pieces_swapped(draw, content, other):
    a, b, c = sorted(draw.integers(len(content), size=3))
    return content[:a] + content[b:c] + content[a:b] + content[c:]


def with_a_piece_of_another(draw, content, other):
    start, end = sorted(draw.integers(len(other), size=2))
    at = draw.integers(len(content))
    return content[:at] + other[start:end] + content[at:]


def swapped(draw, content, other):
    return other


def noise(draw, content, other):
    return bytearray(draw.bytes(draw.integers(1, 2000)))


def nothing(draw, content, other):
    return bytearray()


CHANGES = (
    changed_bytes,
    changed_digits,
    flipped_bit,
    cut,
    without_a_piece,
    twice,
    zeros,
    with_pieces_swapped,
    with_a_piece_of_another,
    swapped,
    noise,
    nothing,
)


@pytest.mark.few(1)
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_run_whose_files_were_changed_is_a_good_checkpoint_or_one_line(finished, tmp_path, capsys, seed):
    draw, run = np.random.default_rng(seed), shutil.copytree(finished[0], tmp_path / "run")
    name, change = FILES[seed % len(FILES)], CHANGES[draw.integers(len(CHANGES))]
    file, other = run / name, run / draw.choice([x for x in FILES if x != name])
    content = change(draw, bytearray(file.read_bytes()), bytearray(other.read_bytes()))
    file.write_bytes(content)
    before = (run / "config.json").read_bytes(), sorted(x.name for x in (run / "checkpoints").iterdir())
    command, *options = COMMANDS[draw.integers(len(COMMANDS))]
    status = kgdists(command, run, *options)
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert status in (0, 2) and all(line.startswith("kgdists") for line in lines), lines
    assert len([line for line in lines if ": error: " in line]) == (status == 2), lines
    if command != "resume":
        assert before == ((run / "config.json").read_bytes(), sorted(x.name for x in (run / "checkpoints").iterdir()))
    agent = loaded_or_one_line(run)
    is_trained = command == "resume" and "from step 16" in said.out
    assert agent is None or is_trained or np.array_equal(weights(agent), finished[1][agent.steps])


@pytest.mark.exhaustive
@pytest.mark.parametrize("seed", range(60))
def test_a_part_of_a_checkpoint_that_was_changed_behind_its_checksums_is_one_line(finished, tmp_path, seed):
    """What is changed and written anew has good checksums: it may be another agent's, but does no harm."""
    draw, run = np.random.default_rng(seed), shutil.copytree(finished[0], tmp_path / "run")
    file = run / "checkpoints" / "32.zip"
    with zipfile.ZipFile(file) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    name, other = draw.choice(list(contents), size=2)
    change = CHANGES[draw.integers(len(CHANGES))]
    contents[name] = bytes(change(draw, bytearray(contents[name]), bytearray(contents[other])))
    with zipfile.ZipFile(file, "w") as archive:
        for part, content in contents.items():
            archive.writestr(part, content)
    agent = loaded_or_one_line(run)
    assert agent is None or np.isfinite(weights(agent)).all()
