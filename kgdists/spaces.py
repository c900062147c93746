"""Gymnasium action spaces: which head acts in a space, and actions and masks in and out of it.

`head_for` and those of actions and masks dispatch on the type of the space: `head_for.register(MySpace)` and the like
add one.
"""

import copy
import functools
import math
from typing import Any

import gymnasium
import keras
import numpy as np

from kgdists.core.checks import choice
from kgdists.core.shapes import dtype_of
from kgdists.distributions.distribution import Distribution
from kgdists.layers import (
    BernoulliHead,
    BetaHead,
    CategoricalHead,
    ClippedNormalHead,
    CompositeHead,
    DiscretizedLogisticHead,
    MultiCategoricalHead,
    NormalHead,
    OneOfHead,
    SquashedNormalHead,
)
from kgdists.random import split

__all__ = ["BOX_FAMILIES", "check_fits", "decode_action", "encode_action", "encode_mask", "head_for"]

BOX_FAMILIES = {
    "squashed": SquashedNormalHead,
    "beta": BetaHead,
    "clipped": ClippedNormalHead,
    "normal": NormalHead,
}
MAX_CELLS = 32  # an integer box with no more values in any dimension gets a probability for each


@functools.singledispatch
def head_for(
    space: gymnasium.Space,
    *,
    family: str = "squashed",
    initial_stddev: float | None = None,
    random_seed: int | None = None,
    **options: Any,
) -> keras.layers.Layer:
    """Make the head layer whose distributions act in `space`.

    ============================  ==============================================================================
    Discrete                      `CategoricalHead`
    MultiDiscrete                 `MultiCategoricalHead`
    MultiBinary                   `BernoulliHead`
    Box of floats                 by `family`
    Box of integers or bools      `MultiCategoricalHead` up to 32 values in each dimension, else
                                  `DiscretizedLogisticHead`
    Dict, Tuple                   `CompositeHead`, nested as the space is
    OneOf                         `OneOfHead`
    ============================  ==============================================================================

    Parameters
    ----------
    space : gymnasium.spaces.Space
        Of a single environment.
    family : str
        For the boxes of floats in it: `"squashed"`, a normal brought into the box by tanh where it is bounded, softplus
        where it is half-bounded; `"beta"`, which needs finite bounds; `"clipped"`, a normal whose tails are
        probabilities of the bounds; `"normal"`, whose actions `decode_action` clips, with the density of the unclipped
        ones. A dimension of zero width is a constant.
    initial_stddev : None or float
        For those boxes: standard deviation of the normal at the start, in units of half the width or, if squashed,
        before squashing. Not for `"beta"`.
    random_seed : None or int
        An int makes the initial weights and the sequence of draws reproducible.
    **options
        Further arguments of the head, or of all heads of a nested space.

    Returns
    -------
    keras.layers.Layer, features -> distribution.

    Raises
    ------
    ValueError
        For a space that no head is known for, or a family that does not fit its bounds.

    Examples
    --------
    >>> import gymnasium, kgdists as kg
    >>> space = gymnasium.spaces.Dict(move=gymnasium.spaces.Discrete(4), push=gymnasium.spaces.Box(-1.0, 1.0, (2,)))
    >>> kg.head_for(space)(keras.ops.ones((1, 3))).event_shape
    {'move': (4,), 'push': (2,)}
    """
    raise ValueError(_unsupported(space))


@functools.singledispatch
def decode_action(space: gymnasium.Space, action: Any) -> Any:
    """Turn actions of a distribution into actions of `space`, ready for `env.step`.

    Parameters
    ----------
    space : gymnasium.spaces.Space
        The space of a single environment.
    action : array or tensor, shape [B..., *event], or nested dict or tuple of them
        What `sample_action` or `mode_action` returned.

    Returns
    -------
    numpy array, shape [B..., *space.shape], of the dtype of `space`; for Dict and Tuple nested as the space is; for a
    OneOf a tuple of index and value, or with a batch axis a tuple of those. Boxes are clipped to their bounds. With one
    batch axis it is what a vector environment takes.
    """
    raise ValueError(_unsupported(space))


@functools.singledispatch
def encode_action(space: gymnasium.Space, action: Any) -> Any:
    """Turn actions of `space` into what `log_proba` of its distributions takes: the inverse of `decode_action`.

    Parameters
    ----------
    space : gymnasium.spaces.Space
    action : array, shape [B..., *space.shape], or nested as `decode_action` returns it

    Returns
    -------
    numpy array: labels `0 ... n - 1`, of shape [B...] or [B..., n], or floats of shape [B..., n]; nested as the space
    is. For a OneOf the values of the branches not taken are zeros.
    """
    raise ValueError(_unsupported(space))


