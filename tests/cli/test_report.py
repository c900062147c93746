import pytest

from kgdists.cli.reproduce import command_of
from kgdists.runs.folder import read_run
from kgdists.runs.reporting import report
from tests.cli.helpers import assert_one_line, kgdists, written


@pytest.fixture
def run(tmp_path):
    return written(tmp_path / "run")


@pytest.mark.exhaustive
def test_a_report_goes_into_the_first_run(run, capsys):
    assert kgdists("report", run) == 0
    assert capsys.readouterr().out == f"{run / 'report.html'}\n"
    assert (run / "report.html").read_text() == report([run], [command_of(read_run(run))])


def test_a_report_of_several_runs_goes_where_it_is_asked_for(run, tmp_path):
    other = written(tmp_path / "other", seed=1)
    assert kgdists("report", run, other, "--out", tmp_path / "page.html") == 0
    assert "2 seeds" in (tmp_path / "page.html").read_text() and not (run / "report.html").exists()


@pytest.mark.parametrize("name", ["config.json", "metrics.csv", "policy.keras", "evaluation.json"])
def test_a_damaged_run_is_one_line_and_the_old_page_stays(run, name, capsys):
    (run / "report.html").write_text("old")
    (run / name).write_bytes((run / name).read_bytes()[:15])
    assert_one_line(capsys, kgdists("report", run), "Received: ", str(run))
    assert (run / "report.html").read_text() == "old"


def test_what_is_no_run_is_one_line(tmp_path, capsys):
    assert_one_line(capsys, kgdists("report", tmp_path / "nowhere"), "nowhere")
    assert_one_line(capsys, kgdists("report", tmp_path), "config.json", str(tmp_path))
    assert_one_line(capsys, kgdists("report"), "RUN")


@pytest.mark.parametrize("out", [".", "nowhere/page.html"])
def test_pages_that_cannot_be_written(run, tmp_path, out, capsys):
    assert_one_line(capsys, kgdists("report", run, "--out", tmp_path / out), "`--out` must be")
