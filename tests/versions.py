"""Run the core of the tests on the oldest and the newest packages and on newer Pythons, and try the wheel.

    python -m tests.versions
    python -m tests.versions oldest wheel

"oldest" has the oldest of every package that kgdists needs, as setup.cfg allows it, and "newest" the newest, both on
the oldest Python; "python3.12" and "python3.13" have the newest. "wheel" is built, installed, and used from an empty
folder. Each works on a copy of the sources, with a virtual environment of its own, in a temporary folder that is
removed. It needs the interpreters, pip and git, and no package. What docs/results/versions.json has of others stays.
"""

import configparser
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from xml.etree import ElementTree

from tests.whole import COUNTS, ROOT, commit_of_work_tree, counts_of, write

RECORD = ROOT / "docs" / "results" / "versions.json"
SOURCES = ("kgdists", "tests", "docs", "examples", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
# Of each room what comes closest to TensorFlow, Keras, NumPy and Gymnasium, in a few minutes.
CORE = (
    "tests/core/test_backend.py",
    "tests/core/test_checks.py",
    "tests/distributions/test_beta.py",
    "tests/distributions/test_categorical.py",
    "tests/distributions/test_hard_points.py",
    "tests/distributions/test_normal.py",
    "tests/distributions/test_symbolic.py",
    "tests/layers/test_heads.py",
    "tests/layers/test_running_normalization.py",
    "tests/agents/test_a2c.py",
    "tests/agents/test_acting.py",
    "tests/agents/test_es.py",
    "tests/agents/test_schedules.py",
    "tests/agents/sac/test_fused_optimizers.py",
    "tests/agents/sac/test_replay_buffer.py",
    "tests/test_policy.py",
)
NAMES = ("oldest", "newest", "python3.12", "python3.13", "wheel")
PACKAGES = ("tensorflow", "keras", "numpy", "gymnasium")
ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "KERAS_BACKEND")}

FACTS = f"""
import json, platform
from importlib.metadata import version
print(json.dumps({{"python": platform.python_version()}} | {{name: version(name) for name in {PACKAGES}}}))
"""
USER_SCRIPT = """import kgdists as kg
reveal_type(kg.NormalDist(mu=[0.0], logvar=[0.0]))
kg.NormalDist(mu=[0.0], variance=[0.0])
"""
USER_MODULE = """import gymnasium
import numpy as np


class Walk(gymnasium.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space = gymnasium.spaces.Box(-100.0, 100.0, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, goal, render_mode=None):
        self.goal, self.render_mode = goal, render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = 0
        return self._observed(), {}

    def step(self, action):
        self.at += 2 * int(action) - 1
        return self._observed(), float(self.at == self.goal), self.at == self.goal, False, {}

    def _observed(self):
        return np.array([self.at], "float32")

    def render(self):
        return np.full((16, 16, 3), 10 * self.at % 255, "uint8")


class Twice(gymnasium.RewardWrapper):
    def __init__(self, env, factor):
        super().__init__(env)
        self.factor = factor

    def reward(self, reward):
        return self.factor * reward


gymnasium.register("Walk-v0", Walk)
"""


def oldest():
    """The oldest version of each package that setup.cfg allows, as arguments of pip; not of the tools of the tests."""
    setup = _setup()
    extras = [setup["options.extras_require"][name] for name in ("agents", "record", "ray")]
    return re.sub(r">=([^,\n]*).*", r"==\1", "\n".join([setup["options"]["install_requires"], *extras])).split()


def run(name):
    """Install one version and try it, and return of what, with what, how many and how long."""
    entry = {"commit": commit_of_work_tree(RECORD)}
    times = [time.monotonic()]
    with tempfile.TemporaryDirectory() as folder:
        try:
            python, trial = (_install_wheel if name == "wheel" else _install_sources)(name, Path(folder).resolve())
            entry |= json.loads(_output([python, "-c", FACTS], folder))
            times.append(time.monotonic())
            counts = trial()
        except (OSError, subprocess.SubprocessError, ElementTree.ParseError) as error:
            print(f"{name}: {error}")
            counts = dict.fromkeys(COUNTS, 0) | {"errors": 1}
    times = [*times, time.monotonic()]
    return entry | counts | {"seconds_to_install": round(times[1] - times[0]), "seconds": round(times[-1] - times[1])}


def _setup():
    setup = configparser.ConfigParser(interpolation=None)
    setup.read(ROOT / "setup.cfg")
    return setup


def _install_sources(name, folder):
    sources = _copy_of_sources(folder)
    python = _virtual_environment(folder, name.removeprefix("python") if name.startswith("python") else None)
    _output(
        [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-compile",
            "-e",
            ".[test]",
            *(oldest() if name == "oldest" else ()),
        ],
        sources,
    )

    def trial():
        report = folder / "report.xml"
        command = [python, "-m", "pytest", "-n", "auto", f"--junitxml={report}", *CORE]
        status = subprocess.run(command, cwd=sources, env=ENVIRONMENT, check=False).returncode
        if not report.exists():
            raise subprocess.SubprocessError(f"pytest ended with status {status} and no report")
        return counts_of(report)

    return python, trial


def _install_wheel(name, folder):
    sources, python, user = _copy_of_sources(folder), _virtual_environment(folder), folder / "user"
    _output([python, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, sources], folder)
    (wheel,) = folder.glob("*.whl")
    shutil.rmtree(sources)
    _output([python, "-m", "pip", "install", "--quiet", "--no-compile", f"{wheel}[agents]", "mypy"], folder)
    user.mkdir()

    def trial():
        failures = [check.__name__ for check in CHECKS if not _passes(check, python, user, wheel)]
        return {"tests": len(CHECKS), "failures": len(failures), "errors": 0, "skipped": 0}

    return python, trial


def _copy_of_sources(folder):
    sources = folder / "sources"
    sources.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, sources / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, sources / name)
    return sources


def _virtual_environment(folder, version=None):
    """The Python of a new virtual environment, by default of the oldest version that setup.cfg allows."""
    version = version or _setup()["options"]["python_requires"].removeprefix(">=")
    interpreter = sys.executable
    if version != f"{sys.version_info.major}.{sys.version_info.minor}":
        # pyenv hides all interpreters but one behind its own, unless it is told which.
        command = [f"python{version}", "-c", "import sys; print(sys.executable)"]
        interpreter = _output(command, folder, PYENV_VERSION=version).strip()
    _output([interpreter, "-m", "venv", folder / "venv"], folder)
    return folder / "venv" / "bin" / "python"


def _output(command, folder, status=0, **environment):
    """What a command prints, or an error that has it if the command ends with another status."""
    command = [str(part) for part in command]
    options = {"cwd": folder, "env": ENVIRONMENT | environment, "text": True, "stdout": subprocess.PIPE}
    ended = subprocess.run(command, stderr=subprocess.STDOUT, check=False, **options)
    if ended.returncode != status:
        raise subprocess.SubprocessError(f"{' '.join(command)}: status {ended.returncode}\n{ended.stdout}")
    return ended.stdout


def _passes(check, python, user, wheel):
    try:
        check(python, user, wheel)
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        print(f"wheel: {check.__name__}: {error}")
        return False
    return True