@functools.singledispatch
def encode_mask(space: gymnasium.Space, mask: Any) -> Any:
    """Turn a mask in the format of `space.sample(mask=...)` into what the head takes as `action_mask`.

    Parameters
    ----------
    space : gymnasium.spaces.Space
    mask : None or array or nested dict or tuple
        None allows everything. Arrays may have batch axes in front.

    Returns
    -------
    numpy array, or nested dict or tuple of them: bool [B..., n] for a Discrete, bool [B..., sum(nvec)] for a
    MultiDiscrete, int8 [B..., n] of 0, 1 and 2 (both allowed) for a MultiBinary, an empty one for a Box, which has no
    masks. For a OneOf a tuple of the mask of the branches and those within them.

    Examples
    --------
    >>> import gymnasium, numpy as np, kgdists as kg
    >>> mask = (np.array([1, 0], np.int8), np.array([1, 1, 0], np.int8))
    >>> kg.spaces.encode_mask(gymnasium.spaces.MultiDiscrete([2, 3]), mask)
    array([ True, False,  True,  True, False])
    """
    raise ValueError(_unsupported(space))


# Discrete.


@head_for.register
def _(space: gymnasium.spaces.Discrete, *, family="squashed", initial_stddev=None, **options):
    return CategoricalHead(int(space.n), **options)


@decode_action.register
def _(space: gymnasium.spaces.Discrete, action):
    return np.asarray(action).astype(space.dtype) + space.start


@encode_action.register
def _(space: gymnasium.spaces.Discrete, action):
    return (np.asarray(action) - space.start).astype("int32")


@encode_mask.register
def _(space: gymnasium.spaces.Discrete, mask):
    return _allowed(mask, int(space.n))


# MultiDiscrete: any rank, flat as a vector of choices.


@head_for.register
def _(space: gymnasium.spaces.MultiDiscrete, *, family="squashed", initial_stddev=None, **options):
    if space.nvec.size == 0:
        raise ValueError(_unsupported(space))
    return MultiCategoricalHead(space.nvec.ravel().tolist(), **options)


@decode_action.register
def _(space: gymnasium.spaces.MultiDiscrete, action):
    return _unravelled(action, space.shape).astype(space.dtype) + space.start


@encode_action.register
def _(space: gymnasium.spaces.MultiDiscrete, action):
    return _ravelled(np.asarray(action) - space.start, space.shape).astype("int32")


@encode_mask.register
def _(space: gymnasium.spaces.MultiDiscrete, mask):
    masks = [None] * space.nvec.size if mask is None else list(_leaves(mask))
    if len(masks) != space.nvec.size:
        raise ValueError(f"A mask of {space} must be a tuple of one array for each choice. Received: {len(masks)}")
    return np.concatenate([_allowed(x, n) for x, n in zip(masks, space.nvec.ravel().tolist(), strict=True)], axis=-1)


# MultiBinary: any rank, flat.


@head_for.register
def _(space: gymnasium.spaces.MultiBinary, *, family="squashed", initial_stddev=None, **options):
    if math.prod(space.shape) == 0:
        raise ValueError(_unsupported(space))
    return BernoulliHead(math.prod(space.shape), **options)


@decode_action.register
def _(space: gymnasium.spaces.MultiBinary, action):
    return _unravelled(action, space.shape).astype(space.dtype)


@encode_action.register
def _(space: gymnasium.spaces.MultiBinary, action):
    return _ravelled(action, space.shape).astype("int32")


@encode_mask.register
def _(space: gymnasium.spaces.MultiBinary, mask):
    mask = np.full(space.shape, 2) if mask is None else np.asarray(mask)
    if mask.shape[max(mask.ndim - len(space.shape), 0) :] != space.shape or not np.isin(mask, (0, 1, 2)).all():
        raise ValueError(
            f"The mask of {space} must have its shape, and entries 0, 1 and 2 (both allowed). Received: {mask.tolist()}"
        )
    return _ravelled(mask, space.shape).astype("int8")


# Box: floats by family, integers by their number.


