import base64
import io
import json
import os
import re
import zipfile

import html5lib
import keras
import numpy as np
import pytest
from PIL import Image

import kgdists as kg
from kgdists.runs import reporting
from kgdists.runs.metric_guide import HEALTHY, MEANINGS, meaning_of
from kgdists.runs.reporting import duration, number, report
from tests.agents.helpers import Noise
from tests.agents.test_ppo import LOGS
from tests.cli.helpers import written

NAMESPACE = "{http://www.w3.org/1999/xhtml}"
SVG = "{http://www.w3.org/2000/svg}"
DAY = 1_795_950_000.0  # 29 November 2026


def parsed(page):
    """The page as a tree, seen to be valid HTML."""
    return html5lib.HTMLParser(strict=True).parse(page)


def tables(page):
    """All tables as rows of texts."""
    return [
        [["".join(cell.itertext()) for cell in row] for row in table.iter(f"{NAMESPACE}tr")]
        for table in parsed(page).iter(f"{NAMESPACE}table")
    ]


def dated(run, seconds=DAY):
    """The run as if its training had ended then."""
    os.utime(run / "metrics.csv", (seconds, seconds))
    return run


def film(file, pictures=2):
    """Write a small GIF."""
    images = [Image.new("P", (40, 30), i) for i in range(pictures)]
    images[0].save(file, save_all=True, append_images=images[1:], duration=100)
    return file


def texts(page, tag, kind=None):
    """The texts of all such elements, with a class if one is asked for."""
    found = [x for x in parsed(page).iter(f"{NAMESPACE}{tag}") if kind is None or kind in x.get("class", "").split()]
    return [" ".join("".join(x.itertext()).split()) for x in found]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    runs = [
        written(folder / "a0", seed=0, returns=(1.0, 100.0)),
        written(folder / "a1", seed=1, returns=(1.0, 200.0, 400.0)),
        written(folder / "b", seed=0, gamma=0.5, returns=(1.0, 12.5)),
    ]
    return [dated(run) for run in runs]


@pytest.fixture(scope="module")
def page(runs):
    return report(runs)


@pytest.mark.exhaustive
def test_a_page_has_the_evaluation_of_each_run_and_over_the_seeds(page):
    head, *evaluations = tables(page)[0]
    assert head[:5] == ["Run", "Seed", "Evaluation", "Training return", "Steps"]
    assert evaluations == [
        ["ppo, gamma=0.99: 250.0, from 100.0 to 400.0 (2 seeds)"],
        ["a0", "0", "100.0 ± 0.0", "100.0", "200", "less than 1 s", "29 Nov 2026", "2"],
        ["a1", "1", "400.0 ± 0.0", "400.0", "300", "1 s", "29 Nov 2026", "2"],
        ["ppo, gamma=0.5: 12.5"],
        ["b", "0", "12.5 ± 0.0", "12.5", "200", "less than 1 s", "29 Nov 2026", "2"],
    ]


def test_a_page_says_why_evaluation_and_training_differ_and_when_it_was(page):
    (why,) = [text for text in texts(page, "p", "note") if text.startswith("Why the two returns differ")]
    assert "most probable actions" in why and "seeds of their own" in why and "drawn at random" in why
    assert "Trained on 29 November 2026." in texts(page, "p", "note")


def test_trainings_of_several_days_have_a_span(tmp_path):
    runs = [dated(written(tmp_path / str(i), seed=i), DAY + i * 86_400.0) for i in range(2)]
    assert "Trained from 29 November 2026 to 30 November 2026." in texts(report(runs), "p", "note")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "less than 1 s"),
        (21.48, "21 s"),
        (60.0, "1 min"),
        (125.4, "2 min 5 s"),
        (3599.7, "1 h"),
        (90_061, "1 d 1 h"),
    ],
)
def test_durations_are_said_as_people_do(seconds, text):
    assert duration(seconds) == text


@pytest.mark.exhaustive
def test_a_page_has_the_statistics_of_each_policy(page):
    head, *rows = tables(page)[-1]
    assert head == ["Run", "Head", "Weights", "entropy", "kl", "steps_per_second"]
    assert rows[1] == ["a1", "CategoricalHead", "17", "0.5", "0.02", "500.0"]


