"""Run folders read: what was trained in them, and in which settings they differ."""

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kgdists.core.checks import is_count
from kgdists.core.files import damaged, load_model, not_finite, reading
from kgdists.policy import Policy
from kgdists.runs.layout import CONFIG, read_config, read_evaluation, read_versions

__all__ = [
    "Run",
    "differing",
    "experiments",
    "in_words",
    "names_of",
    "read_evaluation",
    "read_policy",
    "read_run",
    "read_versions",
]


@dataclasses.dataclass(frozen=True)
class Run:
    """A run folder, and what was trained in it.

    Attributes
    ----------
    path : Path
    env, agent : str
    config : dict of setting -> what JSON makes of it
    """

    path: Path
    env: str
    agent: str
    config: dict[str, Any]


def read_run(path: str | Path) -> Run:
    """Read what was trained in a run folder."""
    path = Path(path)
    config = read_config(path)
    env = "an environment without id" if config["env"] is None else config["env"]
    if not (isinstance(env, str) and isinstance(config["agent"], str) and isinstance(config["config"], dict)):
        raise damaged(path / CONFIG, "agent, env and config are not two texts and a dict")
    return Run(path, env, config["agent"], config["config"] | config.get("env_options", {}))


def experiments(runs: Sequence[Run]) -> list[list[Run]]:
    """Group runs that differ in nothing but their seeds: lists of runs, in the order of their first ones.

    Where a seed occurs twice, each run stays for itself.
    """
    groups: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        settings = {name: x for name, x in run.config.items() if name != "seed"}
        groups.setdefault((run.env, run.agent, json.dumps(settings, sort_keys=True)), []).append(run)
    result: list[list[Run]] = []
    for group in groups.values():
        has_seeds = len({run.config.get("seed") for run in group}) == len(group)
        result += [group] if has_seeds else [[run] for run in group]
    return result


def names_of(groups: Sequence[Sequence[Run]]) -> list[str]:
    """A name for each experiment: its agent and, where others of that agent and environment are, how it differs.

    Where nothing differs, a training was repeated, and the folder tells it apart, or a number.
    """
    names = []
    for group in groups:
        first = group[0]
        like = [other[0] for other in groups if (other[0].env, other[0].agent) == (first.env, first.agent)]
        settings = [name for name in differing([run.config for run in like]) if name != "seed" or len(group) == 1]
        texts = {name: in_words(first.config[name]) for name in settings if name in first.config}
        values = [f"{name}={text.removesuffix(' gradient steps')}" for name, text in texts.items()]
        names.append(", ".join([first.agent, *values]))
    counts = Counter((group[0].env, name) for group, name in zip(groups, names, strict=True))
    seen: Counter[tuple[str, str]] = Counter()
    result = []
    for group, name in zip(groups, names, strict=True):
        told = name if counts[group[0].env, name] == 1 else f"{name}, {group[0].path.name}"
        seen[group[0].env, told] += 1
        number = seen[group[0].env, told]
        result.append(told if number == 1 else f"{told} ({number})")
    return result


def differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings that are not the same in all of those dicts that have them."""
    names = dict.fromkeys(name for config in configs for name in config)
    texts = {name: {json.dumps(config[name], sort_keys=True) for config in configs if name in config} for name in names}
    return [name for name in names if len(texts[name]) > 1]


def in_words(value: Any) -> str:
    """A setting as people write it.

    Examples
    --------
    >>> from kgdists.runs.folder import in_words
    >>> in_words(3e-4), in_words([64, 64])
    ('0.0003', '64 x 64')
    >>> decay = {"initial_learning_rate": 1e-3, "decay_steps": 1580, "end_learning_rate": 0.0, "power": 1.0}
    >>> in_words({"class_name": "PolynomialDecay", "config": decay})
    '0.001 → 0 over 1580 gradient steps'
    """
    if isinstance(value, dict) and isinstance(value.get("config"), dict):  # a schedule as Keras writes it
        config = {key: x for key, x in value["config"].items() if key != "name" and x is not None and x is not False}
        line = {"initial_learning_rate", "decay_steps", "end_learning_rate", "power"}
        if value.get("class_name") == "PolynomialDecay" and config.keys() == line and config["power"] == 1.0:
            start, end = in_words(config["initial_learning_rate"]), in_words(config["end_learning_rate"])
            return f"{start} → {end} over {config['decay_steps']} gradient steps"
        return f"{value.get('class_name')}({', '.join(f'{key}={in_words(x)}' for key, x in config.items())})"
    if isinstance(value, list) and value:
        return " x ".join(map(in_words, value)) if all(map(is_count, value)) else ", ".join(map(in_words, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def read_policy(file: str | Path) -> Policy:
    """The policy in a `.keras` file of a run, read in safe mode."""
    file = Path(file)
    if not file.is_file():
        raise ValueError(f"A run must contain the file {file.name}. Received: {file.parent}")
    with reading(file):
        policy = load_model(file)
    if not isinstance(policy, Policy):
        raise damaged(file, "it holds no Policy")
    bad = not_finite({x.path: x.numpy() for x in policy.variables})
    if bad:
        raise damaged(file, f"it holds numbers that are not finite, in {', '.join(bad)}")
    return policy
