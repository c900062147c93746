"""Observations that users hand to a policy, one or a batch of them, as the arrays that it takes."""

import contextlib
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Dict
from gymnasium.vector import VectorEnv
from keras import tree

from kgdists.encoders.arrays import encode_observations
from kgdists.envs.array_observations import Encoding
from kgdists.policy import split_mask
from kgdists.spaces import encode_mask

__all__ = ["Inputs", "unmasked_space"]


def unmasked_space(envs: VectorEnv) -> Any:
    """The space of what environments of `make_envs` observe, before it becomes arrays, without action masks."""
    space: Any = envs.single_observation_space
    is_masked = isinstance(space, Dict) and "action_mask" in space.keys()
    return envs.metadata.get("observed_space", space["observation"] if is_masked else space)


class Inputs:
    """A function of observations to the arrays [B, ...] that a policy takes, and whether it was one observation.

    Observations are as the environment returns them, or as the policy takes them.

    Parameters
    ----------
    example : (nested) arrays, shape [1, *shape]
        What the policy takes; with action masks a dict as `kgdists.agents.ActionMask` makes it.
    observed_space, action_space : gymnasium.spaces.Space
        Of the environment, the former without action masks.
    encoding : Encoding
        How observations become arrays.
    """

    def __init__(
        self, example: Any, observed_space: gymnasium.Space, action_space: gymnasium.Space, encoding: Encoding
    ) -> None:
        self._example, self._observed_space, self._action_space = example, observed_space, action_space
        self._encoding = encoding
        self._is_masked = isinstance(example, dict) and "action_mask" in example
        self._is_array = encoding.space(observed_space) == observed_space

    def __call__(self, observations: Any) -> tuple[Any, bool]:
        if not self._is_masked:
            return self._arrays(observations, self._example)
        x, mask = observations, None
        if isinstance(observations, Mapping) and "action_mask" in observations:
            x, mask = split_mask(dict(observations))
        if mask is None:
            raise self._error(observations)
        arrays, is_single = self._arrays(x, self._example["observation"])
        masks, is_single_mask = self._masks(mask)
        leaves = tree.flatten((arrays, masks))
        if is_single != is_single_mask or len({len(leaf) for leaf in leaves}) > 1:
            raise self._error(observations)
        return {"observation": arrays, "action_mask": masks}, is_single

    def _arrays(self, x, example):
        if not self._is_array:
            # A batch of lists may look like one list: what the space contains is one observation.
            ways = [(self._encoding.encode, True), (self._encoding.encode_batch, False)]
            for encode, is_single in ways if self._contains(x) else reversed(ways):
                with contextlib.suppress(ValueError, TypeError, KeyError, IndexError):
                    found = _batched(encode(self._observed_space, x), example)
                    if found is not None and found[1] == is_single:
                        return found[0], is_single
        found = _batched(x, example)
        if found is None:
            if not self._is_array:
                self._encoding.encode(self._observed_space, x)  # which says what is wrong
            raise self._error(x, example)
        if self._is_array:  # labels are in their range
            encode_observations(self._observed_space, found[0])
        return found

    def _contains(self, x):
        try:
            return bool(self._observed_space.contains(x))
        except Exception:  # of a space of one's own
            return False

    def _masks(self, mask):
        example = self._example["action_mask"]
        found = _batched(mask, example)
        if found is None:
            with contextlib.suppress(ValueError, TypeError, AttributeError):
                found = _batched(encode_mask(self._action_space, mask), example)
        if found is None:
            raise self._error(mask, example)
        return found

    def _error(self, observations, example=None):
        shape = tree.map_structure(lambda x: x.shape[1:], self._example if example is None else example)
        received = tree.map_structure(np.shape, observations)
        return ValueError(f"`observations` must have shape {shape}, behind a batch axis or not. Received: {received}")


def _batched(observations, example):
    """Observations behind a batch axis like those of `example`, and whether they had none; None if they are others."""
    try:
        arrays = tree.map_structure_up_to(example, _cast, example, observations)
    except (TypeError, ValueError, OverflowError):
        return None
    shape = tree.map_structure(lambda x: x.shape[1:], example)
    if tree.map_structure(np.shape, arrays) == shape:
        return tree.map_structure(lambda x: x[None], arrays), True
    return (arrays, False) if tree.map_structure(lambda x: x.shape[1:], arrays) == shape else None


def _cast(like, x):
    given = np.asarray(x)
    cast = given.astype(like.dtype)
    if like.dtype.kind != "f" and not np.array_equal(cast, given):
        raise ValueError("integers must be integers")
    return cast
