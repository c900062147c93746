"""Gymnasium action spaces: which head acts in a space, and actions in and out of it.

All three functions dispatch on the type of the space: `head_for.register(MySpace)` and the like add one.
"""

import functools
import math

import gymnasium
import numpy as np

from kgdists.layers import CategoricalHead, NormalHead

__all__ = ["decode_action", "encode_action", "head_for"]


@functools.singledispatch
def head_for(space, **options):
    """Make the head layer whose distributions act in `space`.

    Parameters
    ----------
    space : gymnasium.spaces.Discrete or gymnasium.spaces.Box of floats
        For a Box the head is a `NormalHead` in units of the box: its mean starts in the middle, and its standard
        deviation at `initial_stddev` times half the width. A dimension without two finite, different bounds counts as
        [-1, 1].
    **options
        Further arguments of the head.

    Returns
    -------
    keras.layers.Layer, features -> distribution.

    Raises
    ------
    ValueError
        For a space that no head is known for.

    Examples
    --------
    >>> import gymnasium, kgdists as kg
    >>> kg.head_for(gymnasium.spaces.Discrete(4)).num_categories
    4
    """
    raise ValueError(_unsupported(space))


@functools.singledispatch
def decode_action(space, action):
    """Turn actions of a distribution into actions of `space`, ready for `env.step`.

    Parameters
    ----------
    space : gymnasium.spaces.Space
        The space of a single environment.
    action : array or tensor, shape [B..., *event]
        What `sample_action` or `mode_action` returned.

    Returns
    -------
    numpy array, shape [B..., *space.shape], of the dtype of `space`. Boxes are clipped to their bounds.
    """
    raise ValueError(_unsupported(space))


@functools.singledispatch
def encode_action(space, action):
    """Turn actions of `space` into what `log_proba` of its distributions takes: the inverse of `decode_action`.

    Parameters
    ----------
    space : gymnasium.spaces.Space
    action : array, shape [B..., *space.shape]

    Returns
    -------
    numpy array: labels `0 ... n - 1` of shape [B...], or floats of shape [B..., n].
    """
    raise ValueError(_unsupported(space))


@head_for.register
def _(space: gymnasium.spaces.Discrete, **options):
    return CategoricalHead(int(space.n), **options)


@decode_action.register
def _(space: gymnasium.spaces.Discrete, action):
    return np.asarray(action).astype(space.dtype) + space.start


@encode_action.register
def _(space: gymnasium.spaces.Discrete, action):
    return (np.asarray(action) - space.start).astype("int32")


@head_for.register
def _(space: gymnasium.spaces.Box, **options):
    _check_box(space)
    low, high = space.low.ravel().astype("float64"), space.high.ravel().astype("float64")
    bounded = np.isfinite(low) & np.isfinite(high)
    low, high = np.where(bounded, low, -1.0), np.where(bounded, high, 1.0)
    scale = np.where(high > low, (high - low) / 2.0, 1.0)
    options = {"center": ((low + high) / 2.0).tolist(), "scale": scale.tolist()} | options
    return NormalHead(len(low), **options)


@decode_action.register
def _(space: gymnasium.spaces.Box, action):
    _check_box(space)
    action = np.asarray(action)
    action = action.reshape(action.shape[:-1] + space.shape)
    return np.asarray(np.clip(action, space.low, space.high), space.dtype)


@encode_action.register
def _(space: gymnasium.spaces.Box, action):
    _check_box(space)
    action = np.asarray(action, space.dtype)
    return action.reshape((*action.shape[: action.ndim - len(space.shape)], math.prod(space.shape)))


def _check_box(space):
    if not np.issubdtype(space.dtype, np.floating) or math.prod(space.shape) == 0:
        raise ValueError(_unsupported(space))


def _unsupported(space):
    return (
        "An action space must be Discrete or a Box of floats with at least one element; for another space register a "
        f"head with `kgdists.head_for.register`. Received: {space!r}"
    )
