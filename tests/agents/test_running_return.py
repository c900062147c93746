"""Episodes longer than the training: what is known of them so far is shown, logged and drawn."""

import csv

import numpy as np
import pytest

import kgdists as kg
from kgdists.runs.curves import learning_curve
from kgdists.runs.metrics import MetricsFile, read_metrics
from tests.agents.helpers import Counter, Noise, counters, small

pytestmark = pytest.mark.usefixtures("eagerly")

SMALL = {"num_envs": 2, "hidden_units": (4,), "seed": 0}
AGENTS = {
    "ppo": lambda env: small(env),
    "a2c": lambda env: kg.agents.A2C(env, n_steps=8, epoch_steps=16, **SMALL),
    "sac": lambda env: kg.agents.SAC(env, n_steps=8, epoch_steps=16, learning_starts=100, buffer_size=200, **SMALL),
}


@pytest.mark.parametrize("make", AGENTS.values(), ids=AGENTS)
def test_the_episodes_being_played_are_logged_while_none_has_ended(make):
    history = make(lambda: Counter(1000)).learn(48, verbose=0).history
    assert np.isnan(history["return"]).all()
    assert history["running_length"] == [8.0, 16.0, 24.0]
    assert history["running_return"] == [n * (n + 1) / 2 for n in (8, 16, 24)]  # the n-th step pays n


def test_they_are_the_mean_over_the_environments_of_what_has_not_ended():
    history = small(counters(3, 100)).learn(16, verbose=0).history  # 8 steps each: two episodes and two steps; eight
    assert history["running_length"] == [(2 + 8) / 2] and history["running_return"] == [(3 + 36) / 2]
    assert history["return"] == [6.0]


def test_agents_of_whole_episodes_have_none():
    reinforce = kg.agents.REINFORCE(Noise, episodes=2, **SMALL)
    search = kg.agents.ES(Noise, searcher="snes", popsize=4, hidden_units=(4,), seed=0)
    for agent in (reinforce, search):
        history = agent.learn(16, verbose=0).history
        assert "running_return" not in history and np.isfinite(history["return"]).all()


def test_the_progress_shows_them_as_long_as_there_is_no_return(capsys):
    agent = small(lambda: Counter(12))
    agent.learn(16)
    assert "running return: 36.00 - running length: 8.0" in capsys.readouterr().out
    agent.learn(16)
    line = capsys.readouterr().out
    assert "return: 78.00 - length: 12.00" in line and "running" not in line


def test_the_learning_curve_draws_them_where_no_episode_ends(tmp_path):
    for name, length in (("long", 1000), ("short", 4)):
        agent, file = small(lambda length=length: Counter(length)), tmp_path / name / "metrics.csv"
        file.parent.mkdir()
        agent.learn(48, MetricsFile(file), verbose=0)
    (axes,) = learning_curve([tmp_path / "long"]).axes
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), [36.0, 136.0, 300.0])
    assert "so far" in axes.get_ylabel()
    (axes,) = learning_curve([tmp_path / "short"]).axes
    assert (axes.lines[0].get_ydata() == 10.0).all() and "so far" not in axes.get_ylabel()


def test_a_metrics_file_without_them_goes_on(tmp_path):
    agent, file = small(lambda: Counter(1000)), tmp_path / "metrics.csv"
    agent.learn(32, MetricsFile(file), verbose=0)
    with file.open(newline="") as opened:  # as a version before wrote it
        rows = [{k: x for k, x in row.items() if not k.startswith("running_")} for row in csv.DictReader(opened)]
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)
    assert "running_return" not in read_metrics(tmp_path)
    agent.learn(16, MetricsFile(file, append=True), verbose=0)
    metrics = read_metrics(tmp_path)
    np.testing.assert_array_equal(metrics["running_length"], [np.nan, np.nan, 24.0])
    np.testing.assert_array_equal(metrics["steps"], [16.0, 32.0, 48.0])


def test_a_loaded_agent_goes_on_with_them(tmp_path):
    agent = small("MountainCar-v0")
    agent.learn(16, verbose=0)
    agent.save(tmp_path)
    agent = kg.agents.PPO.load(tmp_path)
    assert agent.learn(16, verbose=0).history["running_length"] == [16.0]
