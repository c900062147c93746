"""The metrics of runs, and what several seeds of one make together."""

import csv
from pathlib import Path

import numpy as np

__all__ = ["read_metrics", "seed_band"]

MAX_POINTS = 400  # of a band


def read_metrics(run):
    """Read the `metrics.csv` of a run folder.

    Parameters
    ----------
    run : str or path

    Returns
    -------
    dict of name -> float array, shape [T]
        `steps`, `return` and what else was logged, by update; NaN where a value is missing.

    Raises
    ------
    ValueError
        If there is no such file, or it is damaged or has no rows yet.
    """
    file = Path(run) / "metrics.csv"
    if not file.is_file():
        raise ValueError(f"A run must be a folder with the file metrics.csv. Received: {run}")
    try:
        with file.open(newline="") as lines:
            reader = csv.DictReader(lines)
            rows = list(reader)
        metrics = {name: np.array([_number(row[name]) for row in rows]) for name in reader.fieldnames or ()}
        if rows and not {"steps", "return"} <= metrics.keys():
            raise KeyError("steps, return")
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise ValueError(
            f"A run's files must be as they were written; this one is damaged. Received: {file}"
        ) from error
    if not rows:
        raise ValueError(f"A run must have finished at least one update before it is plotted. Received: {run}")
    return metrics


def seed_band(curves):
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
    >>> from kgdists.plotting.metrics import seed_band
    >>> steps, mean, low, high = seed_band([(np.array([10, 20]), np.array([x, x + 4.0])) for x in (0.0, 1.0, 5.0)])
    >>> steps, mean, low, high
    (array([10, 20]), array([2., 6.]), array([0.5, 4.5]), array([3., 7.]))
    """
    curves = [(steps[np.isfinite(values)], values[np.isfinite(values)]) for steps, values in curves]
    if not all(len(steps) for steps, _ in curves):
        return tuple(np.zeros((4, 0)))
    first, last = max(steps[0] for steps, _ in curves), min(steps[-1] for steps, _ in curves)
    grid = np.unique(np.concatenate([steps for steps, _ in curves]))
    grid = grid[(first <= grid) & (grid <= last)]
    if len(grid) > MAX_POINTS:
        grid = np.linspace(first, last, MAX_POINTS)
    values = np.stack([np.interp(grid, *curve) for curve in curves])
    return grid, values.mean(axis=0), *np.quantile(values, [0.25, 0.75], axis=0)


def _number(text):
    return float("nan") if text == "NA" else float(text)
