"""Runs on one page."""

import base64
import collections
import importlib.metadata
import importlib.resources
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kgdists.core.extras import brought_by
from kgdists.runs.curves import draw_seeds, plain
from kgdists.runs.folder import (
    differing,
    experiments,
    names_of,
    read_policy,
    read_run,
)
from kgdists.runs.layout import POLICY, read_evaluation, read_versions
from kgdists.runs.metric_guide import MEANINGS, meaning_of
from kgdists.runs.metrics import read_metrics

with brought_by("agents"):
    import jinja2
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, MaxNLocator

__all__ = ["report"]

STATISTICS = (
    "entropy",
    "saturation",
    "kl",
    "clip_fraction",
    "explained_variance",
    "gradient_norm",
    "steps_per_second",
)
NONE = "–"
TEMPLATE = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)


def report(paths: Sequence[str | Path]) -> str:
    """Write a page about runs: learning curves, evaluations, settings, and how their policies fared.

    Runs that differ in nothing but their seeds are one experiment.

    Parameters
    ----------
    paths : list of str or path
        Run folders.

    Returns
    -------
    str
        HTML that refers to nothing outside itself.

    Raises
    ------
    ValueError
        If there is no run, or one lacks a file or is damaged.
    """
    if not paths:
        raise ValueError("A report needs at least one run folder")
    groups = experiments([read_run(path) for path in paths])
    by_env = collections.defaultdict(list)
    for name, group in zip(names_of(groups), groups, strict=True):
        by_env[group[0].env].append({"name": name, "runs": [_row(run) for run in group]})
    page = TEMPLATE.from_string(importlib.resources.files("kgdists.runs").joinpath("report.html").read_text("utf-8"))
    return page.render(
        title=f"{len(paths)} run{'s' if len(paths) > 1 else ''} on {', '.join(by_env)}",
        environments=[_environment(env, of_env) for env, of_env in by_env.items()],
        version=importlib.metadata.version("kgdists"),
    )


def _row(run):
    """All that the page tells of a run."""
    metrics, evaluation = read_metrics(run.path), read_evaluation(run.path)
    policy = read_policy(run.path / POLICY)
    speed = metrics.get("steps_per_second", np.full_like(metrics["steps"], np.nan))
    seconds = np.diff(metrics["steps"], prepend=0.0)[speed > 0.0] / speed[speed > 0.0]
    return {
        "folder": run.path.name,
        "seed": run.config.get("seed"),
        "config": run.config,
        "metrics": metrics,
        "steps": f"{metrics['steps'][-1]:,.0f}",
        "minutes": number(seconds.sum() / 60.0 if seconds.size else None),
        "last_return": number(metrics["return"][-1]),
        "mean": None if evaluation is None else evaluation.mean,
        "evaluation": "not evaluated yet"
        if evaluation is None
        else f"{number(evaluation.mean)} ± {number(evaluation.std)}",
        "episodes": "" if evaluation is None else len(evaluation.returns),
        "weights": f"{sum(int(np.prod(w.shape)) for w in policy.trainable_weights):,}",
        "head": type(policy.head).__name__,
        "statistics": {name: number(_at_the_end(metrics, name)) for name in STATISTICS},
        "versions": ", ".join(f"{name} {version}" for name, version in read_versions(run.path).items())
        or "unknown versions",
    }


def _environment(env, of_env):
    configs = [experiment["runs"][0]["config"] for experiment in of_env]
    differ = differing([{name: x for name, x in config.items() if name != "seed"} for config in configs])
    names = dict.fromkeys(name for config in configs for name in config if name != "seed")
    rows = [row for experiment in of_env for row in experiment["runs"]]
    metrics = [name for name in _ordered(rows) if name not in ("epoch", "steps", "return")]
    return {
        "id": env,
        "experiments": [experiment | {"summary": _summary(experiment["runs"])} for experiment in of_env],
        "statistics": {
            name: meaning_of(name) for name in STATISTICS if any(row["statistics"][name] != NONE for row in rows)
        },
        "versions": _versions(rows),
        "curve": _figure(of_env, "return", (6.0, 3.4)),
        "metrics": [
            {"name": name, "figure": _figure(of_env, name, (4.2, 2.6)), "meaning": meaning_of(name)} for name in metrics
        ],
        "settings": [
            {"name": name, "differs": name in differ, "values": [_setting(config, name) for config in configs]}
            for name in names
        ],
    }


def _versions(rows):
    """Versions of packages -> the runs trained with them."""
    folders = collections.defaultdict(list)
    for row in rows:
        folders[row["versions"]].append(row["folder"])
    return {versions: ", ".join(names) for versions, names in folders.items()}


def _ordered(rows):
    """The metrics of runs, those that are explained first."""
    logged = dict.fromkeys(name for row in rows for name in row["metrics"] if name and not name.startswith("val_"))
    return sorted(logged, key=lambda name: ([*MEANINGS, name].index(name), name))


def _summary(rows):
    """The evaluations of the seeds together."""
    means = [row["mean"] for row in rows if row["mean"] is not None]
    if not means:
        return "not evaluated yet"
    seeds = f"{len(means)} seeds" if len(means) == len(rows) else f"{len(means)} of {len(rows)} seeds"
    if len(rows) == 1:
        return number(means[0])
    return f"{number(np.mean(means))}, from {number(min(means))} to {number(max(means))} ({seeds})"


def _at_the_end(metrics, name):
    """The mean over the last tenth of the updates, None if there is none."""
    last = metrics.get(name, np.zeros(0))
    last = last[-max(1, len(last) // 10) :]
    return np.mean(last[np.isfinite(last)]) if np.isfinite(last).any() else None


def number(x: float | None) -> str:
    """A number with some four digits, a dash for none."""
    if x is None or not np.isfinite(x):
        return NONE
    return f"{x:,.0f}" if abs(x) >= 1000.0 else f"{x:.1f}" if abs(x) >= 100.0 else f"{x:.3g}"


def _setting(config, name):
    if name not in config:
        return ""
    value = config[name]
    if isinstance(value, dict) and isinstance(value.get("config"), dict):  # a schedule as Keras writes it
        arguments = ", ".join(f"{key}={x}" for key, x in value["config"].items() if key != "name")
        return f"{value.get('class_name')}({arguments})"
    return str(value)


def _figure(of_env, name, size):
    """A metric of all experiments as a data URI of an SVG."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    for i, experiment in enumerate(of_env):
        curves = [
            (row["metrics"]["steps"], row["metrics"][name]) for row in experiment["runs"] if name in row["metrics"]
        ]
        if curves:
            draw_seeds(axes, curves, experiment["name"], f"C{i % 10}")
    axes.set_xlabel("environment steps")
    axes.set_title(plain(name))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(alpha=0.3)
    if len(of_env) > 1 or len(of_env[0]["runs"]) > 1:
        axes.legend(frameon=False, fontsize="small")
    image = io.BytesIO()
    # The same runs make the same page, byte for byte.
    with matplotlib.rc_context({"svg.hashsalt": "kgdists"}):
        figure.savefig(image, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(image.getvalue()).decode()
