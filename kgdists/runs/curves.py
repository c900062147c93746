"""Quantities over the course of a training or a fit."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from kgdists.core.extras import brought_by
from kgdists.runs.metrics import read_metrics

with brought_by("agents"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, MaxNLocator

__all__ = ["draw_seeds", "fit_history", "learning_curve", "plain", "seed_band"]

Curve: TypeAlias = tuple[np.ndarray, np.ndarray]  # steps and values

MAX_POINTS = 400  # of a band
MEANINGS = {"return": "return, mean of the last 100 episodes"}


def learning_curve(
    runs: Sequence[str | Path],
    labels: Sequence[str] | None = None,
    panels: Sequence[str] | None = None,
    *,
    quantity: str = "return",
) -> Figure:
    """Plot the return, or another metric, over the environment steps of one or more runs.

    Runs of the same label and panel are seeds of one curve: their mean, in a band of their middle half, from the lower
    to the upper quartile.

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

    Raises
    ------
    ValueError
        If a run has no readable `metrics.csv` with that column.
    """
    paths = [Path(run) for run in runs]
    names = [path.name for path in paths] if labels is None else labels
    keys = range(len(paths)) if labels is None else labels  # two folders of one name are two runs
    groups: dict[str, dict[tuple[Any, str], list[Curve]]] = {}
    for path, key, name, panel in zip(paths, keys, names, panels or len(paths) * [""], strict=True):
        groups.setdefault(panel, {}).setdefault((key, name), []).append(_curve(path, quantity))
    columns = min(len(groups), 3)
    rows = -(-len(groups) // columns)
    figure = Figure(figsize=(7.0, 4.0) if len(groups) == 1 else (4.5 * columns, 3.6 * rows), layout="constrained")
    for i, (panel, curves) in enumerate(groups.items()):
        axes = figure.add_subplot(rows, columns, i + 1)
        for (_, name), of_seeds in curves.items():
            draw_seeds(axes, of_seeds, name)
        axes.set_title(plain(panel))
        axes.set_xlabel("environment steps")
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        if i % columns == 0:
            axes.set_ylabel(MEANINGS.get(quantity, quantity))
        axes.grid(alpha=0.3)
        is_band = any(len(of_seeds) > 1 for of_seeds in curves.values())
        axes.legend(frameon=False, title="mean and middle half" if is_band else None)
    return figure


def draw_seeds(axes: Axes, curves: Sequence[Curve], name: str, color: str | None = None) -> None:
    """Draw the curves of the seeds of one experiment, pairs of steps and values, into matplotlib's axes."""
    if len(curves) == 1:
        axes.plot(*curves[0], color=color, label=plain(name))
        return
    steps, mean, low, high = seed_band(curves)
    (line,) = axes.plot(steps, mean, color=color, label=f"{plain(name)}, {len(curves)} seeds")
    axes.fill_between(steps, low, high, color=line.get_color(), alpha=0.25, linewidth=0.0)


def plain(text: str) -> str:
    """Text that matplotlib does not take for mathematics."""
    return text.replace("$", r"\$")


def _curve(run: Path, quantity: str) -> Curve:
    metrics = read_metrics(run)
    if quantity not in metrics:
        raise ValueError(f"`quantity` must be one of {', '.join(sorted(metrics))}. Received: {quantity!r} of {run}")
    return metrics["steps"], metrics[quantity]


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
    for i, (history, label) in enumerate(zip(histories, labels, strict=True)):
        values, color = _values(history, quantity), f"C{i}"
        steps, width = np.arange(1, len(values) + 1), min(window, len(values))
        if width > 1:
            axes.plot(steps, values, color=color, alpha=0.25, linewidth=0.5)
        means = np.lib.stride_tricks.sliding_window_view(values, width, axis=0).mean(axis=-1)
        axes.plot(steps[width - 1 :], means, color=color)[0].set_label(label)
    axes.set_xlabel("iterations")
    axes.set_ylabel(quantity)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
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
