import os
import shutil
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from kgdists.cli import program_cache
from kgdists.cli.program_cache import keep_programs, publish


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """A process without TensorFlow, whose programs are kept in a folder of the test."""
    monkeypatch.delitem(sys.modules, "tensorflow")
    monkeypatch.setenv("TF_XLA_FLAGS", "")  # which brings back what was before
    monkeypatch.setenv("KGDISTS_CACHE", str(tmp_path))
    ends = []
    monkeypatch.setattr(program_cache, "atexit", SimpleNamespace(register=lambda *call: ends.append(call)))
    return ends


def own_folder(flags):
    (flag,) = [flag for flag in flags.split() if "persistent_cache" in flag]
    return flag.partition("=")[2]


def command(ends, monkeypatch, **compiled):
    """What a command finds, which compiles programs, and ends."""
    monkeypatch.setenv("TF_XLA_FLAGS", "")
    keep_programs()
    own = own_folder(os.environ["TF_XLA_FLAGS"])
    found = sorted(os.listdir(own))
    for name, text in compiled.items():
        with open(f"{own}/{name}.pb", "w") as file:
            file.write(text)
    publish, *arguments = ends.pop()
    publish(*arguments)
    assert not os.path.exists(own)
    return found


def test_a_command_finds_what_others_have_compiled(fresh, monkeypatch):
    assert command(fresh, monkeypatch, a="program") == []
    assert command(fresh, monkeypatch, b="another") == ["a.pb"]
    assert command(fresh, monkeypatch) == ["a.pb", "b.pb"]


@pytest.mark.parametrize("text", ["", "prog", "other!!"])
def test_a_damaged_program_is_compiled_again(fresh, monkeypatch, tmp_path, text):
    command(fresh, monkeypatch, a="program", b="another")
    (damaged,) = tmp_path.glob("programs/2*/*-a.pb")
    damaged.write_text(text)
    assert command(fresh, monkeypatch, a="program") == ["b.pb"]
    assert command(fresh, monkeypatch) == ["a.pb", "b.pb"]


def test_other_flags_stay(fresh, monkeypatch):
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_clustering_debug")
    keep_programs()
    first, _ = os.environ["TF_XLA_FLAGS"].split()
    assert first == "--tf_xla_clustering_debug"


@pytest.mark.parametrize("why", ["off", "given", "loaded", "unknown", "full", "file", "space"])
def test_nothing_is_kept(fresh, monkeypatch, tmp_path, why):
    match why:
        case "off":
            monkeypatch.setenv("KGDISTS_CACHE", "")
        case "given":
            monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_persistent_cache_directory=/elsewhere")
        case "loaded":
            monkeypatch.setitem(sys.modules, "tensorflow", SimpleNamespace())
        case "unknown":
            monkeypatch.setattr(program_cache, "KNOWN", ("1.15.",))
        case "full":
            monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**20))
        case "file":
            (tmp_path / "taken").write_text("")
            monkeypatch.setenv("KGDISTS_CACHE", str(tmp_path / "taken"))
        case "space":
            monkeypatch.setenv("KGDISTS_CACHE", str(tmp_path / "a folder"))
    before = os.environ.get("TF_XLA_FLAGS")
    keep_programs()
    assert os.environ.get("TF_XLA_FLAGS") == before and not fresh


def test_the_oldest_programs_give_way(fresh, monkeypatch, tmp_path):
    monkeypatch.setattr(program_cache, "ROOM", 20)
    command(fresh, monkeypatch, a="program")
    (old,) = tmp_path.glob("programs/2*/*-a.pb")
    os.utime(old, (1.0, 1.0))
    command(fresh, monkeypatch, b="p" * 15)
    assert command(fresh, monkeypatch) == ["b.pb"]


def test_what_a_killed_process_leaves_is_removed_after_a_day(fresh, monkeypatch, tmp_path):
    keep_programs()
    left = own_folder(os.environ["TF_XLA_FLAGS"])
    command(fresh, monkeypatch)
    assert os.path.exists(left)
    os.utime(left, (time.time() - 2 * program_cache.DAY,) * 2)
    command(fresh, monkeypatch)
    assert not os.path.exists(left)


def test_a_child_that_was_forked_leaves_the_programs(tmp_path):
    own, kept = tmp_path / "own", tmp_path / "kept"
    for folder in (own, kept):
        folder.mkdir()
    publish(own, kept, os.getpid() + 1)
    assert own.exists()


@pytest.mark.exhaustive
def test_a_training_by_kept_programs_is_the_same_to_the_bit(tmp_path):
    losses, programs = [], []
    for i in range(2):
        out = tmp_path / str(i)
        command = ["train", "CartPole-v1", "--steps", "1024", "--eval-episodes", "2", "--out", out]
        environment = os.environ | {"KGDISTS_CACHE": str(tmp_path / "cache")}
        subprocess.run([sys.executable, "-m", "kgdists", *map(str, command)], env=environment, check=True)
        rows = (out / "metrics.csv").read_text().splitlines()
        speed = rows[0].split(",").index("steps_per_second")
        losses.append([x for row in rows for i, x in enumerate(row.split(",")) if i != speed])
        programs.append(sorted(path.name for path in tmp_path.glob("cache/programs/2*/*.pb")))
    assert losses[0] == losses[1]
    assert programs[0] == programs[1] and programs[0]
