"""The layout of a run folder, and the files that say what was trained: `config.json` and `evaluation.json`."""

import contextlib
import dataclasses
import importlib.metadata
import json
import zipfile
from pathlib import Path
from typing import Any

from kgdists.core.choices import MAX_STEPS, MAX_THREADS
from kgdists.core.files import atomic_write, damaged, reading
from kgdists.envs.env_id import is_options
from kgdists.envs.evaluation import Evaluation

__all__ = [
    "BEST",
    "CHECKPOINTS",
    "CONFIG",
    "CURVE",
    "EVALUATION",
    "METRICS",
    "POLICY",
    "RECORDING",
    "REPORT",
    "TENSORBOARD",
    "checkpoints",
    "evaluated_steps",
    "is_step_count",
    "read_config",
    "read_evaluation",
    "read_versions",
    "steps_of_evaluation",
    "versions",
    "write_config",
    "write_evaluation",
]

CONFIG = "config.json"  # agent, environment, settings; also the name of a checkpoint's header
POLICY = "policy.keras"  # that of the last checkpoint
CHECKPOINTS = "checkpoints"  # the last two, STEPS.zip
METRICS = "metrics.csv"  # a row for each epoch
EVALUATION = "evaluation.json"  # the one at the end
CURVE = "learning_curve.png"
BEST = "best.keras"  # the policy of the best evaluation on the way
TENSORBOARD = "tensorboard"
REPORT = "report.html"
RECORDING = "recording.gif"

PACKAGES = ("kgdists", "keras", "tensorflow", "numpy", "gymnasium")


def checkpoints(path: str | Path) -> list[Path]:
    """The checkpoints of a run folder, the newest first, whole ones or not."""
    files = [file for file in (Path(path) / CHECKPOINTS).glob("*.zip") if is_step_count(file.stem) and file.is_file()]
    return sorted(files, key=lambda file: int(file.stem), reverse=True)


def is_step_count(text: str) -> bool:
    """Whether a text is as Python writes a number of steps."""
    return text.isdecimal() and text == str(int(text))


def write_config(path: str | Path, config: dict[str, Any]) -> None:
    """Write the `config.json` of a run folder: a dict as `read_config` returns it."""
    Path(path).mkdir(parents=True, exist_ok=True)
    text = json.dumps(config, indent=2) + "\n"
    file = Path(path) / CONFIG
    if not file.is_file() or file.read_text() != text:
        with atomic_write(file) as partial:
            partial.write_text(text)


FACTS = {
    "total_steps": (f"an int from 1 to {MAX_STEPS:.0e}", lambda x: isinstance(x, int) and 1 <= x <= MAX_STEPS),
    "threads": (f"an int from 1 to {MAX_THREADS}", lambda x: isinstance(x, int) and 1 <= x <= MAX_THREADS),
    **dict.fromkeys(
        ("evaluate_every", "eval_episodes", "eval_envs", "eval_max_steps"),
        ("an int >= 1", lambda x: isinstance(x, int) and x >= 1),
    ),
    "versions": ("an object of texts", lambda x: isinstance(x, dict) and all(isinstance(v, str) for v in x.values())),
    "env_options": ("an object of texts and numbers", is_options),
    "run": ("a text", lambda x: isinstance(x, str)),
}  # what a config.json may hold beside the agent


def read_config(path: str | Path) -> dict[str, Any]:
    """The `config.json` of a run folder, a dict with `agent`, `env`, `config`, and what else the run is to remember."""
    path = Path(path)
    if not path.is_dir():
        raise ValueError(f"A run must be an existing folder. Received: {path}")
    file = path / CONFIG
    if not file.is_file():
        raise ValueError(f"A run must contain the file config.json. Received: {path}")
    with reading(file):
        config = json.loads(file.read_text())
        config = config | {name: config[name] for name in ("agent", "env")} | {"config": dict(config["config"])}
    for name, (rule, is_good) in FACTS.items():
        if config.get(name) is None:
            config.pop(name, None)
        elif isinstance(config[name], bool) or not is_good(config[name]):
            raise damaged(file, f"`{name}` is not {rule}")
    return config


def versions() -> dict[str, str]:
    """The versions of the packages that the numbers of a run depend on."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


def write_evaluation(run: str | Path, evaluation: Evaluation, steps: int) -> None:
    """Write the evaluation of what was trained for this many steps."""
    with atomic_write(Path(run) / EVALUATION) as file:
        file.write_text(json.dumps(dataclasses.asdict(evaluation) | {"steps": steps}) + "\n")


def evaluated_steps(run: str | Path) -> int | None:
    """The steps after which a run was last evaluated and plotted, None if it was not."""
    return steps_of_evaluation(run) if (Path(run) / CURVE).is_file() else None


def steps_of_evaluation(run: str | Path) -> int | None:
    """The steps after which the evaluation of a run was played, None if that is unknown."""
    file = Path(run) / EVALUATION
    with contextlib.suppress(Exception):  # of a damaged one too there will be another
        return int(json.loads(file.read_text())["steps"])
    return None


def read_evaluation(run: str | Path) -> Evaluation | None:
    """The evaluation at the end of a run, None while it is under way."""
    file = Path(run) / EVALUATION
    if not file.is_file():
        return None
    with reading(file):
        evaluation = json.loads(file.read_text())
        given = [*evaluation["returns"]], [*evaluation["lengths"]]
        if any(isinstance(x, (str, bool)) for x in (*given[0], *given[1])):
            raise ValueError("it has texts for numbers")
        returns, lengths = tuple(map(float, given[0])), tuple(map(int, given[1]))
        cut = int(evaluation.get("cut", 0))  # which version 0.1 did not write
    if not returns or not all(abs(x) < 1e100 for x in returns):
        raise damaged(file, "it has no finite returns")
    if len(lengths) != len(returns) or not 0 <= cut <= len(returns):
        raise damaged(file, "its episodes are not of one number")
    return Evaluation(returns, lengths, cut)


def read_versions(run: str | Path) -> dict[str, str]:
    """The versions of the packages that trained a run, by its `config.json` or its newest checkpoint; {} if unknown."""
    versions = read_config(run).get("versions")
    for file in checkpoints(run) if versions is None else []:
        with contextlib.suppress(KeyError, OSError, TypeError, ValueError, zipfile.BadZipFile):
            with zipfile.ZipFile(file) as archive:
                versions = json.loads(archive.read(CONFIG))["versions"]
            break
    return {str(name): str(x) for name, x in versions.items()} if isinstance(versions, dict) else {}
