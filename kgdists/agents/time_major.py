"""Rollouts as tensors: time-major, [T, N, ...]."""

from keras import ops

from kgdists.policy import split_mask

__all__ = ["as_float32", "flat", "values_of"]


def as_float32(x):
    """A tensor of losses' dtype, also where the networks compute in another."""
    return ops.cast(x, "float32")


def flat(x):
    """[T, N, ...] -> [T N, ...]."""
    return ops.reshape(x, (-1, *x.shape[2:]))


def values_of(model, observations):
    """A model's values [B] of observations [B, ...], which may hold action masks."""
    return as_float32(ops.squeeze(model(split_mask(observations)[0]), axis=-1))
