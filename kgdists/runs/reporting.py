"""Runs on one page."""

import base64
import collections
import datetime
import importlib.metadata
import importlib.resources
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kgdists.core.extras import brought_by
from kgdists.core.files import reading
from kgdists.layers import BernoulliHead, CategoricalHead, CompositeHead, MultiCategoricalHead
from kgdists.runs.curves import ON_THE_WAY, end_of, evaluations_of
from kgdists.runs.folder import differing, experiments, in_words, names_of, read_policy, read_run
from kgdists.runs.layout import METRICS, POLICY, RECORDING, read_evaluation, read_versions
from kgdists.runs.metric_guide import MEANINGS, healthy_range, meaning_of
from kgdists.runs.metrics import read_metrics
from kgdists.runs.panels import COLORS, NARROW, WIDE, Lines, draw_panel

with brought_by("agents"):
    import jinja2
    from markupsafe import Markup, escape
    from PIL import Image

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
MAX_FILM = 10 * 2**20  # bytes, of a page that can be sent by mail
TEMPLATE = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)


def report(paths: Sequence[str | Path], commands: Sequence[tuple[str, str] | None] | None = None) -> str:
    """Write a page about runs: learning curves, evaluations, settings, films, and how their policies fared.

    Runs that differ in nothing but their seeds are one experiment.

    Parameters
    ----------
    paths : list of str or path
        Run folders.
    commands : None or list of (None or (str, str))
        What makes each run again, to be shown: a line for a shell, and settings that it cannot say, in words.

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
    runs = [read_run(path) for path in paths]
    of_path = dict(zip((run.path for run in runs), commands or len(runs) * [None], strict=True))
    groups = experiments(runs)
    by_env: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
    for name, group in zip(names_of(groups), groups, strict=True):
        number_of = len(by_env[group[0].env])
        rows = [_row(run) | {"command": of_path[run.path]} for run in group]
        by_env[group[0].env].append({"name": name, "agent": group[0].agent, "color": number_of % COLORS, "runs": rows})
    TEMPLATE.filters |= {"breakable": _breakable, "command": _unbroken_options}
    page = TEMPLATE.from_string(importlib.resources.files("kgdists.runs").joinpath("report.html").read_text("utf-8"))
    return page.render(
        title=f"{len(paths)} run{'s' if len(paths) > 1 else ''} on {', '.join(by_env)}",
        environments=[_environment(i, env, of_env) for i, (env, of_env) in enumerate(by_env.items())],
        dates=_span([row["date"] for of_env in by_env.values() for experiment in of_env for row in experiment["runs"]]),
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
        "time": duration(seconds.sum()) if seconds.size else NONE,
        "date": datetime.datetime.fromtimestamp((run.path / METRICS).stat().st_mtime, datetime.UTC).date(),
        "last_return": number(metrics["return"][-1]),
        "mean": None if evaluation is None else evaluation.mean,
        "end": end_of(run.path, metrics),
        "on_the_way": evaluations_of(run.path, metrics),
        "evaluation": "not evaluated yet" if evaluation is None else _plus_minus(evaluation.mean, evaluation.std),
        "episodes": "" if evaluation is None else len(evaluation.returns),
        "weights": f"{sum(int(np.prod(w.shape)) for w in policy.trainable_weights):,}",
        "head": type(policy.head).__name__,
        "is_choice": _is_choice(policy.head),
        "statistics": {name: number(_at_the_end(metrics, name)) for name in STATISTICS},
        "versions": ", ".join(f"{name} {version}" for name, version in read_versions(run.path).items())
        or "unknown versions",
        "film": _film(run.path / RECORDING),
    }


def _breakable(name):
    """A name that may be broken after its underscores."""
    return escape(name).replace("_", Markup("_<wbr>"))


def _unbroken_options(command):
    """A command whose options are not broken at their hyphens."""
    words = re.split(r"(--[\w-]+)", command)
    return Markup("").join(Markup("<span>{}</span>").format(word) if word[:2] == "--" else word for word in words)


def _is_choice(head):
    """Whether all actions are choices, whose entropy is of probabilities."""
    if isinstance(head, CompositeHead):
        return all(map(_is_choice, head.branches))
    return isinstance(head, (BernoulliHead, CategoricalHead, MultiCategoricalHead))


def _film(file):
    """A film within the page, and its first picture for those who like things at rest; None if there is none."""
    if not file.is_file():
        return None
    if file.stat().st_size > MAX_FILM:
        return {"left_out": f"{file.name} of {file.stat().st_size / 2**20:,.0f} MiB, beside this run, is left out."}
    with reading(file):
        data = file.read_bytes()
        with Image.open(io.BytesIO(data)) as film:
            still = io.BytesIO()
            film.save(still, "png")
            width, height = film.size
    sources = {"source": _data_uri("gif", data), "still": _data_uri("png", still.getvalue())}
    return {"left_out": None, "width": width, "height": height, **sources}


def _data_uri(kind, data):
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _environment(index, env, of_env):
    configs = [experiment["runs"][0]["config"] for experiment in of_env]
    configs = [{name: x for name, x in config.items() if name != "seed"} for config in configs]
    differ = differing(configs)
    names = dict.fromkeys(name for config in configs for name in config if name not in differ)
    rows = [row for experiment in of_env for row in experiment["runs"]]
    last = max(row["metrics"]["steps"][-1] for row in rows)
    metrics = [name for name in _ordered(rows) if name not in ("epoch", "steps", "return", ON_THE_WAY)]
    curves = [
        draw_panel(_lines(of_env, "return"), f"e{index}w{size[0]}", size=size, last=last, has_label=True)
        for size in (WIDE, NARROW)
    ]
    return {
        "id": env,
        "experiments": [experiment | {"summary": _summary(experiment["runs"])} for experiment in of_env],
        "statistics": {
            name: meaning_of(name) for name in STATISTICS if any(row["statistics"][name] != NONE for row in rows)
        },
        "versions": _versions(rows),
        "curves": [Markup(curve) for curve in curves],
        "has_seeds": any(len(experiment["runs"]) > 1 for experiment in of_env),
        "has_evaluations": any(row["on_the_way"] is not None for row in rows),
        "has_ends": any(row["end"] is not None for row in rows),
        "has_commands": any(row["command"] for row in rows),
        "metrics": [_metric(f"e{index}m{i}", name, of_env, last) for i, name in enumerate(metrics)],
        "films": [row for row in rows if row["film"] is not None],
        "differ": {name: [in_words(config[name]) if name in config else NONE for config in configs] for name in differ},
        "same": {name: _value(configs, name, of_env) for name in names},
    }


def _value(configs, name, of_env):
    """A setting that is the same in all experiments that have it, and which these are."""
    having = [i for i, config in enumerate(configs) if name in config]
    only = "" if len(having) == len(configs) else f" ({', '.join(of_env[i]['name'] for i in having)})"
    return f"{in_words(configs[having[0]][name])}{only}"


def _metric(prefix, name, of_env, last):
    """A panel of one metric."""
    rows = [row for experiment in of_env for row in experiment["runs"] if name in row["metrics"]]
    values = np.concatenate([row["metrics"][name] for row in rows])
    values = values[np.isfinite(values)]
    highest = values.max() if values.size and all(row["is_choice"] for row in rows) else None
    healthy = healthy_range(name, highest)
    return {
        "name": name,
        "meaning": meaning_of(name),
        "is_healthy": healthy is not None,
        "figure": Markup(draw_panel(_lines(of_env, name), prefix, healthy=healthy, last=last)),
    }


def _lines(of_env, name):
    """What each experiment has in the panel of a metric."""
    lines = []
    for experiment in of_env:
        rows = [row for row in experiment["runs"] if name in row["metrics"]]
        curves = [(row["metrics"]["steps"], row["metrics"][name]) for row in rows]
        if name == "return":
            on_the_way = [row["on_the_way"] for row in rows if row["on_the_way"] is not None]
            lines.append(Lines(curves, on_the_way, [row["end"] for row in rows if row["end"] is not None]))
        else:
            lines.append(Lines(curves))
    return lines


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


def _plus_minus(mean, std):
    """A mean and its standard deviation, with the decimals of the mean."""
    text = number(mean)
    decimals = 0 if "e" in text else len(text.partition(".")[2])
    return f"{text} ± {std:,.{decimals}f}" if decimals else f"{text} ± {number(std)}"


def duration(seconds: float) -> str:
    """A time as people say it.

    Examples
    --------
    >>> from kgdists.runs.reporting import duration
    >>> [duration(x) for x in (0.3, 21.4, 125.0, 3720.0, 90_000.0)]
    ['less than 1 s', '21 s', '2 min 5 s', '1 h 2 min', '1 d 1 h']
    """
    whole = round(seconds)
    if whole < 1:
        return "less than 1 s"
    for large, small, size in (("d", "h", 86_400), ("h", "min", 3600), ("min", "s", 60)):
        if whole >= size:
            many, rest = divmod(whole, size)
            rest //= {"h": 3600, "min": 60, "s": 1}[small]
            return f"{many} {large} {rest} {small}" if rest else f"{many} {large}"
    return f"{whole} s"


def day(date: datetime.date) -> str:
    """A date as people write it, such as 30 November 2026."""
    return f"{date.day} {date:%B %Y}"


def _span(dates):
    first, last = min(dates), max(dates)
    return f"on {day(first)}" if first == last else f"from {day(first)} to {day(last)}"
