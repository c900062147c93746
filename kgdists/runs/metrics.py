"""The metrics of a run, `metrics.csv`: written, mended, read."""

import csv
import math
import secrets
import shutil
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kgdists.core.files import atomic_write, reading
from kgdists.core.run_warning import RunWarning
from kgdists.runs.layout import METRICS

__all__ = ["MetricsFile", "read_metrics", "truncate_metrics"]

FIRST = ("epoch", "steps", "return")  # columns of metrics


class MetricsFile(keras.callbacks.CSVLogger):
    """Keras' CSV logger with steps and return in front, and no columns for validation, which agents lack.

    Where it goes on with a file that has other columns, that has all of both afterwards.
    """

    keys: Any  # None before the first epoch
    csv_file: Any

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.keys is None:
            columns = [*FIRST, *sorted(logs.keys() - set(FIRST))]
            if not self.append_header:
                self.csv_file.close()
                columns = _widened(Path(self.filename), columns)
                self.csv_file = Path(self.filename).open("a", newline="")
            self.keys = columns[1:]
        super().on_epoch_end(epoch, logs)


def truncate_metrics(file: Path, steps: int, epochs: int) -> None:
    """Keep those rows of a metrics file that are whole and of the first `steps` steps; a warning says what is missing.

    Parameters
    ----------
    file : Path
    steps : int
        Those after which the training goes on.
    epochs : int
        How many it had then.
    """
    if not steps and not file.exists():
        return
    columns, rows = _read_rows(file, steps, epochs)
    missing = epochs - len(rows)
    if missing:  # as after a power cut
        kept = _set_aside(file)
        warnings.warn(f"{file} lacks whole rows of {missing} of {epochs} epochs{kept}", RunWarning, stacklevel=2)
    if columns:
        _write_rows(file, columns, rows)
    else:
        file.unlink(missing_ok=True)


def _widened(file, columns):
    """The columns of a file, which has these too from now on."""
    before, rows = _read_rows(file)
    if set(columns) <= set(before):
        return before
    if not before:
        warnings.warn(f"{file} is begun anew: it held no metrics{_set_aside(file)}", RunWarning, stacklevel=2)
    columns = [*before, *(name for name in columns if name not in before)]
    _write_rows(file, columns, rows)
    return columns


def _set_aside(file):
    """Keep a copy of a file, if there is one, and say where."""
    if not file.exists():
        return ""
    copy = file.with_name(f"{file.stem}-damaged{file.suffix}")
    if copy.exists() and (copy.is_dir() or file.is_dir()):
        copy = file.with_name(f"{file.stem}-damaged-{secrets.token_hex(4)}{file.suffix}")
    if file.is_dir():
        file.rename(copy)
    else:
        shutil.copyfile(file, copy)
    return f"; as it was it is {copy}"


def _read_rows(file, steps=math.inf, epochs=math.inf):
    """The columns of a metrics file and its whole rows up to there: none of either where it is something else."""
    try:
        with file.open(newline="") as lines:
            columns, *rows = csv.reader(line for line in lines if line.endswith("\n"))
    except (OSError, ValueError, csv.Error):
        return [], []
    if not set(FIRST) <= set(columns) or len(set(columns)) < len(columns):
        return [], []
    kept, before = [], (-1.0, 0.0)
    for row in (dict(zip(columns, values, strict=True)) for values in rows if len(values) == len(columns)):
        at = _place(row)
        if at is not None and before[0] < at[0] < epochs and before[1] < at[1] <= steps:
            kept.append(row)
            before = at
    return columns, kept


def _place(row):
    """Epoch and steps of a row, None if it is none."""
    try:
        numbers = {name: math.nan if x == "NA" else float(x) for name, x in row.items()}
    except ValueError:
        return None
    at = numbers["epoch"], numbers["steps"]
    return at if all(x.is_integer() for x in at) else None


def _write_rows(file, columns, rows):
    with atomic_write(file) as partial, partial.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, columns, restval="NA")
        writer.writeheader()
        writer.writerows(rows)


def read_metrics(run: str | Path) -> dict[str, np.ndarray]:
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
    file = Path(run) / METRICS
    if not file.is_file():
        raise ValueError(f"A run must be a folder with the file metrics.csv. Received: {run}")
    with reading(file):
        with file.open(newline="") as lines:
            reader = csv.DictReader(lines)
            rows = list(reader)
        metrics = {name: np.array([_number(row[name]) for row in rows]) for name in reader.fieldnames or ()}
        if rows and not {"steps", "return"} <= metrics.keys():
            raise ValueError("it lacks steps or return")
    if not rows:
        raise ValueError(f"A run must have finished at least one update before it is plotted. Received: {run}")
    return metrics


def _number(text):
    return float("nan") if text == "NA" else float(text)
