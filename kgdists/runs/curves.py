"""Quantities over the course of a training or a fit."""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from kgdists.core.extras import brought_by
from kgdists.core.files import reading
from kgdists.runs.layout import BEST, read_evaluation, steps_of_evaluation
from kgdists.runs.legends import add_legend, plain
from kgdists.runs.metrics import read_metrics

with brought_by("agents"):
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.ticker import EngFormatter, MaxNLocator

__all__ = [
    "ON_THE_WAY",
    "draw_evaluations",
    "draw_seeds",
    "draw_steps",
    "end_of",
    "evaluations_of",
    "fit_history",
    "learning_curve",
    "seed_band",
]

Curve: TypeAlias = tuple[np.ndarray, np.ndarray]  # steps and values
End: TypeAlias = tuple[float, float, float]  # steps, mean and standard deviation

MAX_POINTS = 400  # of a band
ON_THE_WAY = "evaluation_return"  # the column of evaluations in the course of a training
LABELS = {"running_return": "return so far, no episode has ended"}
GRAY = "0.4"
DASHED: dict[str, Any] = {"linestyle": "--", "linewidth": 1.0, "marker": ".", "markersize": 5.0}
DIAMOND: dict[str, Any] = {"linestyle": "", "marker": "D", "markersize": 4.5}


