"""The Python snippets of the README and of the docs run as they stand."""

import configparser
import re
from pathlib import Path

import numpy as np
import pytest

import kgdists as kg
from kgdists.runs.metric_guide import MEANINGS

ROOT = Path(__file__).parent.parent


def snippets(page):
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def run_all(page):
    """The names that the snippets of a page leave behind, run one after the other."""
    names = {}
    for snippet in snippets(page):
        exec(compile(snippet, page, "exec"), names)
    return names


@pytest.mark.exhaustive
def test_an_environment_as_a_function():
    names = run_all("docs/compiled_envs.md")
    before = kg.agents.PPO("Rocket-v0", num_envs=16, n_steps=64, batch_size=256, seed=0).evaluate(20, seed=0)
    assert names["agent"].is_compiled and names["agent"].evaluate(20, seed=0).mean > before.mean + 1.0
    assert len(names["seeds"].policies) == 2


def test_there_are_seven_snippets():
    assert len(snippets("README.md")) == 7


@pytest.mark.few(3)
@pytest.mark.parametrize(
    "snippet", snippets("README.md"), ids=["value", "model", "policy", "spaces", "mixtures", "tfp", "training"]
)
def test_snippet_runs(snippet, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(snippet, "README.md", "exec"), {})


@pytest.mark.exhaustive
def test_the_snippets_of_mixtures_run_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_all("docs/mixtures.md")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one_component.png", "target.png"]


@pytest.mark.exhaustive
def test_the_snippets_of_models_run_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_all("docs/models.md")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "bands.png",
        "densities.png",
        "model.keras",
        "served.tflite",
    ]


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore::FutureWarning:keras", "ignore::DeprecationWarning")  # of the writers of ONNX
def test_the_snippets_of_deploy_run_one_after_the_other(tmp_path, monkeypatch):
    for package in ("ai_edge_litert", "onnxruntime", "tf2onnx"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    names = run_all("docs/deploy.md")
    assert names["answer"]["mode_action/steer"].shape == (5, 2)


@pytest.mark.exhaustive
def test_the_snippets_of_evolution_run_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run_all("docs/evolution.md")
    mu, sigma = names["distribution"].mu, names["distribution"].sigma
    assert abs(mu.numpy()).max() < 1e-3
    assert 3.0 < sigma[0] / sigma[1] < 30.0  # 10 is the best


@pytest.mark.exhaustive
def test_the_snippets_of_agents_run_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_all("docs/agents.md")
    assert {"best.keras", "film.gif", "logs", "metrics.csv"} <= {path.name for path in tmp_path.iterdir()}


@pytest.mark.exhaustive
def test_the_snippets_for_those_who_come_from_keras_gym_run_one_after_the_other(capsys, eagerly):
    run_all("docs/coming_from.md")
    printed = re.findall(r"^[-\d.e ]+$", capsys.readouterr().out, re.MULTILINE)  # beside the progress
    learnt, loss, entropy = map(float, " ".join(printed).split())
    assert learnt > 0.8
    assert entropy <= loss < entropy + 0.05


@pytest.mark.exhaustive
def test_the_snippets_of_own_distributions_run_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "own_distributions"}
    for snippet in snippets("docs/own_distributions.md"):
        exec(compile(snippet, "docs/own_distributions.md", "exec"), names)
    assert np.cos(names["pi"].mu - 2.0 * np.pi * names["x"]).mean() > 0.95
    assert np.mean(names["agent"].evaluate(100, seed=1).returns) > 0.8


def test_every_metric_is_in_the_guide():
    rows = re.findall(r"^\| `(\w+)` \| (.*) \|$", (ROOT / "docs" / "agents.md").read_text(), re.MULTILINE)
    assert {name: meaning for name, meaning in rows if name in MEANINGS} == MEANINGS


def test_every_extra_is_in_the_guide():
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    named = re.findall(r"^\| `\.\[(\w+)\]` \|", (ROOT / "docs" / "agents.md").read_text(), re.MULTILINE)
    of_developers = {"test", "bench", "jax"}
    assert set(named) | of_developers == set(setup["options.extras_require"])


@pytest.mark.parametrize("page", ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))])
def test_links_and_figures_exist(page):
    links = re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text())
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []
