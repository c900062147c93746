"""The arguments of search distributions: what is checked, and what becomes a tensor."""

from collections.abc import Iterable, Mapping, Set
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kgdists.core import backend, shapes
from kgdists.core.checks import count
from kgdists.core.types import Integer, Tensor

__all__ = ["as_device", "as_dtype", "as_tensor", "check_names", "check_population", "listed", "other_length"]


def as_tensor(x: Any, dtype: str | tf.DType) -> Tensor:
    """A tensor of a dtype; plain numbers keep all their digits up to the cast."""
    x = backend.unmasked(x)
    # Of plain numbers TensorFlow's `cast` makes float32 first.
    try:
        return tf.cast(np.asarray(x, "float64") if isinstance(x, list | tuple | float | int) else x, dtype)
    except (TypeError, ValueError, tf.errors.UnimplementedError) as error:
        raise ValueError(f"Parameters, samples and gradients must be tensors of numbers. Received: {x!r}") from error


def check_names(parameters: Mapping[str, Any], mandatory: Set[str], optional: Set[str]) -> None:
    """Raise unless there are all mandatory parameters, with values, and others that are optional."""
    missing, unknown = mandatory - set(parameters), set(parameters) - mandatory - optional
    if missing or unknown:
        rule = f"`parameters` must have {listed(mandatory)}"
        if optional:
            rule += f" and may have {listed(optional)}"
        raise ValueError(f"{rule}. Received: {listed(parameters)}")
    absent = [name for name in mandatory if parameters[name] is None]
    if absent:
        raise ValueError(f"The parameters {listed(absent)} must have values. Received: None")


def as_dtype(dtype: str | tf.DType | None, first: Any) -> tf.DType:
    """A dtype of search distributions, None being that of the first parameter if it has one."""
    if dtype is None:
        own = getattr(first, "dtype", None)
        is_floating = own is not None and tf.as_dtype(own).is_floating
        dtype = own if is_floating else keras.config.floatx()
    found = tf.as_dtype(dtype)
    if found not in (tf.float32, tf.float64):
        raise ValueError(f"`dtype` must be float32 or float64. Received: dtype={found.name}")
    return found


def as_device(name: str | None) -> str | None:
    """The name of a device as TensorFlow writes it in full."""
    try:
        return name if name is None else tf.DeviceSpec.from_string(name).to_string()
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"`device` must be as TensorFlow's, 'CPU:0' or 'GPU:0'. Received: device={name!r}") from error


def other_length(tensors: Mapping[str, Tensor], given: Integer | None) -> int | None:
    """What of `solution_length` does not follow from `mu`; raises unless it and the parameters are right."""
    if "mu" in tensors:
        mu = tensors["mu"]
        shapes.check_vector(mu=mu)
        if given not in (None, mu.shape[-1]):
            raise ValueError(
                f"`solution_length` must be the length of `mu`. "
                f"Received: solution_length={given}, mu of shape {tuple(mu.shape)}"
            )
        shapes.check_finite(mu=mu)
        return None
    shapes.check_finite(**tensors)
    if given is None:
        lengths = {x.shape[-1] if x.shape.rank else None for x in tensors.values()}
        if len(lengths) != 1 or not min(lengths, key=str):
            found = ", ".join(f"{name} of shape {tuple(x.shape)}" for name, x in tensors.items())
            raise ValueError(
                f"`solution_length` must be given where it is not the last axis of all parameters. Received: {found}"
            )
        (given,) = lengths
    return count("solution_length", given)


def check_population(samples: Tensor, name: str, batch_shape: tuple[int, ...], solution_length: int) -> None:
    """Raise unless a tensor has the shape of a population."""
    shape = tuple(samples.shape)
    is_population = len(shape) == len(batch_shape) + 2 and shape[:-2] == batch_shape and shape[-1] == solution_length
    if not is_population or not shape[-2]:
        wanted = ", ".join(map(str, (*batch_shape, "N", solution_length)))
        raise ValueError(f"`{name}` must have shape ({wanted}). Received: {name} of shape {shape}")


def listed(names: Iterable[str]) -> str:
    """Names in quotes, in the order of the alphabet."""
    return ", ".join(map(repr, sorted(names)))
