import contextlib
import csv
import dataclasses
import io
import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

import gymnasium
import keras
import numpy as np
import pytest
import tensorflow as tf
from gymnasium.spaces import Text

import kgdists as kg
from kgdists.agents import ES, PPO, ESConfig, PPOConfig
from kgdists.agents.tuned import TUNED
from kgdists.cli import main
from kgdists.runs import checkpoint, layout
from tests.agents.helpers import Bandit, Broken, Counter

TINY = ["--num-envs", "2", "--n-steps", "16", "--batch-size", "16", "--n-epochs", "1", "--hidden-units", "8"]
FILES = [
    "checkpoints",
    "config.json",
    "evaluation.json",
    "learning_curve.png",
    "metrics.csv",
    "policy.keras",
    "tensorboard",
]
eager = pytest.mark.usefixtures("eagerly")


def kgdists(*arguments):
    """The exit status of the command."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as end:
        return end.code


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run folder, and what the training printed."""
    folder, out = tmp_path_factory.mktemp("runs") / "run", io.StringIO()
    with contextlib.redirect_stdout(out):
        assert kgdists("train", "CartPole-v1", "--steps", 64, *TINY, "--out", folder) == 0
    return folder, out.getvalue()


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the run folder to be damaged."""
    return shutil.copytree(trained[0], tmp_path / "run")


# Training


def test_a_run_folder_holds_everything(trained):
    assert sorted(file.name for file in trained[0].iterdir()) == FILES


def test_the_last_lines_have_the_mean_and_spread_of_the_evaluation(trained):
    folder, out = trained
    last = re.match(
        r"CartPole-v1: return ([\d.]+) \+- ([\d.]+) over 100 episodes\n64 steps in .* s; saved in (.*)",
        "\n".join(out.splitlines()[-2:]),
    )
    returns = json.loads((folder / "evaluation.json").read_text())["returns"]
    # One decimal is printed.
    assert float(last[1]) == pytest.approx(np.mean(returns), abs=0.051)
    assert float(last[2]) == pytest.approx(np.std(returns), abs=0.051)
    assert last[3] == str(folder)


def test_the_training_shows_its_progress(trained):
    assert "64/64" in trained[1] and "return: " in trained[1]


def test_the_evaluation_holds_every_episode(trained):
    evaluation = json.loads((trained[0] / "evaluation.json").read_text())
    assert len(evaluation["returns"]) == len(evaluation["lengths"]) == 100
    assert evaluation["returns"] == evaluation["lengths"]  # CartPole pays 1 a step


def test_the_configuration_tells_how_to_train_again(trained):
    config = layout.read_config(trained[0])
    assert config["agent"] == "ppo" and config["env"] == "CartPole-v1"
    fields = PPOConfig(**checkpoint.config_from_json(config["config"]))
    assert (fields.num_envs, fields.n_steps, fields.hidden_units, fields.seed) == (2, 16, (8,), 0)
    assert json.loads(json.dumps(checkpoint.config_to_json(fields))) == config["config"]


def test_tuned_settings_decay_over_the_training(trained):
    config = checkpoint.config_from_json(layout.read_config(trained[0])["config"])
    assert config["learning_rate"].decay_steps == config["clip_range"].decay_steps == 4
    assert config["gamma"] == 0.98


def test_the_metrics_have_a_row_per_update(trained):
    with (trained[0] / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["steps"]) for row in rows] == [32.0, 64.0]
    assert rows[0].keys() >= {"return", "length", "policy_loss", "value_loss", "entropy", "kl", "learning_rate"}


def test_the_learning_curve_is_an_image(trained):
    image = tf.io.decode_png((trained[0] / "learning_curve.png").read_bytes()).numpy()
    assert min(image.shape[:2]) > 200 and image.std() > 1.0


def test_tensorboard_finds_the_logs(trained):
    (file,) = (trained[0] / "tensorboard").glob("**/events.out.tfevents.*")
    assert b"rollout/return" in file.read_bytes()


def test_the_policy_is_a_keras_model_that_loads_in_safe_mode(trained):
    policy = keras.models.load_model(trained[0] / "policy.keras", safe_mode=True)
    assert isinstance(policy, kg.Policy) and policy(np.zeros((3, 4))).num_categories == 2


def test_the_run_is_an_agent_that_can_be_loaded(trained):
    agent = PPO.load(trained[0])
    assert agent.steps == 64 and agent.predict(np.zeros(4)) in (0, 1)


@pytest.mark.exhaustive
def test_pendulum_trains(tmp_path, capsys):
    assert kgdists("train", "Pendulum-v1", "--steps", 32, *TINY, "--out", tmp_path / "run") == 0
    assert re.match(r"Pendulum-v1: return -\d+\.\d \+- \d+\.\d over 100", capsys.readouterr().out.splitlines()[-2])
    assert (tmp_path / "run" / "learning_curve.png").is_file()


@pytest.mark.exhaustive
@eager
def test_runs_are_numbered_unless_named(tmp_path, monkeypatch, bandit):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert kgdists("train", bandit, "--steps", 32, *TINY, "--seed", 3) == 0
    names = [f"{bandit.replace('/', '-')}-ppo-seed3-{number}" for number in (1, 2)]
    assert sorted(folder.name for folder in (tmp_path / "runs").iterdir()) == names


@pytest.mark.exhaustive
@eager
def test_an_empty_folder_is_filled(tmp_path, bandit):
    assert kgdists("train", bandit, "--steps", 32, *TINY, "--out", tmp_path) == 0
    assert (tmp_path / "policy.keras").is_file()


@pytest.mark.exhaustive
@eager
def test_the_same_seed_trains_the_same_policy(tmp_path, bandit):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert kgdists("train", bandit, "--steps", 32, *TINY, "--seed", seed, "--out", tmp_path / name) == 0
    a, b, c = (keras.models.load_model(tmp_path / name / "policy.keras").get_weights() for name in "abc")
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert any(not np.array_equal(x, y) for x, y in zip(a, c, strict=True))


@pytest.mark.exhaustive
def test_every_setting_of_the_agent_is_an_option(tmp_path):
    settings = {
        "learning_rate": 0.01,
        "clip_range": 0.3,
        "clip_range_value": 0.4,
        "gamma": 0.5,
        "gae_lambda": 0.6,
        "ent_coef": 0.02,
        "vf_coef": 0.7,
        "max_grad_norm": 0.8,
        "target_kl": 0.03,
        "initial_stddev": 0.9,
        "box_family": "normal",
        "sde_sample_freq": 4,
        "kl_coef": 0.1,
        "adaptive_kl": 0.02,
        "activation": "relu",
        "vectorization": "sync",
        "num_envs": 4,
        "n_steps": 8,
        "batch_size": 8,
        "n_epochs": 2,
        "seed": 5,
    }
    switches = ["--no-normalize-advantages", "--normalize-observations", "--normalize-rewards", "--vtrace"]
    options = [text for name, value in settings.items() for text in (f"--{name.replace('_', '-')}", value)]
    arguments = ["--hidden-units", 4, 3, *switches, *options, "--out", tmp_path / "run"]
    assert kgdists("train", "Pendulum-v1", "--steps", 32, *arguments) == 0
    config = layout.read_config(tmp_path / "run")["config"]
    switched = {"normalize_advantages": False, "normalize_observations": True, "normalize_rewards": True}
    given = settings | switched | {"hidden_units": [4, 3], "vtrace": True}
    assert given.items() <= config.items()
    assert set(config) == {field.name for field in dataclasses.fields(PPOConfig)}


@pytest.mark.exhaustive
@eager
def test_a_search_writes_a_run_that_is_evaluated_and_plotted(tmp_path, capsys):
    folder = tmp_path / "run"
    arguments = ["--agent", "pgpe", "--steps", 300, "--popsize", 10, "--hidden-units", 4, "--out", folder]
    assert kgdists("train", "CartPole-v1", *arguments) == 0
    out = capsys.readouterr().out
    evaluated, said = out.splitlines()[-2:]
    steps = int(re.match(r"(\d+) steps in .* s; saved in ", said)[1])
    assert "300/300" in out and steps >= 300
    assert sorted(file.name for file in folder.iterdir()) == FILES
    assert kgdists("evaluate", folder, "--seed", 0) == 0
    assert capsys.readouterr().out.strip() == evaluated
    (folder / "learning_curve.png").unlink()
    assert kgdists("plot", folder) == 0 and (folder / "learning_curve.png").is_file()
    loaded = ES.load(folder)
    known = TUNED["CartPole-v1"]["pgpe"]
    assert loaded.config == ESConfig(popsize=10, hidden_units=(4,), seed=0, **known.settings)
    assert loaded.steps == steps


@pytest.mark.exhaustive
@eager
def test_every_setting_of_a_search_is_an_option(tmp_path, bandit):
    settings = {
        "popsize": 4,
        "episodes": 2,
        "num_envs": 8,
        "max_steps": 20,
        "num_interactions": 30,
        "popsize_max": 12,
        "stdev_init": 0.2,
        "center_learning_rate": 0.9,
        "stdev_learning_rate": 0.8,
        "parenthood_ratio": 0.5,
        "initial_stddev": 0.7,
        "activation": "relu",
        "box_family": "normal",
        "seed": 5,
    }
    options = [text for name, value in settings.items() for text in (f"--{name.replace('_', '-')}", value)]
    switches = ["--hidden-units", 4, 3, "--sample-actions", "--normalize-observations"]
    arguments = ["--agent", "cem", "--steps", 20, *options, *switches, "--out", tmp_path / "run"]
    assert kgdists("train", bandit, *arguments) == 0
    config = layout.read_config(tmp_path / "run")["config"]
    switched = {"searcher": "cem", "sample_actions": True, "normalize_observations": True, "hidden_units": [4, 3]}
    assert (settings | switched).items() <= config.items()
    assert set(config) == {field.name for field in dataclasses.fields(ESConfig)}


# Looking at runs


@pytest.mark.exhaustive
def test_an_evaluation_of_the_run_is_that_at_its_end(trained, capsys):
    folder, out = trained
    assert kgdists("evaluate", folder, "--seed", 0) == 0
    assert capsys.readouterr().out.strip() == out.splitlines()[-2]


@pytest.mark.exhaustive
@eager
def test_an_evaluation_may_draw_its_actions(trained, capsys):
    assert kgdists("evaluate", trained[0], "--stochastic", "--episodes", 7) == 0
    assert re.match(r"CartPole-v1: return \d+\.\d \+- \d+\.\d over 7 episodes\n$", capsys.readouterr().out)


@pytest.mark.exhaustive
@eager
def test_an_evaluation_leaves_the_run_as_it_is(run):
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    assert kgdists("evaluate", run, "--episodes", 3) == 0
    assert before == {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}


def test_a_plot_goes_into_the_run(run, capsys):
    (run / "learning_curve.png").unlink()
    assert kgdists("plot", run) == 0
    assert capsys.readouterr().out.strip() == str(run / "learning_curve.png")
    assert tf.io.decode_png((run / "learning_curve.png").read_bytes()).shape[-1] in (3, 4)


def test_runs_can_be_plotted_together(run, trained, tmp_path):
    assert kgdists("plot", run, trained[0], "--out", tmp_path / "both.png") == 0
    both, one = ((folder).read_bytes() for folder in (tmp_path / "both.png", run / "learning_curve.png"))
    assert tf.io.decode_png(both).shape[1:] == tf.io.decode_png(one).shape[1:]  # and higher by a name in the legend
    assert both != one


def test_list_names_the_tuned_environments(capsys):
    assert kgdists("list") == 0
    out = capsys.readouterr().out
    assert {"CartPole-v1", "Pendulum-v1"} <= set(out.split())
    assert [line.split()[0] for line in out.splitlines()[:5]] == ["CartPole-v1", "ppo,", "a2c,", "reinforce,", "pgpe,"]


COMMANDS = ("train", "resume", "evaluate", "plot", "record", "report", "list")


@pytest.mark.parametrize("command", [[], *([command] for command in COMMANDS)], ids=str)
def test_every_command_explains_itself(command, capsys):
    assert kgdists(*command, "--help") == 0
    assert capsys.readouterr().out.startswith(" ".join(["usage: kgdists", *command]))


def test_the_version_is_shown(capsys):
    assert kgdists("--version") == 0
    assert capsys.readouterr().out == f"kgdists {version('kgdists')}\n"


def test_a_command_runs_from_sources_that_are_not_installed(capsys, monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(sys.modules["kgdists.cli.main"], "version", missing)
    assert kgdists("list") == 0 and "CartPole-v1" in capsys.readouterr().out


def test_the_help_names_every_command(capsys):
    kgdists("--help")
    out = capsys.readouterr().out
    assert all(f"\n    {command} " in out for command in COMMANDS)


def test_the_help_of_train_names_every_setting(capsys):
    kgdists("train", "--help")
    out = capsys.readouterr().out
    fields = {field.name for config in (PPOConfig, ESConfig) for field in dataclasses.fields(config)} - {"searcher"}
    assert all(f"--{name.replace('_', '-')} " in out or f"--{name.replace('_', '-')}," in out for name in fields)


# Wrong input


def assert_one_line(capsys, status, match="", expected=2):
    captured = capsys.readouterr()
    assert status == expected, captured.err
    (line,) = captured.err.splitlines()
    assert re.match(f"kgdists.*: error: .*{match}", line), line


WRONG = {
    "no command": ([], "COMMAND"),
    "unknown command": (["fly"], "fly"),
    "no environment": (["train"], "ENV"),
    "unknown environment": (["train", "NoSuchEnv-v0"], "NoSuchEnv"),
    "unknown version": (["train", "CartPole-v99"], "v99"),
    "unknown namespace": (["train", "NoSuch/CartPole-v1"], "NoSuch"),
    "unknown module": (["train", "no_such_module:CartPole-v1"], "no_such_module"),
    "malformed id": (["train", "a b c"], "a b c"),
    "empty id": (["train", ""], ""),
    "unknown agent": (["train", "CartPole-v1", "--agent", "dqn"], "dqn"),
    "unknown option": (["train", "CartPole-v1", "--speed", 3], "--speed"),
    "no time": (["train", "CartPole-v1", "--save-every", "soon"], "--save-every"),
    "a time before": (["train", "CartPole-v1", "--save-every", "-1"], "--save-every"),
    "gamma of 2": (["train", "CartPole-v1", "--gamma", 2], "gamma"),
    "unknown family": (["train", "CartPole-v1", "--box-family", "gaussian"], "box_family"),
    "gamma of a word": (["train", "CartPole-v1", "--gamma", "high"], "gamma"),
    "option without value": (["train", "CartPole-v1", "--hidden-units"], "hidden-units"),
    "no units": (["train", "CartPole-v1", "--hidden-units", 0], "hidden_units"),
    "no steps": (["train", "CartPole-v1", "--steps", 0], "(total_|-)steps.*Received: .*0"),
    "no steps, untuned": (["train", "MountainCar-v0", "--steps", 0], "(total_|-)steps.*Received: .*0"),
    "negative steps": (["train", "CartPole-v1", "--steps", -5], "(total_|-)steps.*Received: .*-5"),
    "steps of a word": (["train", "CartPole-v1", "--steps", "many"], "--steps"),
    "no environments": (["train", "CartPole-v1", "--num-envs", 0], "num_envs"),
    "no threads": (["train", "CartPole-v1", "--threads", 0], "threads"),
    "batch that does not divide": (["train", "CartPole-v1", "--batch-size", 7], "batch_size.*7"),
    "negative seed": (["train", "CartPole-v1", "--seed", -1], "seed"),
    "entropy weight of nan": (["train", "CartPole-v1", "--ent-coef", "nan"], "ent_coef"),
    "learning rate of 0": (["train", "CartPole-v1", "--learning-rate", 0], "learning_rate"),
    "setting of another agent": (["train", "CartPole-v1", "--agent", "snes", "--gamma", 0.5], "--gamma.*agent snes"),
    "setting of a search": (["train", "CartPole-v1", "--popsize", 10], "--popsize.*agent ppo"),
    "ratio of another search": (["train", "CartPole-v1", "--agent", "snes", "--parenthood-ratio", 0.5], "cem alone"),
    "odd population of pairs": (["train", "CartPole-v1", "--agent", "pgpe", "--popsize", 9], "popsize.*even"),
    "no elite": (["train", "CartPole-v1", "--agent", "cem", "--popsize", 9], "at least two.*popsize=9"),
    "no population": (["train", "CartPole-v1", "--agent", "cem", "--popsize", 0], "popsize.*0"),
    "unknown environment of a search": (["train", "NoSuchEnv-v0", "--agent", "snes"], "NoSuchEnv"),
    "no run": (["evaluate"], "RUN"),
    "missing run": (["evaluate", "nowhere"], "nowhere"),
    "no runs": (["plot"], "RUN"),
    "missing run to plot": (["plot", "nowhere"], "nowhere"),
}


@pytest.mark.parametrize("arguments, match", WRONG.values(), ids=WRONG)
def test_wrong_input_is_one_line_and_leaves_nothing_behind(arguments, match, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert_one_line(capsys, kgdists(*arguments), match)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [["--episodes", 0], ["--episodes", "all"], ["--seed", -1]], ids=str)
def test_wrong_options_of_evaluate(options, run, capsys):
    assert_one_line(capsys, kgdists("evaluate", run, *options), options[0].strip("-"))


@pytest.mark.parametrize("name", ["curve.unknown", "nowhere/curve.png", "run"])
def test_images_that_cannot_be_written(name, run, tmp_path, capsys):
    assert_one_line(capsys, kgdists("plot", run, "--out", tmp_path / name))


def test_a_folder_that_is_not_empty_is_left_alone(run, capsys):
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    status = kgdists("train", "CartPole-v1", *TINY, "--steps", 32, "--out", run)
    assert_one_line(capsys, status, "`--out` must be a new or empty folder. Received: .*run")
    assert before == {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}


@pytest.mark.few(1)
@pytest.mark.parametrize("below", ["", "run"], ids=["a file", "below a file"])
def test_a_file_is_no_folder(below, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert_one_line(capsys, kgdists("train", "CartPole-v1", *TINY, "--out", tmp_path / "file" / below), "file")


def test_a_damaged_run_is_not_evaluated(run, capsys):
    for file in (run / "checkpoints").iterdir():
        file.write_bytes(file.read_bytes()[:100])
    assert_one_line(capsys, kgdists("evaluate", run), "no whole zip archive. Received: .*64.zip")
    shutil.rmtree(run / "checkpoints")
    assert_one_line(capsys, kgdists("evaluate", run), "must contain a checkpoint. Received: .*run")
    (run / "config.json").write_text("{")
    assert_one_line(capsys, kgdists("evaluate", run), "damaged: .* Received: .*config.json")
    (run / "config.json").unlink()
    assert_one_line(capsys, kgdists("evaluate", run), "config.json. Received: .*run")


@pytest.mark.parametrize(
    "change",
    [{"agent": "dqn"}, {"agent": 3}, {"agent": []}, {"env": "NoSuchEnv-v0"}, {"env": None}, {"config": {"speed": 3}}],
    ids=str,
)
def test_a_configuration_of_another_program_is_refused(change, run, capsys):
    config = json.loads((run / "config.json").read_text()) | change
    (run / "config.json").write_text(json.dumps(config))
    assert_one_line(capsys, kgdists("evaluate", run))


def test_a_run_of_another_environment_s_networks_is_refused(run, capsys):
    config = json.loads((run / "config.json").read_text()) | {"env": "Pendulum-v1"}
    (run / "config.json").write_text(json.dumps(config))
    assert_one_line(capsys, kgdists("evaluate", run))


def test_a_run_that_lacks_its_metrics_is_not_plotted(run, capsys):
    (run / "metrics.csv").unlink()
    assert_one_line(capsys, kgdists("plot", run), "metrics.csv. Received: .*run")


def test_damaged_metrics_are_not_plotted(run, capsys):
    (run / "metrics.csv").write_text("steps,return\n1,two\n")
    assert_one_line(capsys, kgdists("plot", run), "damaged: .* Received: .*metrics.csv")


# Environments of the user's own


class Speaker(Counter):
    def __init__(self):
        super().__init__(action_space=Text(3))


@contextlib.contextmanager
def registered(env):
    name = f"kgdists/{env.__name__}-v0"
    gymnasium.register(name, env)
    yield name
    del gymnasium.registry[name]


@pytest.fixture
def bandit():
    with registered(Bandit) as name:
        yield name


def test_an_action_space_without_a_head_is_refused(tmp_path, capsys):
    with registered(Speaker) as name:
        status = kgdists("train", name, *TINY, "--out", tmp_path / "run")
    assert_one_line(capsys, status, r"Received: Text")
    assert not (tmp_path / "run").exists()


@eager
def test_training_that_diverges_is_one_line(tmp_path, capsys):
    with registered(Broken) as name:
        status = kgdists("train", name, *TINY, "--batch-size", 32, "--out", tmp_path / "run")
    assert_one_line(capsys, status, "diverged after 0 steps", expected=1)


# As a process


def process(*arguments, **options):
    return subprocess.run([*map(str, arguments)], capture_output=True, text=True, timeout=300, **options)


@pytest.mark.exhaustive
def test_the_module_trains(tmp_path):
    command = [sys.executable, "-m", "kgdists", "train", "CartPole-v1", "--steps", 32, *TINY]
    result = process(*command, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    evaluated, said = result.stdout.splitlines()[-2:]
    assert evaluated.startswith("CartPole-v1: return ") and said.startswith("32 steps in ")
    assert (tmp_path / "runs" / "CartPole-v1-ppo-seed0-1" / "policy.keras").is_file()


@pytest.mark.exhaustive
def test_the_module_reports_errors_in_the_last_line():
    result = process(sys.executable, "-m", "kgdists", "train", "NoSuchEnv-v0")
    assert result.returncode == 2 and result.stdout == ""
    assert re.match("kgdists: error: .*NoSuchEnv", result.stderr.splitlines()[-1])
    assert "Traceback" not in result.stderr
