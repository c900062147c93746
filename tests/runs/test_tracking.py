"""Weights & Biases and MLflow, offline: the snippets of docs/tracking.md, run as they stand."""

import sqlite3

import keras
import pytest

import kgdists as kg
from tests.agents.helpers import Noise
from tests.runs.test_tensorboard import scalars
from tests.test_readme import snippets

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # of what is not ours
]


def run(number, tmp_path, monkeypatch):
    """The names that a snippet leaves behind."""
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(snippets("docs/tracking.md")[number], "docs/tracking.md", "exec"), names)
    return names


@pytest.mark.exhaustive
def test_tensorboard_has_steps_and_groups(tmp_path, monkeypatch):
    names = run(0, tmp_path, monkeypatch)
    steps = [step for step, _ in scalars(tmp_path / "logs")["rollout/return"]]
    assert steps == names["history"].history["steps"] == [256, 512, 768, 1024]


def test_weights_and_biases_has_steps_on_its_axis(tmp_path, monkeypatch, capsys):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    names = run(1, tmp_path, monkeypatch)
    assert f"{names['history'].history['return'][-1]} 1024" in capsys.readouterr().out.splitlines()
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert file.stat().st_size > 0


def test_mlflow_has_steps_on_its_axis(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    pytest.importorskip("mlflow.keras", exc_type=ImportError)
    before = mlflow.get_tracking_uri()
    try:
        names = run(2, tmp_path, monkeypatch)
        logged = mlflow.MlflowClient().get_metric_history(names["started"].info.run_id, "return")
        assert [metric.step for metric in logged] == [256, 512, 768, 1024]
        assert [metric.value for metric in logged] == names["history"].history["return"]
        params = mlflow.get_run(names["started"].info.run_id).data.params
        assert params["agent_n_steps"] == "32" and "optimizer_learning_rate" in params
    finally:
        mlflow.set_tracking_uri(before)
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        assert database.execute("select count(*) from runs").fetchone() == (1,)


def test_a_search_is_logged_by_a_line():
    logged = []
    search = kg.agents.ES(Noise, searcher="snes", popsize=4, hidden_units=(4,), seed=0)
    line = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: logged.append(logs))
    search.learn(16, line, verbose=0)
    assert logged and all(isinstance(x, (int, float)) for logs in logged for x in logs.values())
