import base64
import json
import re
import xml.etree.ElementTree as ElementTree
import zipfile

import html5lib
import numpy as np
import pytest

import kgdists as kg
from kgdists.runs.metric_guide import MEANINGS, meaning_of
from kgdists.runs.reporting import number, report
from tests.agents.helpers import Noise
from tests.agents.test_ppo import LOGS
from tests.cli.helpers import written

NAMESPACE = "{http://www.w3.org/1999/xhtml}"


def parsed(page):
    """The page as a tree, seen to be valid HTML."""
    return html5lib.HTMLParser(strict=True).parse(page)


def tables(page):
    """All tables as rows of texts."""
    return [
        [["".join(cell.itertext()) for cell in row] for row in table.iter(f"{NAMESPACE}tr")]
        for table in parsed(page).iter(f"{NAMESPACE}table")
    ]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [
        written(folder / "a0", seed=0, returns=(1.0, 100.0)),
        written(folder / "a1", seed=1, returns=(1.0, 200.0, 400.0)),
        written(folder / "b", seed=0, gamma=0.5, returns=(1.0, 12.5)),
    ]


@pytest.fixture(scope="module")
def page(runs):
    return report(runs)


@pytest.mark.exhaustive
def test_a_page_has_the_evaluation_of_each_run_and_over_the_seeds(page):
    evaluations = tables(page)[0]
    assert evaluations[1:] == [
        ["ppo, gamma=0.99: 250.0, from 100.0 to 400.0 (2 seeds)"],
        ["a0", "0", "100.0 ± 0", "2", "100.0", "200", "0.00667"],
        ["a1", "1", "400.0 ± 0", "2", "400.0", "300", "0.01"],
        ["ppo, gamma=0.5: 12.5"],
        ["b", "0", "12.5 ± 0", "2", "12.5", "200", "0.00667"],
    ]


@pytest.mark.exhaustive
def test_a_page_has_the_statistics_of_each_policy(page):
    head, *rows = tables(page)[1]
    assert head == ["Run", "Head", "Weights", "entropy", "kl", "steps_per_second"]
    assert rows[1] == ["a1", "CategoricalHead", "17", "0.5", "0.02", "500.0"]


@pytest.mark.exhaustive
def test_settings_that_differ_are_marked(page):
    assert tables(page)[2] == [
        ["Setting", "ppo, gamma=0.99", "ppo, gamma=0.5"],
        ["gamma", "0.99", "0.5"],
        ["learning_rate", "0.0003", "0.0003"],
        ["hidden_units", "[64, 64]", "[64, 64]"],
    ]
    marked = [row for row in parsed(page).iter(f"{NAMESPACE}tr") if row.get("class") == "differs"]
    assert [row[0].text for row in marked] == ["gamma"]


def test_every_metric_is_drawn_and_explained(page):
    images = [image.get("alt") for image in parsed(page).iter(f"{NAMESPACE}img")]
    assert [alt.split()[0] for alt in images] == ["Return", "entropy", "kl", "steps_per_second"]
    assert all(MEANINGS[name] in page.replace("&#39;", "'") for name in ("entropy", "kl", "steps_per_second"))


def test_figures_are_svg(page):
    for image in parsed(page).iter(f"{NAMESPACE}img"):
        kind, _, data = image.get("src").partition(",")
        assert kind == "data:image/svg+xml;base64"
        assert ElementTree.fromstring(base64.b64decode(data)).tag == "{http://www.w3.org/2000/svg}svg"


def test_a_page_refers_to_nothing_outside_itself(page):
    assert not re.search(r"<script|<link|<iframe|@import|url\(|https?://", page)
    sources = [x.get(name) for x in parsed(page).iter() for name in ("src", "href", "srcset") if x.get(name)]
    assert sources and all(source.startswith("data:") for source in sources)


def test_a_page_fits_a_phone(page):
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    wide = [x for x in parsed(page).iter(f"{NAMESPACE}div") if x.get("class") == "table"]
    assert len(wide) == len(tables(page)) == 3  # each scrolls by itself


@pytest.mark.exhaustive
def test_the_same_runs_make_the_same_page(runs, page):
    assert report(runs) == page


@pytest.mark.exhaustive
def test_every_text_is_escaped(tmp_path):
    evil = '<script>alert("$x_$")</script>&'
    run = written(tmp_path / '<b>&"', env=evil, agent=evil, seed=evil, note=evil, **{"<i>": 1})
    (run / "metrics.csv").write_text((run / "metrics.csv").read_text().replace("entropy", "<i>$x_$</i>&"))
    page = report([run, written(tmp_path / "other", env=evil, agent=evil, seed=evil, note=f"{evil}2")])
    assert "<script" not in page and "<i>" not in page and "<b>" not in page
    assert tables(page)[0][2][:2] == ['<b>&"', evil]
    assert tables(page)[2][-1] == ["<i>", "1", ""] and tables(page)[2][-2][1:] == [evil, f"{evil}2"]