def learning_curve(
    runs: Sequence[str | Path],
    labels: Sequence[str] | None = None,
    panels: Sequence[str] | None = None,
    *,
    quantity: str = "return",
) -> Figure:
    """Plot the return, or another metric, over the environment steps of one or more runs.

    Runs of the same label and panel are seeds of one curve: their mean, in a band of their middle half, from the lower
    to the upper quartile, and a thin line for each. Beside the return of the training are the returns of evaluations:
    a dashed line for those on the way, a diamond with its standard deviation for the one at the end. Where no episode
    has ended in any run, the return so far of those being played stands in its place.

    Parameters
    ----------
    runs : list of str or path
        Folders with a `metrics.csv`.
    labels : None or list of str
        One per run; None takes the folders' names, and each run for itself.
    panels : None or list of str
        One per run: the title of the axes it is drawn in, such as its environment. None draws all in the same.
    quantity : str
        A column of `metrics.csv`.

    Returns
    -------
    matplotlib.figure.Figure
        With one legend of all panels, below them.

    Raises
    ------
    ValueError
        If a run has no readable `metrics.csv` with that column, or a damaged `evaluation.json`.
    """
    paths = [Path(run) for run in runs]
    names = [path.name for path in paths] if labels is None else labels
    keys = range(len(paths)) if labels is None else labels  # two folders of one name are two runs
    if quantity == "return" and all(map(_is_running, paths)):
        quantity = "running_return"
    groups: dict[str, dict[tuple[Any, str], list[Path]]] = {}
    for path, key, name, panel in zip(paths, keys, names, panels or len(paths) * [""], strict=True):
        groups.setdefault(panel, {}).setdefault((key, name), []).append(path)
    shown = dict.fromkeys(key for group in groups.values() for key in group)
    colors = {key: f"C{i % 10}" for i, key in enumerate(shown)}
    columns = min(len(groups), 3)
    rows = -(-len(groups) // columns)
    figure = Figure(figsize=(7.0, 3.6) if len(groups) == 1 else (4.5 * columns, 3.3 * rows), layout="constrained")
    styles = set()
    for i, (panel, group) in enumerate(groups.items()):
        axes = figure.add_subplot(rows, columns, i + 1)
        for key, of_seeds in group.items():
            styles |= _draw_runs(axes, of_seeds, quantity, colors[key])
        axes.set_title(plain(panel))
        axes.set_xlabel("environment steps")
        draw_steps(axes, 6)
        if i % columns == 0:
            axes.set_ylabel(LABELS.get(quantity, quantity))
        axes.grid(alpha=0.3)
    handles: list[Artist] = []
    for (key, name), color in colors.items():
        counts = {len(group[key, name]) for group in groups.values() if (key, name) in group}
        seeds = f", {max(counts)} seeds" if len(counts) == 1 and counts != {1} else ""
        handles.append(Line2D([], [], color=color, label=f"{name}{seeds}"))
    add_legend(figure, handles + [handle for style, handle in _style_handles() if style in styles])
    return figure


def _draw_runs(axes, paths, quantity, color):
    """Draw the seeds of one experiment; the styles that were used."""
    metrics = [read_metrics(path) for path in paths]
    for path, of_run in zip(paths, metrics, strict=True):
        if quantity not in of_run:
            raise ValueError(f"`quantity` must be one of {', '.join(sorted(of_run))}. Received: {quantity!r} of {path}")
    draw_seeds(axes, [(of_run["steps"], of_run[quantity]) for of_run in metrics], color)
    styles = {"seeds"} if len(paths) > 1 else set()
    if quantity != "return":
        return styles
    on_the_way = [curve for curve in map(evaluations_of, paths, metrics) if curve is not None]
    ends = [end for end in map(end_of, paths, metrics) if end is not None]
    draw_evaluations(axes, on_the_way, ends, color)
    return styles | ({"way"} if on_the_way else set()) | ({"end"} if ends else set()) | {"return"}


def _style_handles():
    """What a legend says of lines, bands and marks."""
    line = functools.partial(Line2D, [], [], color=GRAY)
    return [
        ("return", line(label="training: mean of the last 100 episodes, with exploration")),
        ("way", line(**DASHED, label="evaluations on the way: most probable actions, episodes of their own")),
        ("end", line(**DIAMOND, label="evaluation at the end: most probable actions, ± standard deviation")),
        ("seeds", Patch(color=GRAY, alpha=0.25, label="seeds: mean, middle half, each one as a thin line")),
    ]


def draw_steps(axes: Axes, most: int) -> None:
    """Let the first axis begin at 0, with so few ticks that their labels have room."""
    axes.set_xlim(left=0.0)
    axes.xaxis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def draw_seeds(axes: Axes, curves: Sequence[Curve], color: str) -> None:
    """Draw the curves of the seeds of one experiment, pairs of steps and values, into matplotlib's axes."""
    if len(curves) == 1:
        axes.plot(*curves[0], color=color)
        return
    steps, mean, low, high = seed_band(curves)
    axes.fill_between(steps, low, high, color=color, alpha=0.25, linewidth=0.0)
    for curve in curves:
        axes.plot(*curve, color=color, alpha=0.5, linewidth=0.6)
    axes.plot(steps, mean, color=color)


def draw_evaluations(axes: Axes, curves: Sequence[Curve], ends: Sequence[End], color: str) -> None:
    """Draw evaluations of the seeds of one experiment: the mean of those on the way, and each one at the end."""
    if curves:
        steps, means = curves[0] if len(curves) == 1 else seed_band(curves)[:2]
        axes.plot(steps, means, color=color, **DASHED)
    for at, mean, std in ends:
        axes.errorbar(at, mean, std, color=color, elinewidth=1.0, zorder=3.0, **DIAMOND)


def evaluations_of(run: str | Path, metrics: Mapping[str, np.ndarray]) -> Curve | None:
    """The evaluations in the course of a run, None if there are none.

    `best.json` has them all; in the metrics, where each epoch has the last one, equal ones in a row are one.
    """
    file = (Path(run) / BEST).with_suffix(".json")
    if file.is_file():
        with reading(file):
            steps, means = np.array(json.loads(file.read_text())["evaluations"], float).T
        return steps, means
    if ON_THE_WAY not in metrics:
        return None
    steps, means = metrics["steps"], metrics[ON_THE_WAY]
    is_new = np.isfinite(means) & (means != np.roll(means, 1))
    is_new[0] = np.isfinite(means[0])
    return (steps[is_new], means[is_new]) if is_new.any() else None


def end_of(run: str | Path, metrics: Mapping[str, np.ndarray]) -> End | None:
    """Steps, mean and standard deviation of the evaluation at the end of a run, None while it is under way."""
    evaluation = read_evaluation(run)
    steps = steps_of_evaluation(run)
    if evaluation is None:
        return None
    return float(metrics["steps"][-1] if steps is None else steps), evaluation.mean, evaluation.std


def _is_running(run: Path) -> bool:
    """Whether no episode of a run has ended, of which it is known what was paid so far."""
    metrics = read_metrics(run)
    return "running_return" in metrics and not np.isfinite(metrics["return"]).any()


def fit_history(
    histories: Sequence[Any], labels: Sequence[str] | None = None, *, quantity: str = "loss", window: int = 100
) -> Figure:
    """Plot a quantity over the iterations of one or more fits.

    Parameters
    ----------
    histories : list
        Fits, their histories, or dicts of arrays: whatever has the quantity, itself or in its `history`.
    labels : None or list of str
        One per fit; None numbers them.
    quantity : str
        What to plot, "loss" for instance: one number for each iteration, or one for each restart too.
    window : int, >= 1
        Iterations in the running mean, which is drawn over the values themselves; 1 omits it.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If a fit has no such quantity.

    Examples
    --------
    >>> import kgdists as kg
    >>> kg.plotting.fit_history([{"loss": [3.0, 2.0, 1.5]}], ["a fit"], window=2)
    <Figure size ...>
    """
    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    labels = labels or [f"fit {i + 1}" for i in range(len(histories))]
    for i, (history, _) in enumerate(zip(histories, labels, strict=True)):
        values, color = _values(history, quantity), f"C{i}"
        steps, width = np.arange(1, len(values) + 1), min(window, len(values))
        if width > 1:
            axes.plot(steps, values, color=color, alpha=0.25, linewidth=0.5)
        means = np.lib.stride_tricks.sliding_window_view(values, width, axis=0).mean(axis=-1)
        axes.plot(steps[width - 1 :], means, color=color)
    axes.set_xlabel("iterations")
    axes.set_ylabel(quantity)
    axes.grid(alpha=0.3)
    add_legend(figure, [Line2D([], [], color=f"C{i}", label=label) for i, label in enumerate(labels)])
    return figure


def _values(history, quantity):
    while not isinstance(history, dict):
        if not hasattr(history, "history"):
            raise ValueError(f"A history must be a dict of arrays. Received: {type(history).__name__}")
        history = history.history
    if quantity not in history:
        raise ValueError(f"`quantity` must be one of {sorted(history)}. Received: quantity={quantity!r}")
    values = np.asarray(history[quantity], "float64")
    if values.ndim not in (1, 2) or not values.size:
        raise ValueError(f"A history must have numbers for each iteration. Received: shape {values.shape}")
    return values


def seed_band(curves: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean and quartiles of the curves of several seeds, where all of them have values.

    Parameters
    ----------
    curves : list of pairs of arrays, shape [T]
        Steps, which rise, and values; between its finite values a curve is a line. T may differ.

    Returns
    -------
    steps, mean, low, high : arrays, shape [P]
        Mean, lower and upper quartile at all steps of the curves, or at 400 even ones if these are more; P = 0 if there
        is no step where all have values.

    Examples
    --------
    >>> import numpy as np
    >>> from kgdists.runs.curves import seed_band
    >>> steps, mean, low, high = seed_band([(np.array([10, 20]), np.array([x, x + 4.0])) for x in (0.0, 1.0, 5.0)])
    >>> steps, mean, low, high
    (array([10, 20]), array([2., 6.]), array([0.5, 4.5]), array([3., 7.]))
    """
    curves = [(steps[np.isfinite(values)], values[np.isfinite(values)]) for steps, values in curves]
    if not all(len(steps) for steps, _ in curves):
        return np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0)
    first, last = max(steps[0] for steps, _ in curves), min(steps[-1] for steps, _ in curves)
    grid = np.unique(np.concatenate([steps for steps, _ in curves]))
    grid = grid[(first <= grid) & (grid <= last)]
    if len(grid) > MAX_POINTS:
        grid = np.linspace(first, last, MAX_POINTS)
    values = np.stack([np.interp(grid, *curve) for curve in curves])
    low, high = np.quantile(values, [0.25, 0.75], axis=0)
    return grid, values.mean(axis=0), low, high
