"""Reading a run folder: configuration, policy, evaluation, versions."""

import contextlib
import dataclasses
import json
import zipfile
from collections import Counter
from pathlib import Path

from kgdists.core.files import damaged, load_model, not_finite, reading
from kgdists.envs.evaluation import Evaluation
from kgdists.policy import Policy
from kgdists.runs.checkpoint import checkpoints, read_config

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
    config: dict


def read_run(path):
    """Read what was trained in a run folder."""
    path = Path(path)
    config = read_config(path)
    env = "an environment without id" if config["env"] is None else config["env"]
    if not (isinstance(env, str) and isinstance(config["agent"], str) and isinstance(config["config"], dict)):
        raise damaged(path / "config.json", "agent, env and config are not two texts and a dict")
    return Run(path, env, config["agent"], config["config"])


def experiments(runs):
    """Group runs that differ in nothing but their seeds: lists of runs, in the order of their first ones.

    Where a seed occurs twice, each run stays for itself.
    """
    groups = {}
    for run in runs:
        settings = {name: x for name, x in run.config.items() if name != "seed"}
        groups.setdefault((run.env, run.agent, json.dumps(settings, sort_keys=True)), []).append(run)
    result = []
    for group in groups.values():
        has_seeds = len({run.config.get("seed") for run in group}) == len(group)
        result += [group] if has_seeds else [[run] for run in group]
    return result


def names_of(groups):
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


def differing(configs):
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


def read_policy(file):
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


def read_evaluation(run):
    """The evaluation at the end of a run, None while it is under way."""
    file = Path(run) / "evaluation.json"
    if not file.is_file():
        return None
    with reading(file):
        evaluation = json.loads(file.read_text())
        returns, lengths = ([*evaluation[name]] for name in ("returns", "lengths"))
        if any(isinstance(x, (str, bool)) for x in (*returns, *lengths)):
            raise ValueError("it has texts for numbers")
        returns, lengths = tuple(map(float, returns)), tuple(map(int, lengths))
        cut = int(evaluation.get("cut", 0))  # which version 0.1 did not write
    if not returns or not all(abs(x) < 1e100 for x in returns):
        raise damaged(file, "it has no finite returns")
    if len(lengths) != len(returns) or not 0 <= cut <= len(returns):
        raise damaged(file, "its episodes are not of one number")
    return Evaluation(returns, lengths, cut)


def read_versions(run):
    """The versions of the packages that trained a run, by its `config.json` or its newest checkpoint; {} if unknown."""
    versions = read_config(run).get("versions")
    for file in checkpoints(run) if versions is None else []:
        with contextlib.suppress(KeyError, OSError, TypeError, ValueError, zipfile.BadZipFile):
            with zipfile.ZipFile(file) as archive:
                versions = json.loads(archive.read("config.json"))["versions"]
            break
    return {str(name): str(x) for name, x in versions.items()} if isinstance(versions, dict) else {}