@pytest.mark.exhaustive
def test_each_environment_has_its_section(tmp_path):
    runs = [written(tmp_path / name, env=name[0], agent=name[1:]) for name in ("xppo", "ysac", "xsac")]
    page = report(runs)
    assert [title.text for title in parsed(page).iter(f"{NAMESPACE}h2")] == ["x", "y"]
    assert [row[0] for row in tables(page)[0][1:]] == ["ppo: 30", "xppo", "sac: 30", "xsac"]


@pytest.mark.exhaustive
def test_a_training_that_was_repeated_goes_by_its_folder(tmp_path):
    page = report([written(tmp_path / name, agent="sac") for name in ("first", "second")])
    assert [row[0] for row in tables(page)[0][1::2]] == ["sac, first: 30", "sac, second: 30"]


@pytest.mark.exhaustive
def test_a_training_under_way_is_shown(tmp_path):
    runs = [written(tmp_path / f"run{seed}", seed=seed) for seed in (0, 1)]
    (runs[0] / "evaluation.json").unlink()
    rows = tables(report(runs))[0]
    assert rows[1] == ["ppo: 30, from 30 to 30 (1 of 2 seeds)"]
    assert rows[2][:4] == ["run0", "0", "not evaluated yet", ""]


@pytest.mark.exhaustive
def test_the_versions_are_those_that_trained(tmp_path):
    runs = [written(tmp_path / f"run{seed}", seed=seed) for seed in (0, 1, 2)]
    config = json.loads((runs[0] / "config.json").read_text()) | {"versions": {"kgdists": "9.1"}}
    (runs[0] / "config.json").write_text(json.dumps(config))
    (runs[1] / "checkpoints").mkdir()
    with zipfile.ZipFile(runs[1] / "checkpoints" / "300.zip", "w") as archive:
        archive.writestr("config.json", json.dumps({"versions": {"kgdists": "9.2", "keras": "8"}}))
    (runs[1] / "checkpoints" / "400.zip").write_text("damaged")
    page = report(runs)
    for text in ("kgdists 9.1: run0.", "kgdists 9.2, keras 8: run1.", "unknown versions: run2."):
        assert f"Trained with {text}</p>" in page


@pytest.mark.parametrize("name", ["config.json", "metrics.csv", "policy.keras"])
def test_a_run_that_lacks_a_file_is_refused(tmp_path, name):
    run = written(tmp_path / "run")
    (run / name).unlink()
    with pytest.raises(ValueError, match=f"{name}. Received: .*run"):
        report([run])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", "{"),
        ("config.json", "[]"),
        ("config.json", json.dumps({"agent": 3, "env": "x", "config": {}})),
        ("config.json", json.dumps({"agent": "ppo", "env": "x", "config": 3})),
        ("metrics.csv", "steps,return\n100,high\n"),
        ("metrics.csv", "epoch,loss\n1,2.0\n"),
        ("metrics.csv", "\0\1\2"),
        ("evaluation.json", "{"),
        ("evaluation.json", '{"returns": [], "lengths": []}'),
        ("evaluation.json", '{"returns": [NaN], "lengths": [1]}'),
        ("policy.keras", "no zip"),
    ],
)
def test_a_damaged_run_is_refused(tmp_path, name, content):
    run = written(tmp_path / "run")
    (run / name).write_text(content)
    with pytest.raises(ValueError, match=f"Received: .*{name}" if content != "\0\1\2" else "Received: .*run"):
        report([run])


def test_a_report_is_of_something():
    with pytest.raises(ValueError, match="at least one run"):
        report([])


@pytest.mark.parametrize(
    ("x", "text"),
    [(None, "–"), (np.nan, "–"), (0.0, "0"), (-1234.5, "-1,234"), (123.45, "123.5"), (0.012345, "0.0123")],
)
def test_numbers_have_some_digits(x, text):
    assert number(x) == text


@pytest.mark.exhaustive
def test_what_agents_log_is_explained(eagerly):
    logged = LOGS | set(kg.agents.SAC.METRICS)
    logged |= kg.agents.A2C(Noise, hidden_units=(2,), epoch_steps=40, seed=0).learn(4).history.keys()
    logged |= kg.agents.REINFORCE(Noise, hidden_units=(2,), seed=0).learn(4).history.keys()
    logged |= kg.agents.ES("CartPole-v1", searcher="snes", popsize=4, max_steps=5, seed=0).learn(4).history.keys()
    assert [name for name in logged if not meaning_of(name) and name != "steps"] == []
