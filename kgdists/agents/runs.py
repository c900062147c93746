"""What a run folder tells of the training that wrote it."""

import csv
import dataclasses
import json
import math
import zipfile
from pathlib import Path

import keras
import numpy as np

from kgdists.agents.checkpoint import checkpoints, read_config
from kgdists.agents.files import damage, damaged
from kgdists.evaluation import Evaluation
from kgdists.policy import Policy

__all__ = ["Run", "group_of", "read_policy", "read_run", "settings_of"]


@dataclasses.dataclass(frozen=True)
class Run:
    """A training, by what it left behind.

    Attributes
    ----------
    path : Path
    agent, env : str
    config : dict
        Setting -> what JSON makes of it.
    metrics : dict of name -> array, shape [T]
        `steps`, `return` and whatever else was logged, by epoch.
    evaluation : None or Evaluation
        The final one; None while the training is under way.
    policy : Policy
    versions : dict of name -> str
        Of the packages that trained it, as far as they are known.
    """

    path: Path
    agent: str
    env: str
    config: dict
    metrics: dict
    evaluation: Evaluation | None
    policy: Policy
    versions: dict


def read_run(path):
    """Read a run folder.

    Parameters
    ----------
    path : str or path

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        If the folder lacks `config.json`, `metrics.csv` or `policy.keras`, or what is in it is damaged.
    """
    path = Path(path)
    config = read_config(path)
    with damage(path / "config.json"):
        settings = dict(config["config"])
        agent, env = (_text(config[name] or "unnamed") for name in ("agent", "env"))
    return Run(
        path=path,
        agent=agent,
        env=env,
        config=settings,
        metrics=_read_metrics(path),
        evaluation=_read_evaluation(path / "evaluation.json"),
        policy=read_policy(path / "policy.keras"),
        versions=_read_versions(path),
    )


def read_policy(file):
    """The policy in a `.keras` file of a run, read in safe mode."""
    _check_there(file)
    with damage(file):
        policy = keras.models.load_model(file, compile=False)
    if not isinstance(policy, Policy):
        raise damaged(file, "it holds no Policy")
    return policy


def settings_of(config):
    """The `config` of a run without its seed, in a form that can be compared and hashed."""
    return json.dumps({name: x for name, x in config.items() if name != "seed"}, sort_keys=True)


def group_of(run):
    """What the seeds of one experiment have in common: environment, agent and settings."""
    return run.env, run.agent, settings_of(run.config)


def _read_metrics(path):
    file = path / "metrics.csv"
    _check_there(file)
    with damage(file), file.open(newline="") as lines:
        rows = list(csv.DictReader(lines, strict=True))
        names = [name for name in rows[0] if not name.startswith("val_")] if rows else []
        metrics = {name: np.array([_number(row[name]) for row in rows]) for name in names}
    if not rows:
        raise ValueError(f"A run must have finished at least one update before it is shown. Received: {path}")
    if not {"steps", "return"} <= metrics.keys():
        raise damaged(file, "it lacks the column steps or return")
    return metrics


def _read_evaluation(file):
    if not file.is_file():
        return None
    with damage(file):
        evaluation = json.loads(file.read_text())
        returns, lengths = (tuple(map(float, evaluation[name])) for name in ("returns", "lengths"))
        if not returns or not all(map(math.isfinite, returns)):
            raise damaged(file, "it has no finite returns")
        return Evaluation(returns, tuple(map(int, lengths)))


def _read_versions(path):
    """The versions that the newest whole checkpoint has written down."""
    for file in checkpoints(path):
        try:
            with zipfile.ZipFile(file) as archive:
                versions = json.loads(archive.read("config.json"))["versions"]
            return {_text(name): _text(version) for name, version in versions.items()}
        except (AttributeError, KeyError, OSError, TypeError, ValueError, zipfile.BadZipFile):
            continue
    return {}


def _check_there(file):
    if not file.is_file():
        raise ValueError(f"A run must contain the file {file.name}. Received: {file.parent}")


def _number(text):
    return float("nan") if text in ("", "NA") else float(text)


def _text(x):
    if not isinstance(x, str):
        raise TypeError(f"not a text: {x!r}")
    return x
