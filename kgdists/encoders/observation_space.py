"""Gymnasium observation spaces to encoders: layers from what is observed to features."""

import functools
import math
from collections.abc import Callable
from typing import Any, TypeVar

import gymnasium
import keras
import numpy as np
from gymnasium import spaces

from kgdists.core.checks import choice, count, in_short
from kgdists.core.choices import IMAGE_NETWORKS, MAX_LENGTH
from kgdists.encoders.arrays import ARRAYS, array_space, is_text
from kgdists.encoders.composite import CompositeEncoder
from kgdists.encoders.image import ImageEncoder, channels_axis
from kgdists.encoders.numbers import FloatEncoder, IntegerEncoder
from kgdists.encoders.one_hot import OneHotEncoder
from kgdists.encoders.sequence import SequenceEncoder, TextEncoder
from kgdists.random import split

__all__ = ["encoder_for", "is_image"]

F = TypeVar("F", bound=Callable[..., keras.layers.Layer])

DEFAULTS: dict[str, Any] = {
    "network": "auto",
    "normalize": False,
    "max_length": MAX_LENGTH,
    "leave_out": (),
    "random_seed": None,
}
MAX_LABELS = 10**6  # of which each has an embedding; more are numbers
LEAST_SIDE = 3  # pixels of an image of rank 3
LEAST_SIDE_OF_GRAY = 10  # of one of rank 2; smaller ones are tables


@functools.singledispatch
def encoder_for(space: gymnasium.Space, **options: Any) -> keras.layers.Layer:
    """Make the layer that turns observations of `space`, as `encode_observation` gives them, into features [B, n].

    ==============================  =================================================================================
    Box of floats                   the numbers as they are, flat: `FloatEncoder`
    Box of integers                 numbers that float32 tells apart: `IntegerEncoder`
    Box that is an image            scaled and convolved: `ImageEncoder`. It has rank 3, or 4 with stacked frames, and
                                    at least 3 x 3 pixels, channels first or last; or rank 2 and at least 10 x 10
                                    pixels of integers, or of floats in [0, 1] or [0, 255]
    Discrete, MultiDiscrete         one-hot vectors; an embedding for more than 1,024 labels: `OneHotEncoder`
    MultiBinary                     numbers 0 and 1
    Dict, Tuple, OneOf              the features of all parts: `CompositeEncoder`
    Sequence                        the pooled features of its items: `SequenceEncoder`
    Text, spaces of texts           the pooled features of three bytes each: `TextEncoder`
    ==============================  =================================================================================

    A space of one's own whose observations are arrays is registered by `encoder_for.register(MySpace)`, a function of
    the space and `**options`, those below, to a layer. One whose observations are not arrays is registered by
    `kgdists.encoders.encode_observation.register(MySpace)`; it then has the encoder of the arrays.

    Parameters
    ----------
    space : gymnasium.spaces.Space
        Of a single environment.
    **options
        As follows.
    network : str
        For images: `"nature"`, `"impala"`, `"small"`, or `"auto"`; see `ImageEncoder`.
    normalize : bool
        Whether to standardize boxes of floats by running statistics, but for items of a Sequence; see
        `kgdists.layers.RunningNormalization`.
    max_length : int, >= 1
        Items of a Sequence, at most.
    leave_out : tuple of str
        Names of parts of a Dict, at any depth, that have no features.
    random_seed : None or int
        An int makes the initial weights reproducible.

    Returns
    -------
    keras.layers.Layer, (nested) arrays [B, ...] -> [B, n].

    Raises
    ------
    ValueError
        For a space whose observations are no arrays and that is not registered, and for a wrong option.

    Examples
    --------
    >>> import gymnasium, keras, kgdists as kg
    >>> kg.encoder_for(gymnasium.spaces.Discrete(3, start=1))(keras.ops.array([1, 3]))
    <tf.Tensor: shape=(2, 3), dtype=float32, numpy=
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)>
    """
    if not isinstance(space, gymnasium.Space):
        raise ValueError(f"`space` must be a space of gymnasium.spaces. Received: {in_short(space)}")
    options = _checked(space, options)
    if is_text(space):
        return TextEncoder(random_seed=options["random_seed"])
    return encoder_for(array_space(space, max_length=options["max_length"]), **options)


def _registered(cls: type[gymnasium.Space]) -> Callable[[F], F]:
    """Register a function of a space and of all options, which are checked before."""

    def register(make: F) -> F:
        encoder_for.register(cls, lambda space, **options: make(space, **_checked(space, options)))
        return make

    return register


