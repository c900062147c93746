"""The command that tries versions of packages and Pythons, without what it installs, and its record."""

import json
import re
import tempfile

import pytest

from tests import versions


def test_the_oldest_packages_are_the_lower_bounds():
    bounds = versions._setup()["options"]["install_requires"].split()
    assert set(versions.oldest()) >= {bound.partition(",")[0].replace(">=", "==") for bound in bounds}
    assert all(re.fullmatch(r"[a-z0-9-]+(\[[a-z,-]+\])?==[0-9.]+", pin) for pin in versions.oldest())


def test_the_last_run_of_each_version_passed():
    record = json.loads(versions.RECORD.read_text())
    assert set(record) == set(versions.NAMES)
    for name, entry in record.items():
        assert entry["tests"] > 0 and entry["failures"] == entry["errors"] == 0, name
    oldest = dict(pin.split("==") for pin in versions.oldest())
    for package in versions.PACKAGES:
        assert f"{record['oldest'][package]}.".startswith(f"{oldest[package]}."), package
    for name in record.keys() & set(versions.NAMES[2:4]):
        assert f"python{record[name]['python']}".startswith(name)


def test_what_cannot_be_installed_has_failed_and_leaves_nothing(tmp_path, monkeypatch, capsys):
    (tmp_path / "folders").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "folders"))
    monkeypatch.setattr(versions, "RECORD", tmp_path / "versions.json")
    monkeypatch.setattr(versions, "commit_of_work_tree", lambda record: "this")
    monkeypatch.setattr(versions, "NAMES", ("python3.0",))
    assert versions.main(["python3.0"])
    entry = json.loads(versions.RECORD.read_text())["python3.0"]
    assert entry["commit"] == "this" and (entry["tests"], entry["failures"], entry["errors"]) == (0, 0, 1)
    assert "errors 1" in capsys.readouterr().out and not any((tmp_path / "folders").iterdir())


def test_names_are_of_the_list():
    with pytest.raises(SystemExit, match=r"Names must be of oldest, newest, .*\. Received: latest"):
        versions.main(["latest"])
