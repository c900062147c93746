"""Quantities over the course of a training or a fit."""

import csv
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

__all__ = ["fit_history", "learning_curve"]


def learning_curve(runs, labels=None):
    """Plot the return over the environment steps of one or more runs.

    Parameters
    ----------
    runs : list of str or path
        Folders with a `metrics.csv`.
    labels : None or list of str
        One per run; None takes the folders' names.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If a run has no readable `metrics.csv`.
    """
    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for run, label in zip(runs, labels or [Path(run).name for run in runs], strict=True):
        steps, returns = _read_metrics(Path(run))
        axes.plot(steps, returns, label=label)
    axes.set_xlabel("environment steps")
    axes.set_ylabel("return, mean of the last 100 episodes")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


def fit_history(histories, labels=None, *, quantity="loss", window=100):
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
        Iterations in the running mean, which is drawn over the values themselves; 1 leaves it away.

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


def _read_metrics(run):
    file = run / "metrics.csv"
    if not file.is_file():
        raise ValueError(f"A run must be a folder with the file metrics.csv. Received: {run}")
    try:
        with file.open(newline="") as lines:
            rows = [(float(row["steps"]), float(row["return"])) for row in csv.DictReader(lines)]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"A run's files must be as they were written; this one is damaged. Received: {file}"
        ) from error
    if not rows:
        raise ValueError(f"A run must have finished at least one update before it is plotted. Received: {run}")
    return np.array(rows).T
