"""Run folders read: what was trained in them, and in which settings they differ."""

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kgdists.core.files import damaged, load_model, not_finite, reading
from kgdists.policy import Policy
from kgdists.runs.layout import CONFIG, read_config, read_evaluation, read_versions

__all__ = ["Run", "differing", "experiments", "names_of", "read_evaluation", "read_policy", "read_run", "read_versions"]


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
    return Run(path, env, config["agent"], config["config"])


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

    Where nothing differs, a training was repeated, and the folder tells it apart.
    """
    names = []
    for group in groups:
        first = group[0]
        like = [other[0] for other in groups if (other[0].env, other[0].agent) == (first.env, first.agent)]
        settings = [name for name in differing([run.config for run in like]) if name != "seed" or len(group) == 1]
        values = [f"{name}={_short(first.config.get(name))}" for name in settings]
        names.append(", ".join([first.agent, *values]))
    counts = Counter((group[0].env, name) for group, name in zip(groups, names, strict=True))
    return [
        name if counts[group[0].env, name] == 1 else f"{name}, {group[0].path.name}"
        for group, name in zip(groups, names, strict=True)
    ]


def differing(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings that are not the same in all of these dicts."""
    names = dict.fromkeys(name for config in configs for name in config)
    texts = {name: {json.dumps(config.get(name), sort_keys=True) for config in configs} for name in names}
    return [name for name in names if len(texts[name]) > 1]


def _short(value):
    """A setting as text; a schedule by its class and numbers."""
    if isinstance(value, dict) and isinstance(value.get("config"), dict):
        numbers = [f"{x:g}" for x in value["config"].values() if isinstance(x, (int, float)) and x is not True]
        return f"{value.get('class_name')}({', '.join(numbers)})"
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
