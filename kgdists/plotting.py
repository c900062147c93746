"""Figures."""

import csv
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

__all__ = ["learning_curve"]


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
