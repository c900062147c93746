"""Gymnasium observation spaces to encoders: layers from what is observed to features."""

import functools
import math

import gymnasium
import keras
import numpy as np
from gymnasium import spaces

from kgdists.core.checks import choice
from kgdists.encoders.arrays import MAX_LENGTH, array_space, encode_observation
from kgdists.encoders.composite import CompositeEncoder
from kgdists.encoders.image import NETWORKS, ImageEncoder, channels_axis
from kgdists.encoders.numbers import FloatEncoder, IntegerEncoder
from kgdists.encoders.one_hot import OneHotEncoder
from kgdists.encoders.sequence import SequenceEncoder, TextEncoder
from kgdists.random import split

__all__ = ["encoder_for", "is_image", "is_text"]

MAX_LABELS = 10**6  # of which each has an embedding; more are numbers
LEAST_SIDE = 3  # pixels of an image of rank 3
LEAST_SIDE_OF_GRAY = 10  # of one of rank 2; smaller ones are tables


@functools.singledispatch
def encoder_for(
    space: gymnasium.Space,
    *,
    network: str = "auto",
    normalize: bool = False,
    max_length: int = MAX_LENGTH,
    leave_out: tuple[str, ...] = (),
    random_seed: int | None = None,
) -> keras.layers.Layer:
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
    the space, and of the options below by keyword, to a layer. One whose observations are not arrays is registered by
    `kgdists.encoders.encode_observation.register(MySpace)`; it then has the encoder of the arrays.

    Parameters
    ----------
    space : gymnasium.spaces.Space
        Of a single environment.
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
        For a space whose observations are no arrays and that is not registered.

    Examples
    --------
    >>> import gymnasium, keras, kgdists as kg
    >>> kg.encoder_for(gymnasium.spaces.Discrete(3, start=1))(keras.ops.array([1, 3]))
    <tf.Tensor: shape=(2, 3), dtype=float32, numpy=
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)>
    """
    if is_text(space):
        return TextEncoder(random_seed=random_seed)
    return encoder_for(
        array_space(space, max_length=max_length),
        network=network,
        normalize=normalize,
        max_length=max_length,
        leave_out=leave_out,
        random_seed=random_seed,
    )


@encoder_for.register
def _(space: spaces.Box, *, network="auto", normalize=False, random_seed=None, **options):
    choice("network", network, NETWORKS)
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


@encoder_for.register
def _(space: spaces.Discrete, *, random_seed=None, **options):
    if space.n > MAX_LABELS:
        return IntegerEncoder(int(space.start), int(space.start + space.n - 1))
    return OneHotEncoder([space.n], [space.start], random_seed=random_seed)


@encoder_for.register
def _(space: spaces.MultiDiscrete, *, random_seed=None, **options):
    if space.nvec.size and space.nvec.max() > MAX_LABELS:
        return IntegerEncoder(space.start.tolist(), (space.start + space.nvec - 1).tolist())
    return OneHotEncoder(space.nvec.ravel().tolist(), space.start.ravel().tolist(), random_seed=random_seed)


@encoder_for.register
def _(space: spaces.MultiBinary, **options):
    return FloatEncoder()


@encoder_for.register
def _(space: spaces.Dict, *, leave_out=(), random_seed=None, **options):
    kept = {name: part for name, part in space.spaces.items() if name not in leave_out}
    seeds = split(random_seed, max(1, len(kept)))
    return CompositeEncoder(
        {
            name: encoder_for(part, leave_out=leave_out, random_seed=seed, **options)
            for (name, part), seed in zip(sorted(kept.items()), seeds, strict=False)
        }
    )


@encoder_for.register
def _(space: spaces.Tuple, *, random_seed=None, **options):
    seeds = split(random_seed, max(1, len(space.spaces)))
    pairs = zip(space.spaces, seeds, strict=False)
    return CompositeEncoder(tuple(encoder_for(part, random_seed=seed, **options) for part, seed in pairs))


@encoder_for.register
def _(space: spaces.OneOf, *, random_seed=None, **options):
    seed, of_branches = split(random_seed, 2)
    index = encoder_for(spaces.Discrete(len(space.spaces)), random_seed=seed, **options)
    return CompositeEncoder((index, encoder_for(spaces.Tuple(space.spaces), random_seed=of_branches, **options)))


@encoder_for.register
def _(space: spaces.Sequence, *, random_seed=None, **options):
    seed, of_items = split(random_seed, 2)
    options["normalize"] = False  # of which the statistics would be those of the padding
    return SequenceEncoder(encoder_for(space.feature_space, random_seed=of_items, **options), random_seed=seed)


@encoder_for.register
def _(space: spaces.Text, *, random_seed=None, **options):
    return TextEncoder(random_seed=random_seed)


def is_text(space: gymnasium.Space) -> bool:
    """Whether the observations of a space are texts."""
    return space.dtype is not None and space.dtype.kind == "U"


@encoder_for.register
def _(space: spaces.Graph, **options):
    encode_observation(space, None)  # which says what to register
