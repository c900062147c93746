import csv

import pytest

from kgdists.agents.callbacks import MetricsFile, ProgressBar
from tests.agents.helpers import counters, small

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.mark.parametrize("total_steps", [48, 40, 1])
def test_a_progress_bar_ends_at_the_number_of_steps(capsys, total_steps):
    small(counters(4, 4)).learn(total_steps, [ProgressBar(total_steps)])
    last = capsys.readouterr().out.split("\r")[-1].splitlines()[-1]
    assert f"{total_steps}/{total_steps}" in last and "return: 10.0" in last


def test_a_progress_bar_counts_the_steps_of_this_training_only(capsys):
    agent = small(counters(4, 4))
    agent.learn(32)
    agent.learn(32, [ProgressBar(32)])
    assert "32/32" in capsys.readouterr().out


def test_a_metrics_file_has_a_column_per_log_in_their_order(tmp_path):
    history = small(counters(4, 4)).learn(32, [MetricsFile(tmp_path / "metrics.csv")]).history
    with (tmp_path / "metrics.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    assert reader.fieldnames[:3] == ["epoch", "steps", "return"]
    assert set(reader.fieldnames) == {"epoch", *history}
    assert [float(row["steps"]) for row in rows] == [16.0, 32.0]