@head_for.register
def _(space: gymnasium.spaces.Box, *, family="squashed", initial_stddev=None, **options):
    if math.prod(space.shape) == 0:
        raise ValueError(_unsupported(space))
    choice("family", family, BOX_FAMILIES)
    low, high = space.low.ravel().tolist(), space.high.ravel().tolist()
    if _is_small(space):
        return MultiCategoricalHead([int(b) - int(a) + 1 for a, b in zip(low, high, strict=True)], **options)
    if family != "beta" and initial_stddev is not None:
        options["initial_stddev"] = initial_stddev
    if not _is_float(space):
        middle = _offset(space)
        low, high = ([x - m for x, m in zip(bound, middle, strict=True)] for bound in (low, high))
        return DiscretizedLogisticHead(len(low), low, high, **options)
    if family == "normal":
        return NormalHead(len(low), **_units(space) | options)
    return BOX_FAMILIES[family](len(low), low=low, high=high, **options)


@decode_action.register
def _(space: gymnasium.spaces.Box, action):
    action = np.asarray(action)
    if not _is_float(space):
        return _unravelled(_shifted(action, _offset(space)), space.shape).astype(space.dtype)
    return np.asarray(np.clip(_unravelled(action, space.shape), space.low, space.high), space.dtype)


@encode_action.register
def _(space: gymnasium.spaces.Box, action):
    flat = _ravelled(np.asarray(action, space.dtype), space.shape)
    return flat if _is_float(space) else _shifted(flat, [-x for x in _offset(space)])


@encode_mask.register
def _(space: gymnasium.spaces.Box, mask):
    if mask is not None:
        raise ValueError(f"A Box has no masks. Received: mask={mask!r}")
    return np.zeros(0, "int8")


def _is_float(space):
    return np.issubdtype(space.dtype, np.floating)


def _is_small(space):
    """Whether each value of an integer box has a probability of its own."""
    bounds = zip(space.low.ravel().tolist(), space.high.ravel().tolist(), strict=True)
    return not _is_float(space) and all(high - low < MAX_CELLS for low, high in bounds)


