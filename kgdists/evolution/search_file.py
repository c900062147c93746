"""Searches on disk: one file of arrays and JSON, nothing that can run code."""

import inspect
import json
import zlib
from pathlib import Path

import numpy as np
import tensorflow as tf

from kgdists.core.files import atomic_write, damaged, reading

__all__ = ["arguments", "defaults", "plain", "read", "write"]

FORMAT = 1
SCALARS = (str, bool, int, float)


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
    with atomic_write(path) as partial, partial.open("wb") as file:
        np.savez(file, header=np.array(header), **leaves, **columns)


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


def arguments(function, args, kwargs):
    """All arguments of a call of a constructor by name, also those that are not given."""
    signature = inspect.signature(function)
    bound = signature.bind(None, *args, **kwargs)
    bound.apply_defaults()
    named = dict(list(bound.arguments.items())[1:])
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            named |= named.pop(parameter.name)
    return named


def defaults(function):
    """The arguments of a function that have defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters if parameter.default is not parameter.empty}


def plain(x):
    """What JSON keeps of an argument, enough to tell two of them apart."""
    if x is None or isinstance(x, SCALARS):
        return x
    if isinstance(x, dict):
        return {name: plain(value) for name, value in x.items() if name != "name"}  # Keras counts its objects
    if isinstance(x, list | tuple) and len(x) <= 2:
        return [plain(value) for value in x]
    if isinstance(x, np.ndarray | np.number | tf.Tensor | list | tuple):
        array = np.asarray(x, "float64")
        return [list(array.shape), zlib.crc32(array.tobytes())] if array.ndim else array.item()
    if hasattr(x, "get_config"):
        return [type(x).__name__, plain(x.get_config())]
    fields = getattr(x, "__dict__", {})
    return [type(x).__name__, {name: value for name, value in fields.items() if isinstance(value, SCALARS)}]
