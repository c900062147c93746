"""A TFP object as nested tuples, which are static, and the tensors in it, which are leaves."""

import functools
import inspect
import numbers
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from kgdists.core import backend, shapes
from kgdists.core.types import Tensor
from kgdists.interop.tfp.classes import SPACES, class_of, event_ndims, name_of

__all__ = ["as_tuples", "decode", "encode", "names_of_leaves", "new_leaf", "rename"]

tfb, tfd = tfp.bijectors, tfp.distributions


@functools.singledispatch
def encode(value: Any, path: str, leaves: dict[str, Tensor]) -> Any:
    """`value` as plain values and tuples that start with their kind; its tensors are put into `leaves`."""
    if isinstance(value, tfd.Distribution):
        value = _broadcast(value)
    for space, (_, base) in SPACES.items():
        if isinstance(value, base):
            pairs = _arguments(value).items()
            front = f"{path}_" if path else ""
            return (space, name_of(value), tuple((key, encode(x, front + key, leaves)) for key, x in pairs))
    if isinstance(value, (tf.DType, np.dtype, type)):
        return ("dtype", tf.as_dtype(value).name)
    if isinstance(value, dict):
        return ("dict", *((key, encode(x, f"{path}_{key}", leaves)) for key, x in value.items()))
    if isinstance(value, (list, tuple)):
        return ("list", *(encode(x, f"{path}_{i}", leaves) for i, x in enumerate(value)))
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, numbers.Real, str)):
        return value
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return ("leaf", new_leaf(path, value, leaves))
    raise TypeError(
        "A TFP distribution must be made of tensors, plain values, and distributions, bijectors and linear operators "
        f"of TFP, so that it can be saved. Received: {path} = {value!r}"
    )


def decode(value: Any, leaves: Mapping[str, Tensor]) -> Any:
    """The inverse of `encode`."""
    if not isinstance(value, tuple):
        return value
    kind, *parts = value
    if kind == "leaf":
        return leaves[parts[0]]
    if kind == "dtype":
        return tf.as_dtype(parts[0])
    if kind == "list":
        return [decode(part, leaves) for part in parts]
    if kind == "dict":
        return {key: decode(part, leaves) for key, part in parts}
    name, pairs = parts
    return class_of(kind, name)(**{key: decode(part, leaves) for key, part in pairs})


def _broadcast(tfp_dist):
    """The same distribution with all batch axes in each parameter: `predict` joins batches of every leaf."""
    try:
        return tfp_dist._broadcast_parameters_with_batch_shape(tfp_dist.batch_shape_tensor())
    except (NotImplementedError, TypeError):
        return tfp_dist  # joint distributions and some bijectors, of which TFP does not know the axes


def _arguments(tfp_object):
    """The constructor's arguments that are not the default, numbers for a distribution's parameters as tensors."""
    defaults = inspect.signature(type(tfp_object).__init__).parameters
    tensors = event_ndims(type(tfp_object)) if isinstance(tfp_object, tfd.Distribution) else {}
    arguments = {}
    for key, value in tfp_object.parameters.items():
        default = defaults[key].default if key in defaults else inspect.Parameter.empty
        is_plain = isinstance(value, (bool, numbers.Real, str, tf.DType))
        if key in ("name", "parameters") or value is None:
            continue
        if key in tensors:
            dtype = getattr(tfp_object.dtype, "is_floating", False) and tfp_object.dtype
            value = value if hasattr(value, "dtype") else tf.convert_to_tensor(value, dtype or tf.float32)
        elif value is default or (is_plain and value == default):
            continue
        elif isinstance(tfp_object, tfb.Bijector) and hasattr(value, "dtype"):
            integers = backend.concrete(value)  # such as a permutation
            value = value if integers is None or integers.dtype.kind not in "iu" else integers.tolist()
        arguments[key] = value
    return arguments


def new_leaf(path: str, value: Tensor, leaves: dict[str, Tensor]) -> str:
    """Put a tensor into `leaves` and return its name: the path, unless that is taken."""
    while path in leaves:
        path += "_"
    leaves[path] = value if shapes.is_symbolic(value) else tf.convert_to_tensor(value)
    return path


def rename(value: Any, names: Mapping[str, str]) -> Any:
    """What is encoded, with other names for its leaves, old -> new."""
    if not isinstance(value, tuple):
        return value
    if value[:1] == ("leaf",):
        return ("leaf", names[value[1]])
    return tuple(rename(part, names) for part in value)


def names_of_leaves(value: Any) -> set[str]:
    """The names of the leaves in what is encoded, a set."""
    if not isinstance(value, tuple):
        return set()
    if value[:1] == ("leaf",):
        return {value[1]}
    return set().union(*(names_of_leaves(part) for part in value))


def as_tuples(value: Any) -> Any:
    """What is encoded, after JSON made lists of its tuples."""
    return tuple(map(as_tuples, value)) if isinstance(value, (list, tuple)) else value