def it_has_all_files(python, user, wheel):
    """Package data too, and nothing beside the package."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    package = {str(path.relative_to(ROOT)) for path in (ROOT / "kgdists").rglob("*") if path.is_file()}
    package = {name for name in package if "__pycache__" not in name}
    assert {name for name in names if ".dist-info/" not in name} == package, package.symmetric_difference(names)
    assert {"kgdists/py.typed", "kgdists/runs/report.html"} <= package


def it_is_imported(python, user, wheel):
    """From the virtual environment, in the version that the wheel is named after."""
    version, file = _output([python, "-c", "import kgdists as kg; print(kg.__version__, kg.__file__)"], user).split()[
        -2:
    ]
    assert wheel.name.split("-")[1] == version, f"{wheel.name} is {version}"
    assert Path(file).is_relative_to(user.parent / "venv"), file


def its_command_trains(python, user, wheel):
    """Some hundred steps, with all files of a run."""
    _output([python.with_name("kgdists"), "train", "CartPole-v1", "--steps", "512", "--out", "run"], user)
    assert {"policy.keras", "metrics.csv", "learning_curve.png"} <= {path.name for path in (user / "run").iterdir()}


def its_command_reports(python, user, wheel):
    """By the template in the package."""
    _output([python.with_name("kgdists"), "report", "run"], user)
    assert "CartPole-v1" in (user / "run" / "report.html").read_text()


def its_command_answers_at_once(python, user, wheel):
    """In a home with nothing in it, without a word of TensorFlow's log."""
    for arguments in (["--version"], ["--help"], ["list"], ["list", "CartPole-v1"], ["train", "CartPole-v1", "--help"]):
        said = _output([python.with_name("kgdists"), *arguments], user, HOME=str(user))
        assert said and "cuda" not in said and "absl" not in said, said
    assert "did you mean --steps" in _output(
        [python.with_name("kgdists"), "train", "CartPole-v1", "--stepz", "1"], user, 2
    )


def its_command_reaches_any_environment(python, user, wheel):
    """One of a module in the working folder, with an argument, a wrapper and a limit, by all commands."""
    (user / "mine.py").write_text(USER_MODULE)
    kgdists = python.with_name("kgdists")
    options = ["--env-kwargs", "goal=3", "--wrapper", "mine.Twice:factor=2.0", "--max-episode-steps", "9"]
    for run, more in (("one", ["--num-envs", "2"]), ("two", ["--num-envs", "16", "--vectorization", "async"])):
        small = ["--n-steps", "16", "--batch-size", "32", "--steps", "64", "--eval-episodes", "2", "--out", run]
        _output([kgdists, "train", "mine:Walk-v0", "--agent", "ppo", *options, *more, *small], user, HOME=str(user))
        _output([kgdists, "resume", run, "--steps", "600"], user, HOME=str(user))
        assert "mine:Walk-v0: return" in _output([kgdists, "evaluate", run, "--episodes", "2"], user, HOME=str(user))
        _output([kgdists, "record", run, "--episodes", "1", "--out", f"{run}.gif"], user, HOME=str(user))
        assert (user / f"{run}.gif").stat().st_size > 0


def its_types_are_seen(python, user, wheel):
    """By mypy with no settings, in a script of a user's: py.typed counts."""
    (user / "script.py").write_text(USER_SCRIPT)
    found = _output([python, "-m", "mypy", "script.py"], user, status=1)
    assert 'Revealed type is "kgdists.distributions.normal.NormalDist"' in found, found
    assert 'Unexpected keyword argument "variance"' in found and "Found 1 error in 1 file" in found, found


CHECKS = (
    it_has_all_files,
    it_is_imported,
    its_command_answers_at_once,
    its_command_trains,
    its_command_reports,
    its_command_reaches_any_environment,
    its_types_are_seen,
)


def main(names):
    if set(names) - set(NAMES):
        sys.exit(f"Names must be of {', '.join(NAMES)}. Received: {' '.join(names)}")
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    wanted = [name for name in NAMES if name in (names or NAMES)]
    for name in wanted:
        entry = record[name] = run(name)
        write(RECORD, record)
        print(f"{name}: {', '.join(f'{key} {value}' for key, value in entry.items())}", flush=True)
    return any(record[name][count] for name in wanted for count in ("failures", "errors"))


if __name__ == "__main__":
    # Ended by SIGTERM, it removes its folders too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    sys.exit(main(sys.argv[1:]))
