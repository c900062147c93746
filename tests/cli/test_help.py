"""The help: each option stands alone, with its range and its default."""

import re

import pytest

from kgdists.agents.tuned import TUNED
from kgdists.cli.main import COMMANDS, Parser
from kgdists.cli.options import GROUPS
from tests.cli.helpers import kgdists

FRAGMENTS = r"of these|so many|\bsuch as this\b|see above|^Of |by itself|less than that"


def options_of_all_commands():
    parser = Parser(prog="kgdists")
    commands = parser.add_subparsers()
    for command in COMMANDS:
        command.add_to(commands)
    for name, command in commands.choices.items():
        for action in command._actions:
            if action.dest != "help":
                yield pytest.param(command, action, id=f"{name}-{action.dest}")


@pytest.mark.parametrize(("command", "action"), list(options_of_all_commands()))
def test_an_option_s_help_is_a_sentence_of_its_own_with_its_default(command, action):
    text = command._get_formatter()._expand_help(action)
    assert re.match(r"[A-Z].*[.]$", text, re.DOTALL), text
    assert not re.search(FRAGMENTS, text), text
    if action.option_strings:
        assert re.search(r"Default: \S.*\.$", text), text


def test_choices_are_named(capsys):
    kgdists("train", "--help")
    out = " ".join(capsys.readouterr().out.split())
    for choices in (
        "tanh, relu, elu, silu, gelu",
        "squashed, beta, clipped, normal",
        "auto, sync, async, native, compiled",
    ):
        assert f"One of {choices}." in out


def groups_of(out):
    titles = [line[:-1] for line in out.splitlines() if re.fullmatch(r"\w+:", line)]
    return [title for title in titles if title != "options"]


@pytest.mark.parametrize("arguments", [(), ("CartPole-v1",), ("Pendulum-v1", "--agent", "sac")], ids=str)
def test_the_options_of_train_are_in_groups(arguments, capsys):
    assert kgdists("train", *arguments, "--help") == 0
    assert groups_of(capsys.readouterr().out) == list(GROUPS)


def test_the_help_for_an_agent_has_its_options_and_no_others(capsys):
    kgdists("train", "--agent", "sac", "--help", "Pendulum-v1")
    out = capsys.readouterr().out
    assert "--tau" in out and "--buffer-size" in out and "--clip-range" not in out and "--popsize" not in out


@pytest.mark.parametrize("name", ["Pendulum-v1", "Pendulum"])
def test_the_help_for_an_environment_has_its_tuned_settings_as_defaults(name, capsys):
    kgdists("train", name, "--agent", "sac", "--help")
    out = " ".join(capsys.readouterr().out.split())
    known = TUNED["Pendulum-v1"]["sac"]
    assert f"Default: {known.total_steps}." in out
    assert re.search(rf"--learning-rate X .*?Default: {known.settings['learning_rate']:g}\.", out)


def test_the_help_for_an_environment_is_of_its_default_agent(capsys):
    kgdists("train", "CartPole-v1", "-h")
    out = " ".join(capsys.readouterr().out.split())
    assert re.search(r"--clip-range X .*?Default: 0.2, falling to 0\.", out) and "--tau" not in out


def test_agents_are_told_apart_only_where_they_differ(capsys):
    kgdists("train", "--help")
    out = " ".join(capsys.readouterr().out.split())
    assert re.search(r"--tau X For sac\. ", out)
    gamma = re.search(r"--gamma X (.*?) --", out)[1]
    assert gamma.startswith("For ppo, a2c, reinforce and sac. ") and gamma.endswith("Default: 0.99.")
    assert re.search(r"--n-epochs N For ppo and a2c\. .*?Default: 10 for ppo, 1 for a2c\.", out)


def test_a_setting_of_another_agent_is_said_to_be_that(capsys):
    assert kgdists("train", "CartPole-v1", "--agent", "ppo", "--tau", "0.1") == 2
    assert "ppo has no setting --tau; it belongs to sac" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("--gama", "--gamma"),
        ("--lr=0.1", "--learning-rate"),
        ("--n-envs", "--num-envs"),
        ("--total-timesteps", "--steps"),
    ],
)
def test_a_mistyped_option_is_answered_by_the_one_that_is_meant(word, meant, capsys):
    assert kgdists("train", "CartPole-v1", word, "1") == 2
    assert capsys.readouterr().err.endswith(f"; did you mean {meant}?\n")
    assert kgdists("evaluate", "nothing", "--qqqqq") == 2
    assert "did you mean" not in capsys.readouterr().err


def test_a_script_for_completion_is_printed(capsys):
    assert kgdists("--print-completion", "bash") == 0
    out = capsys.readouterr().out
    assert "evaluate" in out and "--learning-rate" in out


def test_list_shows_one_environment(capsys):
    assert kgdists("list", "CartPole") == 0
    out = capsys.readouterr().out
    assert out.startswith("CartPole-v1\n  ppo, ") and "Pendulum" not in out
    assert kgdists("list", "Unknown-v3") == 0
    assert "nothing is tuned" in capsys.readouterr().out