@pytest.mark.exhaustive
def test_settings_that_differ_come_first_and_the_others_are_folded(page):
    assert tables(page)[1:3] == [
        [["What differs", "ppo, 2 seeds", "ppo, seed 0"], ["gamma", "0.99", "0.5"]],
        [["Setting", "Value"], ["learning_rate", "0.0003"], ["hidden_units", "64 x 64"]],
    ]
    (folded,) = parsed(page).iter(f"{NAMESPACE}details")
    assert "open" not in folded.keys() and len([*folded.iter(f"{NAMESPACE}table")]) == 1
    assert texts(page, "summary") == ["2 settings that do not differ"]


def test_a_setting_that_an_agent_lacks_is_no_difference(tmp_path):
    decay = {"initial_learning_rate": 0.002, "decay_steps": 160, "end_learning_rate": 0.0, "power": 1.0}
    schedule = {"class_name": "PolynomialDecay", "config": decay | {"cycle": False, "name": "x"}}
    runs = [written(tmp_path / "p", clip_range=0.2), written(tmp_path / "a", agent="a2c", learning_rate=schedule)]
    differ, same = tables(report(runs))[1:3]
    assert differ[1:] == [["learning_rate", "0.0003", "0.002 → 0 over 160 gradient steps"]]
    assert ["clip_range", "0.2 (ppo)"] in same and ["gamma", "0.99"] in same


def test_a_run_alone_has_all_its_settings_folded(tmp_path):
    page = report([written(tmp_path / "run")])
    assert texts(page, "summary") == ["All 3 settings"] and len(tables(page)) == 3


def test_every_metric_is_drawn_and_explained(page):
    images = [x.get("aria-label") for x in parsed(page).iter(f"{NAMESPACE}div") if x.get("role") == "img"]
    assert [label.split()[0] for label in images] == ["Return", "Return", "entropy", "kl", "steps_per_second"]
    assert len([*parsed(page).iter(f"{SVG}svg")]) == 5
    assert all(MEANINGS[name] in page.replace("&#39;", "'") for name in ("entropy", "kl", "steps_per_second"))


def test_one_legend_names_the_experiments_of_all_panels(page):
    (legend,) = [x for x in parsed(page).iter(f"{NAMESPACE}ul") if x.get("class") == "legend series"]
    assert [" ".join("".join(x.itertext()).split()) for x in legend] == ["ppo, gamma=0.99, 2 seeds", "ppo, gamma=0.5"]
    texts_within = {"".join(x.itertext()) for x in parsed(page).iter(f"{SVG}text")}
    assert texts_within and not any("ppo" in text for text in texts_within)


def test_figures_take_the_colors_of_the_page(page):
    figures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert all(set(re.findall(r"#[0-9a-f]{6}\b", figure)) <= {"#ffffff"} for figure in figures)
    used = {color for figure in figures for color in re.findall(r"var\((--[\w-]+)\)", figure)}
    assert used == {"--series-0", "--series-1", "--grid", "--healthy"}
    light, dark = page.split("@media (prefers-color-scheme: dark)")[:2]
    assert all(f"{color}: #" in light and f"{color}: #" in dark.partition("* {")[0] for color in used)


def test_names_within_figures_occur_once(page):
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names)) > 100
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(names)


def test_panels_have_axes_of_one_width(page):
    panels = [svg for svg in parsed(page).iter(f"{SVG}svg") if svg.get("viewBox").startswith("0 0 360 ")]
    backgrounds = [svg.find(f".//{SVG}clipPath/{SVG}rect") for svg in panels]
    assert len(panels) == 4 and len({(x.get("x"), x.get("width")) for x in backgrounds}) == 1


def shaded(page):
    """Metric -> whether its panel has a healthy range."""
    figures = re.findall(r"<figure>\s*<h4>(.*?)</h4>(.*?)</figure>", page, re.DOTALL)
    return {name.replace("<wbr>", ""): "var(--healthy)" in figure for name, figure in figures}


