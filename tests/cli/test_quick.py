"""Commands that train nothing answer without Keras, and none of TensorFlow's log is seen."""

import os
import subprocess
import sys

import pytest

from tests.processes import run_python

QUICK = [
    "--help",
    "--version",
    "list",
    "list CartPole-v1",
    "train --help",
    "train CartPole-v1 --agent sac --help",
    "train CartPole-v1 --nothing",
    "train CartPole-v1 --gamma 2",
    "train CartPole-v1 --agent ppo --tau 1",
    "evaluate nowhere",
    "report nowhere",
    "--print-completion zsh",
]
CODE = """
import contextlib, io, sys

from kgdists.cli import main

for arguments in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        with contextlib.suppress(SystemExit):
            main(arguments.split())
    found = {"tensorflow", "keras", "gymnasium", "matplotlib"} & set(sys.modules)
    assert not found, (arguments, found)
"""


def command(*arguments, **variables):
    kept = {name: x for name, x in os.environ.items() if name not in ("TF_CPP_MIN_LOG_LEVEL", "KGDISTS_LOG")}
    return subprocess.run(
        [sys.executable, "-m", "kgdists", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=kept | variables,
        timeout=300,
    )


def test_no_quick_command_imports_keras():
    run_python(CODE, *QUICK)


def test_list_writes_nothing_to_stderr():
    result = command("list")
    assert result.returncode == 0 and result.stderr == "" and result.stdout.startswith("CartPole-v1\n")


def test_nothing_is_seen_before_a_command_s_own_line():
    result = command("check", "CartPole-v1", "--steps", 50)
    assert result.returncode == 0 and result.stderr == "" and result.stdout.startswith("CartPole-v1")


@pytest.mark.exhaustive
def test_the_log_comes_if_it_is_asked_for():
    result = command("check", "CartPole-v1", "--steps", 50, KGDISTS_LOG="1", TF_CPP_MIN_LOG_LEVEL="0")
    assert result.returncode == 0 and result.stderr != ""


@pytest.mark.exhaustive
def test_processes_of_environments_are_quiet_too(tmp_path):
    result = command(
        *("train", "CartPole-v1", "--num-envs", 2, "--vectorization", "async", "--n-steps", 8, "--batch-size", 16),
        *("--steps", 16, "--eval-episodes", 1, "--eval-max-steps", 5, "--out", tmp_path / "run"),
    )
    assert result.returncode == 0 and result.stderr == ""


def test_a_warning_of_another_package_is_shown_once():
    code = """
        import contextlib, io, warnings

        from kgdists.cli import list_environments, main
        from kgdists.core.run_warning import RunWarning

        def warn(options):
            for _ in range(3):
                warnings.warn("of an environment", UserWarning)
                warnings.warn("of a run", RunWarning)
            return 0

        list_environments.show = warn
        with contextlib.redirect_stderr(io.StringIO()) as err:
            assert main(["list"]) == 0
        print(*map(err.getvalue().count, ("UserWarning: of an environment", "kgdists: warning: of a run")))
    """
    assert run_python(code).split() == ["1", "3"]