def _checked(space, options):
    """All options, by those that were given."""
    unknown = options.keys() - DEFAULTS.keys()
    if unknown:
        raise ValueError(f"An option of `encoder_for` must be one of {', '.join(DEFAULTS)}. Received: {min(unknown)}")
    options = DEFAULTS | options
    choice("network", options["network"], IMAGE_NETWORKS)
    options["max_length"] = count("max_length", options["max_length"])
    names = options["leave_out"]
    if not isinstance(names, (tuple, list)):
        raise ValueError(f"`leave_out` must be a tuple of names. Received: leave_out={names!r}")
    missing = set(names) - _names(space)
    if missing:
        raise ValueError(f"`leave_out` must name parts of the observation. Received: {', '.join(sorted(missing))}")
    return options


def _names(space):
    """The names of all that is in dicts of a space, at any depth."""
    match space:
        case spaces.Dict():
            return {*space.spaces, *_names(spaces.Tuple(space.spaces.values()))}
        case spaces.Tuple() | spaces.OneOf():
            return {name for part in space.spaces for name in _names(part)}
        case spaces.Sequence():
            return _names(space.feature_space)
    arrays = array_space(space)
    return set() if isinstance(arrays, ARRAYS) else _names(arrays)


def _parts(parts, random_seed, leave_out, options):
    """Encoders of the parts of an observation, a list."""
    seeds = split(random_seed, max(1, len(parts)))
    return [
        encoder_for(part, random_seed=seed, leave_out=tuple(_names(part).intersection(leave_out)), **options)
        for part, seed in zip(parts, seeds, strict=False)
    ]


@_registered(spaces.Box)
def _(space, *, network, normalize, random_seed, **options):
    if is_image(space):
        low, high = _range(space)
        return ImageEncoder(network, low, high, random_seed=random_seed)
    if space.dtype.kind == "f":
        return FloatEncoder(normalize=normalize)
    low, high = space.low.astype(object), space.high.astype(object)
    if low.size and (low == low.flat[0]).all() and (high == high.flat[0]).all():
        low, high = low.flat[0], high.flat[0]
    return IntegerEncoder(*(_plain(x) for x in (low, high)))


def is_image(space: gymnasium.Space) -> bool:
    """Whether a space is a Box of images, stacked or not, as `encoder_for` tells them."""
    if not isinstance(space, spaces.Box) or not 2 <= len(space.shape) <= 4:
        return False
    if len(space.shape) == 2:
        is_gray = space.dtype.kind in "ui" or _range(space) in ((0.0, 1.0), (0.0, 255.0))
        return is_gray and min(space.shape) >= LEAST_SIDE_OF_GRAY
    first, middle, last = space.shape[-3:]
    sides = (middle, last) if channels_axis((first, middle, last)) == 0 else (first, middle)
    return min(sides) >= LEAST_SIDE


def _range(space):
    """Bounds of all numbers of a Box."""
    if not math.prod(space.shape):
        return -math.inf, math.inf
    low, high = float(space.low.min()), float(space.high.max())
    return (low, high) if high > low and high - low < 2.0**24 else (-math.inf, math.inf)


def _plain(x):
    return x.tolist() if isinstance(x, np.ndarray) else int(x)


@_registered(spaces.Discrete)
def _(space, *, random_seed, **options):
    if space.n > MAX_LABELS:
        return IntegerEncoder(int(space.start), int(space.start + space.n - 1))
    return OneHotEncoder([space.n], [space.start], random_seed=random_seed)


@_registered(spaces.MultiDiscrete)
def _(space, *, random_seed, **options):
    if space.nvec.size and space.nvec.max() > MAX_LABELS:
        return IntegerEncoder(space.start.tolist(), (space.start + space.nvec - 1).tolist())
    return OneHotEncoder(space.nvec.ravel().tolist(), space.start.ravel().tolist(), random_seed=random_seed)


@_registered(spaces.MultiBinary)
def _(space, **options):
    return FloatEncoder()


@_registered(spaces.Dict)
def _(space, *, leave_out, random_seed, **options):
    kept = {name: part for name, part in sorted(space.spaces.items()) if name not in leave_out}
    return CompositeEncoder(dict(zip(kept, _parts(kept.values(), random_seed, leave_out, options), strict=True)))


@_registered(spaces.Tuple)
def _(space, *, leave_out, random_seed, **options):
    return CompositeEncoder(tuple(_parts(space.spaces, random_seed, leave_out, options)))


@_registered(spaces.OneOf)
def _(space, *, random_seed, **options):
    seed, of_branches = split(random_seed, 2)
    index = encoder_for(spaces.Discrete(len(space.spaces)), random_seed=seed)
    return CompositeEncoder((index, encoder_for(spaces.Tuple(space.spaces), random_seed=of_branches, **options)))


@_registered(spaces.Sequence)
def _(space, *, random_seed, **options):
    seed, of_items = split(random_seed, 2)
    options["normalize"] = False  # of which the statistics would be those of the padding
    return SequenceEncoder(encoder_for(space.feature_space, random_seed=of_items, **options), random_seed=seed)
