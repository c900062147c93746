import pytest

from kgdists import plotting
from tests.cli.helpers import assert_one_line, kgdists, written


@pytest.fixture
def drawn(monkeypatch):
    """What was asked to be plotted: names of folders, labels and panels."""
    calls, learning_curve = [], plotting.learning_curve

    def call(runs, labels=None, panels=None):
        calls.append(([run.name for run in runs], labels, panels))
        return learning_curve(runs, labels, panels)

    monkeypatch.setattr(plotting, "learning_curve", call)
    return calls


def test_seeds_of_one_experiment_are_one_curve(tmp_path, drawn):
    runs = [written(tmp_path / f"s{seed}", seed=seed) for seed in (0, 1, 2)]
    assert kgdists("plot", *runs) == 0 and (runs[0] / "learning_curve.png").is_file()
    assert drawn == [(["s0", "s1", "s2"], ["ppo", "ppo", "ppo"], 3 * ["CartPole-v1"])]


def test_experiments_are_named_by_what_differs(tmp_path, drawn):
    options = [{"gamma": 0.9}, {"gamma": 0.5}, {"gamma": 0.9}, {"agent": "a2c"}, {"gamma": 0.5}]
    runs = [written(tmp_path / f"r{i}", seed=i, **options) for i, options in enumerate(options)]
    assert kgdists("plot", *runs) == 0
    assert drawn[0][:2] == (
        ["r0", "r2", "r1", "r4", "r3"],
        ["ppo, gamma=0.9", "ppo, gamma=0.9", "ppo, gamma=0.5", "ppo, gamma=0.5", "a2c"],
    )


def test_each_environment_has_its_axes(tmp_path, drawn):
    runs = [written(tmp_path / env / "run", env=env) for env in ("CartPole-v1", "Acrobot-v1")]
    assert kgdists("plot", *runs) == 0
    assert drawn[0][1:] == (["ppo", "ppo"], ["CartPole-v1", "Acrobot-v1"])


def test_a_seed_that_comes_twice_is_two_runs(tmp_path, drawn):
    runs = [written(tmp_path / name, seed=0) for name in ("a/run", "b/run")]
    assert kgdists("plot", *runs) == 0
    assert drawn[0][1] == ["ppo, run", "ppo, run (2)"]


def test_a_run_is_named_by_its_agent_and_environment(tmp_path, drawn):
    assert kgdists("plot", written(tmp_path / "run")) == 0
    assert drawn[0][1:] == (["ppo"], ["CartPole-v1"])


def test_runs_whose_schedules_differ_are_named_by_their_course(tmp_path, drawn):
    decay = {"initial_learning_rate": 0.001, "decay_steps": 1580, "end_learning_rate": 0.0, "power": 1.0}
    schedule = {"class_name": "PolynomialDecay", "config": decay | {"cycle": False, "name": "PolynomialDecay"}}
    runs = [written(tmp_path / str(i), learning_rate=rate) for i, rate in enumerate((schedule, 0.003))]
    assert kgdists("plot", *runs) == 0
    assert drawn[0][1] == ["ppo, learning_rate=0.001 → 0 over 1580", "ppo, learning_rate=0.003"]


def test_a_setting_that_one_run_lacks_is_no_difference(tmp_path, drawn):
    runs = [written(tmp_path / "a"), written(tmp_path / "b", new_in_this_version=3)]
    assert kgdists("plot", *runs) == 0
    assert drawn[0][1] == ["ppo, a", "ppo, b"]


def test_a_run_of_several_that_lacks_its_configuration_is_named(tmp_path, capsys):
    runs = [written(tmp_path / f"s{seed}", seed=seed) for seed in (0, 1)]
    (runs[1] / "config.json").unlink()
    assert_one_line(capsys, kgdists("plot", *runs), "must contain the file config.json", "s1")
