"""Bounds of truncated and censored distributions: numbers, or tensors that have one for each dimension of each row."""

from typing import Any

import numpy as np
from keras import ops

from kgdists.core import backend, shapes, value_checks
from kgdists.core.types import TensorLike
from kgdists.distributions.box import canonical
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.nested import is_of_integers
from kgdists.distributions.transforms.transform import number
from kgdists.distributions.wrappers import HALF

__all__ = ["as_bounds", "bound_of", "check_between", "is_between", "is_infinite"]

INF = float("inf")
SLACK = 2.0**-8  # of a bound, which a narrow float type may have rounded


def as_bounds(low: TensorLike, high: TensorLike, dist: Distribution) -> dict[str, Any]:
    """`low` and `high` as they are stored: numbers as `box.canonical` has them, tensors as they are.

    Raises
    ------
    ValueError
        If they are neither, or of another shape or dtype than the variates of `dist`; where values are at hand, on NaN
        and unless `low <= high`; and if those of integers are no integers.
    """
    n, given = dist.event_shape[0], {"low": _given(low), "high": _given(high)}
    fields = {name: _tensor(name, x, dist) for name, x in given.items() if _is_tensor(x)}
    static = {"low": given["low"], "high": given["high"]} | {name: INF if name == "high" else -INF for name in fields}
    low, high = canonical(static["low"], static["high"], n)
    fields = {"low": low, "high": high} | fields
    if is_of_integers(dist):
        for name, x in fields.items():
            values = backend.concrete(x) if shapes.is_tensor(x) else np.asarray(x)
            if values is not None and not np.all((values == np.round(values)) | np.isinf(values)):
                raise ValueError(f"`{name}` must be a whole number for integers. Received: {name}={x}")
    if any(map(shapes.is_tensor, fields.values())):
        ends = [ops.convert_to_tensor(x, dist.dtype) if not shapes.is_tensor(x) else x for x in fields.values()]
        value_checks.check_values(_check_order, *ends)
    return fields


def bound_of(dist: Any, name: str, narrow: str | None = None) -> Any:
    """A bound as it meets variates, a float, an array of n or a tensor; rounded to a float type if that is narrow."""
    x = dist.__dict__[name]
    x = x if shapes.is_tensor(x) else number(x, dist.dtype)
    if narrow not in HALF:
        return x
    return ops.cast(ops.cast(ops.convert_to_tensor(x, dist.dtype), narrow), dist.dtype)


def is_infinite(dist: Any, name: str) -> bool:
    """Whether there is no bound in any dimension, for certain."""
    x = dist.__dict__[name]
    return not shapes.is_tensor(x) and bool(np.isinf(x).all())


def check_between(dist: Any, x: Any) -> Any:
    """Whether each dimension of `x` is within the bounds; raises where values are at hand and one is not."""
    inside = is_between(x, bound_of(dist, "low"), bound_of(dist, "high"))
    shapes.check_each("lie between `low` and `high`", x, inside)
    return inside | ops.isnan(x)


def is_between(x: Any, low: Any, high: Any) -> Any:
    """Whether each dimension of `x` is between two ends, numbers or tensors, or as near as rounding takes it."""
    return (x >= low - SLACK * _size(low)) & (x <= high + SLACK * _size(high))


def _given(x):
    return x if shapes.is_symbolic(x) else backend.value_of(x)


def _is_tensor(x):
    return shapes.is_tensor(x) or np.ndim(x) > 1


def _tensor(name, x, dist):
    x = shapes.as_float(x, name, dist.dtype)
    shape = (*dist.batch_shape, *dist.event_shape)
    if not shapes.matches(x.shape, shape) or shapes.dtype_of(x) != dist.dtype:
        raise ValueError(
            f"`{name}` must be a number, {shape[-1]} numbers, or a tensor of shape {shape} and {dist.dtype}: nothing "
            f"is broadcast. Received: {name} of shape {tuple(x.shape)} and {shapes.dtype_of(x)}"
        )
    shapes.check_not_nan(**{name: x})
    return x


def _size(bound):
    """The distance of a finite bound from 0."""
    if shapes.is_tensor(bound):
        return ops.where(ops.isfinite(bound), ops.abs(bound), 0.0)
    size = np.where(np.isfinite(bound), np.abs(bound), 0.0)
    return size if size.ndim else size.item()


def _check_order(low, high):
    if not np.all((low <= high) & (low < INF) & (high > -INF)):
        raise ValueError("`low` must be <= `high`, and infinite only outwards. Received: tensors that are not")
