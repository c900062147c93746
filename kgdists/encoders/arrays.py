"""Observations as arrays of fixed shapes: what vector environments stack and networks take.

`array_space` and `encode_observation` dispatch on the type of the space. A space of one's own, whose observations are
not arrays, needs `encode_observation.register(MySpace)` alone.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_space
from keras import tree

from kgdists.core.checks import in_short
from kgdists.core.choices import MAX_LENGTH

__all__ = [
    "ARRAYS",
    "array_space",
    "encode_observation",
    "encode_observations",
    "example_observation",
    "is_text",
]

MAX_BYTES = 256  # of a text whose space sets no limit
ARRAYS = spaces.Box, spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary


@functools.singledispatch
def encode_observation(space: gymnasium.Space, observation: Any, *, max_length: int = MAX_LENGTH) -> Any:
    """Turn one observation of `space` into arrays of fixed shapes.

    ==================================================  ==============================================================
    Box, Discrete, MultiDiscrete, MultiBinary           the array
    Dict, Tuple                                         nested as the space is
    OneOf                                               a tuple of the index and of a value for each branch, zeros
                                                        where a branch is not taken
    Sequence                                            a dict of `items`, padded to `max_length`, and their `length`
    Text, spaces of texts                               UTF-8 bytes, padded with zeros
    ==================================================  ==============================================================

    Parameters
    ----------
    space : gymnasium.spaces.Space
    observation : value of the space
    max_length : int, >= 1
        Items of a Sequence, at most.

    Returns
    -------
    (nested) numpy arrays, a value of `array_space(space)`.

    Raises
    ------
    ValueError
        For an observation that is not in the space, for one that is too long, and for a space whose observations
        are not arrays and which is not registered.

    Examples
    --------
    >>> import gymnasium, kgdists as kg
    >>> kg.encoders.encode_observation(gymnasium.spaces.Text(5, charset="abc"), "cab")
    array([99, 97, 98,  0,  0], dtype=uint8)
    """
    if not isinstance(space, gymnasium.Space):
        raise ValueError(f"`space` must be a space of gymnasium.spaces. Received: {in_short(space)}")
    if is_text(space):
        return _bytes(observation, _num_bytes(space))
    _check_arrays(space)
    return _leaf(space, observation)


def _check_arrays(space):
    if space.shape is None or space.dtype is None or space.dtype.kind not in "biuf":
        raise ValueError(
            f"Observations of a {type(space).__name__} are no arrays: say how they become arrays by "
            f"`@kgdists.encoders.encode_observation.register`, a function of a {type(space).__name__}, an observation "
            f"and `**options`. Received: {space}"
        )


@functools.singledispatch
def array_space(space: gymnasium.Space, *, max_length: int = MAX_LENGTH) -> gymnasium.Space:
    """The space of what `encode_observation` makes, which consists of boxes, choices, dicts and tuples.

    Parameters
    ----------
    space : gymnasium.spaces.Space
    max_length : int, >= 1
        Items of a Sequence, at most.

    Returns
    -------
    gymnasium.spaces.Space
    """
    if is_text(space):
        return spaces.Box(0, 255, (_num_bytes(space),), np.uint8)
    if encode_observation.dispatch(type(space)) is encode_observation.dispatch(object):
        _check_arrays(space)
        return _unbounded(space.shape, space.dtype)
    return _space_like(encode_observation(space, space.sample(), max_length=max_length))


# Arrays.


for _cls in ARRAYS:
    encode_observation.register(_cls, lambda space, observation, *, max_length=MAX_LENGTH: _leaf(space, observation))
    array_space.register(_cls, lambda space, *, max_length=MAX_LENGTH: space)


def _leaf(space, observation, num_batch_axes=0):
    try:
        given = np.asarray(observation)
    except Exception as error:  # there is no end of what objects raise
        raise ValueError(f"An observation must be an array of numbers. Received: {type(observation)}") from error
    is_shaped = given.ndim == num_batch_axes + len(space.shape) and given.shape[num_batch_axes:] == space.shape
    if given.dtype.kind not in "biuf" or not is_shaped:
        raise ValueError(
            f"An observation must be an array of numbers of shape {space.shape}. Received: shape {given.shape}, "
            f"dtype {given.dtype}"
        )
    with np.errstate(all="ignore"):
        x = given.astype(space.dtype)
    low, high = _bounds(space)
    if low is not None and not (np.array_equal(x, given) and (x >= low).all() and (x <= high).all()):
        raise ValueError(f"An observation must be in {space}. Received: {observation}")
    return x


def _bounds(space):
    """The least and the greatest of labels, both included; None of numbers."""
    match space:
        case spaces.Discrete():
            return space.start, space.start + space.n - 1
        case spaces.MultiDiscrete():
            return space.start, space.start + space.nvec - 1
        case spaces.MultiBinary():
            return 0, 1
    return None, None


# Dict and Tuple.


@encode_observation.register
def _(space: spaces.Dict, observation, *, max_length=MAX_LENGTH):
    return {
        name: encode_observation(part, _entry(observation, name), max_length=max_length)
        for name, part in space.spaces.items()
    }


@array_space.register
def _(space: spaces.Dict, *, max_length=MAX_LENGTH):
    parts = {name: array_space(part, max_length=max_length) for name, part in space.spaces.items()}
    return space if all(parts[name] is part for name, part in space.spaces.items()) else spaces.Dict(parts)


@encode_observation.register
def _(space: spaces.Tuple, observation, *, max_length=MAX_LENGTH):
    pairs = zip(space.spaces, _parts(observation, len(space.spaces)), strict=True)
    return tuple(encode_observation(part, x, max_length=max_length) for part, x in pairs)


@array_space.register
def _(space: spaces.Tuple, *, max_length=MAX_LENGTH):
    parts = tuple(array_space(part, max_length=max_length) for part in space.spaces)
    return space if all(x is y for x, y in zip(parts, space.spaces, strict=True)) else spaces.Tuple(parts)


def _entry(observation, name):
    if not isinstance(observation, Mapping) or name not in observation:
        raise ValueError(f"An observation must be a dict with the key {name!r}. Received: {in_short(observation)}")
    return observation[name]


def _parts(observation, count):
    if not isinstance(observation, (tuple, list)) or len(observation) != count:
        raise ValueError(f"An observation must be a tuple of {count}. Received: {in_short(observation)}")
    return observation


# OneOf: the index of a branch, and a value in each branch, of which one counts.


@encode_observation.register
def _(space: spaces.OneOf, observation, *, max_length=MAX_LENGTH):
    index, value = _parts(observation, 2)
    index = encode_observation(spaces.Discrete(len(space.spaces)), index)
    values = [_padding(array_space(part, max_length=max_length)) for part in space.spaces]
    values[index] = encode_observation(space.spaces[index], value, max_length=max_length)
    return index, tuple(values)


@array_space.register
def _(space: spaces.OneOf, *, max_length=MAX_LENGTH):
    branches = spaces.Tuple([array_space(part, max_length=max_length) for part in space.spaces])
    return spaces.Tuple((spaces.Discrete(len(space.spaces)), branches))


def _padding(space):
    """A value of an array space that stands where there is none: zeros, or the first of labels."""
    match space:
        case spaces.Dict():
            return {name: _padding(part) for name, part in space.spaces.items()}
        case spaces.Tuple():
            return tuple(_padding(part) for part in space.spaces)
    return np.zeros(space.shape, space.dtype) + np.asarray(getattr(space, "start", 0), space.dtype)


def example_observation(space: gymnasium.Space) -> Any:
    """A batch of one value of an array space, (nested) arrays [1, ...]: ones within bounds, or the first of labels.

    Parameters
    ----------
    space : gymnasium.spaces.Space
        As `array_space` gives it.
    """
    match space:
        case spaces.Dict():
            return {name: example_observation(part) for name, part in space.spaces.items()}
        case spaces.Tuple():
            return tuple(example_observation(part) for part in space.spaces)
        case spaces.Box():
            return np.clip(np.ones((1, *space.shape), space.dtype), space.low, space.high)
    return _padding(space)[None]


# Sequence: items behind each other, and how many there are.


@encode_observation.register
def _(space: spaces.Sequence, observation, *, max_length=MAX_LENGTH):
    feature: Any = space.feature_space
    if space.stack:
        rows = tree.flatten(observation)
        count = len(rows[0]) if rows else 0
        items = [tree.map_structure(lambda x, i=i: np.asarray(x)[i], observation) for i in range(count)]
    elif isinstance(observation, (Sequence, np.ndarray)) and not isinstance(observation, str):
        items = list(observation)
    else:
        raise ValueError(f"An observation of a Sequence must be a tuple. Received: {in_short(observation)}")
    if len(items) > max_length:
        raise ValueError(
            f"A sequence must have at most `max_length` items, {max_length}: set `max_length` higher. "
            f"Received: {len(items)} items"
        )
    made = [encode_observation(feature, item, max_length=max_length) for item in items]
    made += [_padding(array_space(feature, max_length=max_length))] * (max_length - len(items))
    return {"items": tree.map_structure(lambda *rows: np.stack(rows), *made), "length": np.asarray(len(items))}


@array_space.register
def _(space: spaces.Sequence, *, max_length=MAX_LENGTH):
    items = batch_space(array_space(space.feature_space, max_length=max_length), max_length)
    return spaces.Dict(items=items, length=spaces.Discrete(max_length + 1))


# Text: bytes.


def _num_bytes(space: gymnasium.Space) -> int:
    """How many bytes the longest text of a space has; 256 where the space sets no limit."""
    if not isinstance(space, spaces.Text):
        return MAX_BYTES
    return space.max_length * max((len(x.encode()) for x in space.character_set), default=1)


def is_text(space: gymnasium.Space) -> bool:
    """Whether the observations of a space are texts."""
    return space.dtype is not None and space.dtype.kind == "U"


def _bytes(text, count):
    if not isinstance(text, str):
        raise ValueError(f"An observation must be a text. Received: {in_short(text)}")
    encoded = text.encode()
    if len(encoded) > count:
        raise ValueError(f"A text must have at most {count} bytes. Received: {len(encoded)}, {in_short(text)}")
    return np.frombuffer(encoded.ljust(count, b"\0"), np.uint8)


# Others.


@encode_observation.register
def _(space: spaces.Graph, observation, *, max_length=MAX_LENGTH):
    raise ValueError(
        "A Graph has no encoder: say how graphs become arrays by `@kgdists.encoders.encode_observation.register`, a "
        f"function of a gymnasium.spaces.Graph, a graph and `**options`. Received: {space}"
    )


def _space_like(example):
    if isinstance(example, dict):
        return spaces.Dict({name: _space_like(x) for name, x in example.items()})
    if isinstance(example, tuple):
        return spaces.Tuple([_space_like(x) for x in example])
    x = np.asarray(example)
    return _unbounded(x.shape, x.dtype)


def _unbounded(shape, dtype):
    """A Box of all numbers of a dtype."""
    info = np.iinfo(dtype) if dtype.kind in "iu" else None
    low, high = (info.min, info.max) if info else (0, 1) if dtype.kind == "b" else (-np.inf, np.inf)
    return spaces.Box(low, high, shape, dtype)


def encode_observations(space: gymnasium.Space, observations: Any, *, max_length: int = MAX_LENGTH) -> Any:
    """Turn a batch of observations of `space` into arrays, as `encode_observation` does for one.

    Parameters
    ----------
    space : gymnasium.spaces.Space
        Of a single environment.
    observations : batch of values
        Arrays with a batch axis in front, nested as the space is, as a vector environment returns them; a tuple or
        list of observations where they are no arrays.
    max_length : int, >= 1
        Items of a Sequence, at most.

    Returns
    -------
    (nested) numpy arrays, shape [B, ...].

    Raises
    ------
    ValueError
        As `encode_observation`.
    """
    if isinstance(space, spaces.Dict) and isinstance(observations, Mapping):
        return {
            name: encode_observations(part, _entry(observations, name), max_length=max_length)
            for name, part in space.spaces.items()
        }
    if isinstance(space, spaces.Tuple) and isinstance(observations, tuple):
        pairs = zip(space.spaces, _parts(observations, len(space.spaces)), strict=True)
        return tuple(encode_observations(part, x, max_length=max_length) for part, x in pairs)
    if isinstance(space, ARRAYS):
        return _leaf(space, observations, num_batch_axes=1)
    if not isinstance(observations, (tuple, list, np.ndarray)) or not len(observations):
        raise ValueError(f"A batch must be a tuple or a list of observations. Received: {in_short(observations)}")
    rows = [encode_observation(space, x, max_length=max_length) for x in observations]
    return tree.map_structure(lambda *x: np.stack(x), *rows)
