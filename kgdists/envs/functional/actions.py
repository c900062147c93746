"""Actions of distributions as actions of spaces, on tensors: `kgdists.decode_action` within compiled programs."""

import functools
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, OneOf, Tuple
from keras import ops

from kgdists.spaces import decode_action

__all__ = ["action_tensors"]


@functools.singledispatch
def action_tensors(space: gymnasium.Space, action: Any) -> Any:
    """Turn actions of a distribution, tensors [N, ...], into tensors of `space`.

    Parameters
    ----------
    space : gymnasium.spaces.Space
        Of one environment.
    action : tensor, or nested dict or tuple of them
        What `sample_action` or `mode_action` returned.

    Returns
    -------
    tensor, shape [N, *space.shape], of the dtype of `space`, nested as the space is. Boxes are clipped to their bounds.
    For a OneOf the index [N] and a tuple of the values of all its spaces.

    Raises
    ------
    ValueError
        For another space; `kgdists.envs.functional.actions.action_tensors.register` takes one of your own.
    """
    raise ValueError(
        "Compiled environments act in Discrete, MultiDiscrete, MultiBinary, Box, Dict, Tuple and OneOf spaces: "
        f"register a function for another one with `action_tensors.register`. Received: {space!r}"
    )


@action_tensors.register
def _(space: Discrete, action):
    return ops.cast(action, space.dtype.name) + int(space.start)


@action_tensors.register
def _(space: MultiDiscrete, action):
    return ops.cast(_unravelled(action, space.shape), space.dtype.name) + space.start


@action_tensors.register
def _(space: MultiBinary, action):
    return ops.cast(_unravelled(action, space.shape), space.dtype.name)


@action_tensors.register
def _(space: Box, action):
    if space.dtype.kind == "f":
        return ops.cast(ops.clip(_unravelled(action, space.shape), space.low, space.high), space.dtype.name)
    # What a zero stands for: encoded actions count from there, in int64, where those of uint64 wrap around.
    width = int(np.prod(space.shape))
    zero = decode_action(space, np.zeros(width, "int64")).astype("int64")
    return ops.cast(_unravelled(ops.cast(action, "int64"), space.shape) + zero, space.dtype.name)


@action_tensors.register
def _(space: Dict, action):
    return {name: action_tensors(part, action[name]) for name, part in space.spaces.items()}


@action_tensors.register
def _(space: Tuple, action):
    return tuple(action_tensors(part, x) for part, x in zip(space.spaces, action, strict=True))


@action_tensors.register
def _(space: OneOf, action):
    index, values = action
    values = tuple(action_tensors(part, x) for part, x in zip(space.spaces, values, strict=True))
    return ops.cast(index, "int64"), values


def _unravelled(action, shape):
    return ops.reshape(action, (-1, *shape))