def _offset(space):
    """What is added to an encoded action of an integer box: the least value, or the middle if there are many."""
    low, high = space.low.ravel().tolist(), space.high.ravel().tolist()
    return low if _is_small(space) else [(a + b + 1) // 2 for a, b in zip(low, high, strict=True)]


def _shifted(x, by):
    # Modulo 2^64, in which the largest unsigned integers are at home too.
    by = np.asarray([int(b) % 2**64 for b in by], "uint64")
    return (x.astype("int64").astype("uint64") + by).astype("int64")


def _units(space):
    """Middle and half the width of a box; a dimension without two finite, different bounds counts as [-1, 1]."""
    low, high = space.low.ravel().astype("float64"), space.high.ravel().astype("float64")
    bounded = np.isfinite(low) & np.isfinite(high)
    low, high = np.where(bounded, low, -1.0), np.where(bounded, high, 1.0)
    center, scale = low / 2.0 + high / 2.0, high / 2.0 - low / 2.0
    return {"center": center.tolist(), "scale": np.where(scale > 0.0, scale, 1.0).tolist()}


# Dict and Tuple: nested.


@head_for.register
def _(space: gymnasium.spaces.Dict, **options):
    if not space.spaces:
        raise ValueError(_unsupported(space))
    return CompositeHead(dict(zip(space.spaces, _heads_for(space.spaces.values(), **options), strict=True)))


@decode_action.register
def _(space: gymnasium.spaces.Dict, action):
    return {key: decode_action(part, action[key]) for key, part in space.spaces.items()}


@encode_action.register
def _(space: gymnasium.spaces.Dict, action):
    return {key: encode_action(part, action[key]) for key, part in space.spaces.items()}


@encode_mask.register
def _(space: gymnasium.spaces.Dict, mask):
    return {key: encode_mask(part, mask and mask.get(key)) for key, part in space.spaces.items()}


@head_for.register
def _(space: gymnasium.spaces.Tuple, **options):
    if not space.spaces:
        raise ValueError(_unsupported(space))
    return CompositeHead(tuple(_heads_for(space.spaces, **options)))


@decode_action.register
def _(space: gymnasium.spaces.Tuple, action):
    return tuple(decode_action(*pair) for pair in zip(space.spaces, action, strict=True))


@encode_action.register
def _(space: gymnasium.spaces.Tuple, action):
    return tuple(encode_action(*pair) for pair in zip(space.spaces, action, strict=True))


@encode_mask.register
def _(space: gymnasium.spaces.Tuple, mask):
    mask = [None] * len(space.spaces) if mask is None else mask
    return tuple(encode_mask(*pair) for pair in zip(space.spaces, mask, strict=True))


def _heads_for(spaces, random_seed=None, **options):
    seeds = split(random_seed, len(spaces))
    return [head_for(part, random_seed=seed, **options) for part, seed in zip(spaces, seeds, strict=True)]


# OneOf: the label of a branch, and a value in each branch, of which one counts.


@head_for.register
def _(space: gymnasium.spaces.OneOf, *, random_seed=None, **options):
    seed, seeds = split(random_seed, 2)
    choice = head_for(gymnasium.spaces.Discrete(len(space.spaces)), random_seed=seed, **options)
    return OneOfHead((choice, tuple(_heads_for(space.spaces, random_seed=seeds, **options))))


@decode_action.register
def _(space: gymnasium.spaces.OneOf, action):
    index, values = action
    if np.ndim(index):
        rows = [keras.tree.map_structure(lambda x, i=i: np.asarray(x)[i], action) for i in range(len(index))]
        return tuple(decode_action(space, row) for row in rows)
    index = np.int64(index)
    return index, decode_action(space.spaces[index], values[index])


@encode_action.register
def _(space: gymnasium.spaces.OneOf, action):
    if isinstance(action[0], (tuple, list)):
        return keras.tree.map_structure(lambda *rows: np.stack(rows), *(encode_action(space, row) for row in action))
    index, value = action
    values = [_zeros(part) for part in space.spaces]
    values[index] = encode_action(space.spaces[index], value)
    return np.int32(index), tuple(values)


@encode_mask.register
def _(space: gymnasium.spaces.OneOf, mask):
    mask = [None] * len(space.spaces) if mask is None else mask
    return np.ones(len(space.spaces), bool), tuple(encode_mask(*pair) for pair in zip(space.spaces, mask, strict=True))


def _zeros(space):
    """Zeros of the form of an encoded action."""
    example = copy.deepcopy(space).sample()  # a copy, because drawing moves on the generator of the space
    return keras.tree.map_structure(np.zeros_like, encode_action(space, example))


# What policies must be.


def check_fits(pi: Distribution, space: gymnasium.Space) -> None:
    """Raise unless the distribution `pi` has events and actions of the form that the space's own head gives."""

    def form(dist):
        kinds = keras.tree.map_structure(
            lambda x: "integers" if "int" in dtype_of(x) else "floats", dist.sample_action(seed=0)
        )
        return dist.event_shape, kinds

    own = head_for(space, random_seed=0)(keras.ops.zeros((1, 1)))
    if form(pi) != form(own):
        raise ValueError(
            f"`policy` must act in the action space {space}: events and actions of the form {form(own)}. "
            f"Received: {form(pi)}"
        )


# What several have in common.


def _unravelled(action, shape):
    """Vectors [B..., n] as arrays [B..., *shape]."""
    action = np.asarray(action)
    return action.reshape(action.shape[:-1] + shape)


def _ravelled(action, shape):
    """Arrays [B..., *shape] as vectors [B..., n]."""
    action = np.asarray(action)
    return action.reshape(action.shape[: action.ndim - len(shape)] + (math.prod(shape),))


def _allowed(mask, n):
    mask = np.ones(n, bool) if mask is None else np.asarray(mask)
    if mask.shape[-1:] != (n,):
        raise ValueError(f"The mask of a choice among {n} must have {n} entries. Received: shape {mask.shape}")
    allowed = mask == 1
    if not (allowed | (mask == 0)).all():
        raise ValueError(f"The mask of a choice must have entries 0 and 1. Received: {mask.tolist()}")
    if not allowed.any(axis=-1).all():
        raise ValueError(f"The mask of a choice must allow one of the options. Received: {mask.tolist()}")
    return allowed


def _leaves(nested):
    if not isinstance(nested, (tuple, list)):
        yield nested
        return
    for part in nested:
        yield from _leaves(part)


def _unsupported(space):
    return (
        "An action space must be a Discrete, MultiDiscrete, MultiBinary, Box, Dict, Tuple or OneOf with at least one "
        "element; for another space, or one of unbounded length (Text, Sequence, Graph), register functions of your "
        "own with `kgdists.head_for.register` and, in `kgdists.spaces`, `decode_action.register` and "
        f"`encode_action.register`, or wrap the environment. Received: {space!r}"
    )