def test_healthy_ranges_are_shaded_and_named(page):
    assert shaded(page) == {"entropy": True, "kl": True, "steps_per_second": False}
    assert "Healthy ranges are shaded." in page
    assert all(f"from {low:g}" in MEANINGS[name] for name, (low, _) in HEALTHY.items())


CHOICES = {"gear": kg.layers.CategoricalHead(3), "lights": kg.layers.BernoulliHead(2)}


@pytest.mark.parametrize(
    ("head", "is_choice"),
    [
        (kg.layers.CompositeHead(CHOICES), True),
        (kg.layers.CompositeHead(CHOICES | {"steer": kg.layers.NormalHead(1)}), False),
        (kg.layers.NormalHead(1), False),
    ],
    ids=["choices", "choices and numbers", "numbers"],
)
def test_entropy_has_a_healthy_range_where_all_actions_are_choices(tmp_path, head, is_choice):
    run = written(tmp_path / "run")
    policy = kg.Policy(keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)]), head)
    policy(np.zeros((1, 2)))
    policy.save(run / "policy.keras")
    assert shaded(report([run])) == {"entropy": is_choice, "kl": True, "steps_per_second": False}


def test_films_are_within_the_page_and_rest_for_those_who_want_it(tmp_path):
    run = written(tmp_path / "run")
    content = film(run / "recording.gif").read_bytes()
    page = report([run, written(tmp_path / "other", seed=1)])
    (image,) = parsed(page).iter(f"{NAMESPACE}img")
    (still,) = parsed(page).iter(f"{NAMESPACE}source")
    assert base64.b64decode(image.get("src").removeprefix("data:image/gif;base64,")) == content
    assert (image.get("width"), image.get("height")) == ("40", "30") and "run" in image.get("alt")
    assert still.get("media") == "(prefers-reduced-motion: reduce)"
    picture = Image.open(io.BytesIO(base64.b64decode(still.get("srcset").removeprefix("data:image/png;base64,"))))
    assert picture.size == (40, 30)


def test_a_film_that_is_too_large_is_named(tmp_path, monkeypatch):
    run = written(tmp_path / "run")
    film(run / "recording.gif")
    monkeypatch.setattr(reporting, "MAX_FILM", 10)
    page = report([run])
    assert "run: recording.gif of 0 MiB, beside this run, is left out." in texts(page, "figcaption")
    assert "<img" not in page


def test_a_damaged_film_is_refused(tmp_path):
    run = written(tmp_path / "run")
    (run / "recording.gif").write_text("no film")
    with pytest.raises(ValueError, match="Received: .*recording.gif"):
        report([run])


def test_commands_are_shown_where_they_are_known(tmp_path):
    runs = [written(tmp_path / name, seed=i) for i, name in enumerate("ab")]
    page = report(runs, [("kgdists train X --seed 0 <", "a<b"), None])
    assert texts(page, "code") == ["kgdists train X --seed 0 <"] and texts(page, "dt") == ["a"]
    assert texts(page, "span", "note") == ["And what no option sets: a<b"]
    assert "<code" not in report(runs)
    with pytest.raises(ValueError, match="shorter"):
        report(runs, [None])


def test_a_page_refers_to_nothing_outside_itself(page, tmp_path):
    run = written(tmp_path / "run")
    film(run / "recording.gif")
    for each in (page, report([run])):
        assert not re.search(r"<script|<link|<iframe|@import|url\((?!#)", each)
        links = set(re.findall(r"https?://[^\s\"]+", each))
        assert links <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
        sources = [x.get(name) for x in parsed(each).iter() for name in ("src", "href", "srcset") if x.get(name)]
        assert all(source.startswith(("data:", "#")) for source in sources)


def test_every_table_scrolls_by_itself(page):
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    wide = [x for x in parsed(page).iter(f"{NAMESPACE}div") if "table" in x.get("class", "").split()]
    assert len(wide) == len(tables(page)) == 4


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
    assert tables(page)[1][1][1:] == [evil, f"{evil}2"]
    assert [row[0] for row in tables(page)[2]][-1] == "<i>" and tables(page)[2][-1][1].startswith("1 (")


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
    assert rows[2][:3] + rows[2][-1:] == ["run0", "0", "not evaluated yet", ""]


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
