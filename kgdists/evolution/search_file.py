"""Searches on disk: one file of arrays and JSON, nothing that can run code."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kgdists.core.files import atomic_write, damaged, reading
from kgdists.evolution import generations
from kgdists.evolution.restarting import resize

__all__ = ["load", "read", "save", "write"]

FORMAT = 1


def save(searcher: Any, path: str | os.PathLike[str]) -> None:
    """Write a searcher to the file `path`; see `Searcher.save`."""
    facts = {
        "popsize": searcher.popsize,
        "num_restarts": searcher.num_restarts,
        "is_converged": searcher.is_converged,
        "seed": searcher.seed.numpy().tolist(),
        "fitness_dtype": searcher._current().best_fitness.dtype.name,
    }
    write(path, type(searcher).__name__, searcher._settings(), searcher._current(), searcher.history, facts)


def load(searcher: Any, path: str | os.PathLike[str]) -> None:
    """Let a searcher go on with the search of the file `path`; see `Searcher.load`."""

    def start(facts):
        resize(searcher, facts["popsize"])
        # Files of version 0.1 have fitnesses of the dtype of the search.
        return generations.begin(searcher.init(), facts.get("fitness_dtype"))

    popsize = searcher.popsize
    try:
        found = read(path, type(searcher).__name__, searcher._settings(), start)
    except ValueError:
        resize(searcher, popsize)
        raise
    searcher._progress, history, facts = found
    searcher._rows = [history] if len(history["best"]) else []
    searcher.num_restarts, searcher.is_converged = facts["num_restarts"], facts["is_converged"]
    searcher.seed = tf.constant(facts["seed"], "int64")


def write(
    path: str | os.PathLike[str],
    searcher: str,
    settings: dict[str, Any],
    progress: Any,
    history: Mapping[str, np.ndarray],
    facts: dict[str, Any],
) -> None:
    """Write a search to the file `path`, which is always a whole one: the new one takes the place of the old at once.

    Parameters
    ----------
    path : str or path
    searcher : str
        The name of its class.
    settings : dict
        JSON-able arguments of its constructor.
    progress : nest of tensors
    history : dict of str to array
    facts : dict
        Whatever else, JSON-able.
    """
    path = Path(path)
    header = json.dumps({"format": FORMAT, "searcher": searcher, "settings": settings, "facts": facts})
    leaves: dict[str, Any] = {f"leaf_{i}": leaf.numpy() for i, leaf in enumerate(tf.nest.flatten(progress))}
    columns: dict[str, Any] = {f"history_{name}": column for name, column in history.items()}
    with atomic_write(path) as partial, partial.open("wb") as file:
        np.savez(file, header=np.array(header), **leaves, **columns)


def read(
    path: str | os.PathLike[str],
    searcher: str,
    settings: dict[str, Any],
    progress_of: Callable[[dict[str, Any]], Any],
) -> tuple[Any, dict[str, np.ndarray], dict[str, Any]]:
    """Read what `write` wrote.

    Parameters
    ----------
    path, searcher, settings
        As in `write`; they must be those of the file.
    progress_of : callable
        Facts -> nest of tensors, of the structure, shapes and dtypes of those in the file.

    Returns
    -------
    progress : nest of tensors
    history : dict of str to array
    facts : dict
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"A search is resumed from a file that `save` wrote. Received: {path}")
    with reading(path):
        with path.open("rb") as file, np.load(file) as arrays:
            arrays = dict(arrays)
        header = json.loads(arrays.pop("header").item())
        written = {"format": header["format"], "searcher": header["searcher"], **header["settings"]}
        facts = header["facts"]
    expected = {"format": FORMAT, "searcher": searcher, **settings}
    for name in sorted(written.keys() | expected.keys()):
        if written.get(name) != expected.get(name):
            raise ValueError(
                f"A search is resumed by a searcher of the same arguments. Received: {name}={expected.get(name)!r}, "
                f"but {written.get(name)!r} in {path}"
            )
    example = progress_of(facts)
    leaves = tf.nest.flatten(example)
    with reading(path):
        values = [arrays.pop(f"leaf_{i}") for i in range(len(leaves))]
    for leaf, value in zip(leaves, values, strict=True):
        if value.dtype != leaf.dtype.as_numpy_dtype or value.shape != leaf.shape:
            raise damaged(path, f"it holds {value.dtype} {value.shape} for {leaf.dtype.name} {leaf.shape}")
    progress = tf.nest.pack_sequence_as(example, [tf.constant(value) for value in values])
    return progress, {name.removeprefix("history_"): column for name, column in arrays.items()}, facts
