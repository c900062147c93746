"""README's picture is of what README says, and not older than it."""

import re

import pytest
from PIL import Image

from kgdists.cli import main
from kgdists.runs.layout import read_config, read_evaluation
from kgdists.runs.metrics import read_metrics
from tests.pictures.learning_curve import DATA, PICTURE, ROOT, command, fingerprint

README = (ROOT / "README.md").read_text()


def test_the_picture_is_not_older_than_its_command_numbers_and_code():
    with Image.open(PICTURE) as picture:
        assert picture.text.get("Source") == fingerprint(), "run `python -m tests.pictures.learning_curve`"


def test_the_text_beside_the_picture_has_its_numbers():
    metrics, evaluation = read_metrics(DATA), read_evaluation(DATA)
    text = re.search(r"!\[([^\]]*)\]\(docs/images/learning_curve.png\)", README)[1]
    assert f"to {metrics['return'][-1]:.0f} in {metrics['steps'][-1]:,.0f} steps" in text
    assert set(evaluation.returns) == {500.0} and "500 in every one of 100 episodes" in text
    assert len(evaluation.returns) == 100


@pytest.mark.exhaustive
def test_the_command_still_makes_such_a_run(tmp_path):
    assert main([*command(), "--out", str(tmp_path / "run")]) == 0
    assert read_evaluation(tmp_path / "run").mean > 475.0
    assert read_metrics(tmp_path / "run")["steps"][-1] == read_metrics(DATA)["steps"][-1]
    ours, theirs = (read_config(run) for run in (tmp_path / "run", DATA))
    assert (ours["agent"], ours["env"], ours["config"]) == (theirs["agent"], theirs["env"], theirs["config"])
