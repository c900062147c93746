"""The arguments of a searcher's constructor as they are kept: for copies of it, and for its files."""

import inspect
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

__all__ = ["arguments", "defaults", "packed", "plain", "settings", "unpacked"]

SCALARS = (str, bool, int, float)
NOT_SAVED = ("objective", "map", "seed")


class _Settings(NamedTuple):
    config: dict


def arguments(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments of a call of a constructor by name, also those that are not given."""
    signature = inspect.signature(function)
    bound = signature.bind(None, *args, **kwargs)
    bound.apply_defaults()
    named = dict(list(bound.arguments.items())[1:])
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            named |= named.pop(parameter.name)
    return named


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """The arguments of a function that have defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters if parameter.default is not parameter.empty}


def settings(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that a file must share with a searcher that goes on from it, as JSON keeps them."""
    return {name: plain(value) for name, value in arguments.items() if name not in NOT_SAVED}


def plain(x: Any) -> Any:
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


def packed(arguments: Mapping[str, Any], without: Sequence[str] = ()) -> dict[str, Any]:
    """Arguments that can be copied: of a Keras optimizer its settings."""
    return {
        name: _Settings(keras.optimizers.serialize(x)) if isinstance(x, keras.optimizers.Optimizer) else x
        for name, x in arguments.items()
        if name not in without
    }


def unpacked(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that `packed` was given."""
    return {
        name: keras.optimizers.deserialize(x.config) if isinstance(x, _Settings) else x for name, x in arguments.items()
    }
