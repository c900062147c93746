"""The command that a report shows for a run."""

import json
import shlex

import pytest
from keras.optimizers.schedules import ExponentialDecay

from kgdists.agents.tuned_config import tuned_config
from kgdists.cli.agents import CONFIGS, fixed
from kgdists.cli.reproduce import command_of
from kgdists.runs.checkpoint import config_to_json
from kgdists.runs.folder import experiments, read_run
from tests.cli.helpers import kgdists, written

ENVS = ("CartPole-v1", "Pendulum-v1", "Unknown-v0")


def made(folder, env, agent, steps=None, given=None, **facts):
    """A run as the command line makes it of these settings."""
    total, config = tuned_config(env, agent, CONFIGS[agent], steps, seed=3, **fixed(agent), **given or {})
    run = written(folder, env=env, agent="es" if hasattr(config, "searcher") else agent)
    about = {"env": env, "agent": "es" if hasattr(config, "searcher") else agent, "config": config_to_json(config)}
    (run / "config.json").write_text(json.dumps(about | {"total_steps": total} | facts))
    return read_run(run)


@pytest.mark.parametrize("env", ENVS)
@pytest.mark.parametrize("agent", CONFIGS)
def test_tuned_settings_need_no_options(tmp_path, env, agent):
    run = made(tmp_path / "run", env, agent, 20_000)
    assert command_of(run) == (f"kgdists train {env} --agent {agent} --steps 20000 --seed 3", "")


GIVEN = {
    "ppo": {"learning_rate": 0.003, "n_steps": 64, "hidden_units": (32, 16), "normalize_observations": True},
    "a2c": {"gamma": 0.5, "normalize_advantages": True},
    "sac": {"ent_coef": 0.2, "batch_size": 32},
    "pgpe": {"popsize": 12, "stdev_init": 0.25},
}


@pytest.mark.parametrize("agent", GIVEN)
def test_the_command_makes_the_settings_of_the_run(tmp_path, monkeypatch, agent):
    run = made(tmp_path / "run", "CartPole-v1", agent, 4096, GIVEN[agent], threads=2, evaluate_every=500, eval_envs=4)
    seen = {}

    def train(options):
        seen.update(vars(options))
        return 0

    monkeypatch.setattr("kgdists.cli.train.train", train)
    command, rest = command_of(run)
    words = shlex.split(command)
    assert rest == ""
    assert words[0] == "kgdists" and kgdists(*words[1:]) == 0
    given = {name: seen[name] for name in GIVEN[agent]}
    assert given == {name: list(x) if isinstance(x, tuple) else x for name, x in GIVEN[agent].items()}
    assert [seen[name] for name in ("agent", "steps", "seed", "threads", "evaluate_every", "eval_envs")] == [
        *(agent, 4096, 3, 2, 500, 4)
    ]
    settings = {"seed": 3} | GIVEN[agent]
    _, config = tuned_config("CartPole-v1", agent, CONFIGS[agent], 4096, **fixed(agent), **settings)
    assert config_to_json(config) == run.config


def test_what_no_option_sets_is_said_beside_the_command(tmp_path):
    decay = ExponentialDecay(0.01, 10, 0.9)
    run = made(tmp_path / "run", "CartPole-v1", "ppo", 4096, {"learning_rate": decay}, something_new={"a": 1})
    command, rest = command_of(run)
    assert command == "kgdists train CartPole-v1 --agent ppo --steps 4096 --seed 3"
    assert rest.startswith("learning_rate=ExponentialDecay(initial_learning_rate=0.01, decay_steps=10, ")
    assert rest.endswith("something_new={'a': 1}")
    assert kgdists("report", run.path) == 0
    assert "what no option sets: learning_rate=ExponentialDecay" in (run.path / "report.html").read_text()


def test_names_are_quoted_for_a_shell(tmp_path):
    command, _ = command_of(made(tmp_path / "run", "my module:A-v0; ls", "ppo"))
    assert shlex.split(command)[2] == "my module:A-v0; ls"


def test_a_run_that_no_command_makes_has_none(tmp_path):
    assert command_of(read_run(written(tmp_path / "a", agent="mine"))) is None
    assert command_of(read_run(written(tmp_path / "b", gamma=-5.0))) is None
    run = written(tmp_path / "c")
    (run / "config.json").write_text((run / "config.json").read_text().replace('"CartPole-v1"', "null"))
    assert command_of(read_run(run)) is None


def test_a_report_shows_it(tmp_path):
    run = made(tmp_path / "run", "CartPole-v1", "ppo", 20_000).path
    assert kgdists("report", run) == 0
    page = (run / "report.html").read_text().replace("<span>", "").replace("</span>", "")
    assert "kgdists train CartPole-v1 --agent ppo --steps 20000 --seed 3" in page


def test_what_is_said_of_the_environment_is_in_the_command(tmp_path):
    said = {
        "imports": ["a.b"],
        "env_kwargs": ["size=3", "name=x y"],
        "wrappers": ["c.D:k=1", "e.F"],
        "max_episode_steps": 9,
    }
    command, rest = command_of(made(tmp_path / "run", "Unknown-v0", "ppo", 20_000, env_options=said))
    assert rest == "" and command == (
        "kgdists train Unknown-v0 --import a.b --env-kwargs size=3 'name=x y' --max-episode-steps 9 --wrapper c.D:k=1 "
        "--wrapper e.F --agent ppo --steps 20000 --seed 3"
    )


def test_runs_that_differ_in_their_environment_are_no_seeds_of_one(tmp_path):
    runs = [made(tmp_path / x, "Unknown-v0", "ppo", 20_000, env_options={"env_kwargs": [f"size={x}"]}) for x in "12"]
    assert [len(group) for group in experiments(runs)] == [1, 1]
