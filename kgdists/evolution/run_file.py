"""Searches on disk: one file of arrays and JSON, nothing that can run code."""

import json
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
import tensorflow as tf

__all__ = ["read", "write"]

FORMAT = 1
DAMAGE = (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error)


def write(path, searcher, settings, progress, history, facts):
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
    leaves = {f"leaf_{i}": leaf.numpy() for i, leaf in enumerate(tf.nest.flatten(progress))}
    columns = {f"history_{name}": column for name, column in history.items()}
    aside = path.with_name(f"partial-{path.name}")
    with aside.open("wb") as file:
        np.savez(file, header=np.array(header), **leaves, **columns)
        file.flush()
        os.fsync(file.fileno())
    os.replace(aside, path)


def read(path, searcher, settings, progress_of):
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
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            arrays = dict(arrays)
        header = json.loads(arrays.pop("header").item())
        written = {"format": header["format"], "searcher": header["searcher"], **header["settings"]}
        facts = header["facts"]
    except DAMAGE as error:
        raise _damage(path) from error
    expected = {"format": FORMAT, "searcher": searcher, **settings}
    for name in sorted(written.keys() | expected.keys()):
        if written.get(name) != expected.get(name):
            raise ValueError(
                f"A search is resumed by a searcher of the same arguments. Received: {name}={expected.get(name)!r}, "
                f"but {written.get(name)!r} in {path}"
            )
    example = progress_of(facts)
    leaves = tf.nest.flatten(example)
    try:
        values = [arrays.pop(f"leaf_{i}") for i in range(len(leaves))]
    except KeyError as error:
        raise _damage(path) from error
    for leaf, value in zip(leaves, values, strict=True):
        if value.dtype != leaf.dtype.as_numpy_dtype or value.shape != leaf.shape:
            raise _damage(path)
    progress = tf.nest.pack_sequence_as(example, [tf.constant(value) for value in values])
    return progress, {name.removeprefix("history_"): column for name, column in arrays.items()}, facts


def _damage(path):
    return ValueError(f"A file of a search must be as it was written; this one is damaged. Received: {path}")
