"""Bounds of boxes: each dimension has two, one or none, or is a constant where they are equal."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from kgdists.core import backend, value_checks
from kgdists.core.types import Tensor, TensorLike
from kgdists.numerics import special

__all__ = ["Box", "box_of", "canonical", "piecewise"]

_SIGNIFICANDS = {"bfloat16": 8, "float16": 11, "float32": 24, "float64": 53}  # bits


def canonical(low: TensorLike, high: TensorLike, n: int) -> tuple[float | tuple[float, ...], float | tuple[float, ...]]:
    """`low` and `high` as they are stored: a float if it is the same in all `n` dimensions, else a tuple of `n`.

    Parameters
    ----------
    low, high : float or sequence of n floats, `low <= high`, infinite where there is no bound
    n : int
    """
    try:
        bounds = [np.asarray(bound, "float64") for bound in (low, high)]
    except (TypeError, ValueError):
        bounds = [np.asarray(np.nan)]
    if not all(bound.shape in ((), (n,)) and not np.isnan(bound).any() for bound in bounds):
        raise ValueError(f"`low` and `high` must be numbers or sequences of {n} numbers. Received: {low} and {high}")
    if not np.all((bounds[0] <= bounds[1]) & (bounds[0] < np.inf) & (bounds[1] > -np.inf)):
        raise ValueError(f"`low` must be <= `high`, and infinite only outwards. Received: {low} and {high}")
    return _shortest(bounds[0]), _shortest(bounds[1])


def piecewise(*cases: tuple[np.ndarray, Callable[[], Any]]) -> Any:
    """The value, one or several tensors, of each dimension's own case.

    Parameters
    ----------
    *cases : pairs of a static mask and a function without arguments
        The masks part the dimensions. A function is called only if there are dimensions of its kind; its values
        and gradients must be finite in the others too.
    """
    first, *others = [(mask, value) for mask, value in cases if np.any(mask)]
    result = first[1]()
    for mask, value in others:
        result = keras.tree.map_structure(functools.partial(ops.where, mask), value(), result)
    return result


class Box:
    """What follows from two bounds, as constants of one dtype: scalars, or arrays of one number per dimension.

    Such an array must be the second operand next to a KerasTensor.

    Attributes
    ----------
    both, below, above, free, constant : bool
        The kind of each dimension: bounded on both sides, only from below, only from above, or not at all; or constant,
        of equal bounds. One of them is true.
    has_low, has_high : bool
        Whether a bound is finite and the dimension no constant.
    low, high : float
        The bounds; 0 where there is none.
    center, half : float
        Middle and half the width; 0 and 1 where not `both`.
    log_half : float
    log_width : float
        0 where not `both`.
    scale, scaled_width, log_scaled_width : float
        1, or a half where the width of a box would overflow; and that times the width, 1 where not `both`.
    """

    def __init__(self, low: float | tuple[float, ...], high: float | tuple[float, ...], dtype: str) -> None:
        lower, upper = (_representable(np.asarray(bound), dtype) for bound in (low, high))
        self._rounded = tuple(_constant(_representable(bound, dtype), dtype) for bound in _rounded(lower, upper))
        self._dtype = dtype
        self.constant = lower == upper
        self.has_low, self.has_high = np.isfinite(lower) & ~self.constant, np.isfinite(upper) & ~self.constant
        self.both, self.free = self.has_low & self.has_high, ~(self.has_low | self.has_high | self.constant)
        self.below, self.above = self.has_low & ~self.both, self.has_high & ~self.both
        lower, upper = np.where(np.isfinite(lower), lower, 0.0), np.where(np.isfinite(upper), upper, 0.0)
        # Halved first: the width of a box may overflow where its bounds do not.
        half = np.where(self.both, upper / 2 - lower / 2, 1.0)
        tight = half > np.finfo(dtype).max / 2
        scale = np.where(tight, 0.5, 1.0)
        width = np.where(self.both, np.where(tight, half, 2.0 * np.where(tight, 0.0, half)), 1.0)
        self.low, self.high, self.half, self.scale, self.scaled_width = (
            _constant(x, dtype) for x in (lower, upper, half, scale, width)
        )
        self.log_scaled_width = _constant(np.log(width), dtype)
        largest = np.maximum(np.maximum(np.abs(lower) / 2, np.abs(upper) / 2), np.where(self.both, half, 0.5))
        near = np.finfo(dtype).eps / 8 * largest
        self._near_low, self._near_high = (
            _constant(scale * np.minimum(near, _gap(bound, inside, dtype)), dtype)
            for bound, inside in ((lower, np.inf), (upper, -np.inf))
        )
        # A bound next to which floats are much denser than elsewhere in the box.
        self._dense_low, self._dense_high = (self.both & (np.abs(bound) < half / 4) for bound in (lower, upper))
        self.center = _constant(np.where(self.both, lower / 2 + upper / 2, 0.0), dtype)
        self.log_half = _constant(np.log(half), dtype)
        self.log_width = _constant(np.where(self.both, np.log(half) + np.log(2.0), 0.0), dtype)

    def inside(self, x: Tensor) -> Tensor | None:
        """Whether each dimension of `x` lies in the box; None where values are at hand, which are checked.

        A bound may be missed by as much as a float type rounds it.
        """
        low, high = self._rounded

        def check(values):
            outside = (values < low) | (values > high)
            if outside.any():
                index = np.argwhere(outside)[0].tolist()
                raise ValueError(
                    "`x` must lie between `low` and `high`. "
                    f"Received: {values[tuple(index)]} at index {index} of x, low={low}, high={high}"
                )

        value_checks.check_values(check, x)
        is_checked = backend.concrete(x) is not None and not value_checks.is_unchecked()
        return None if is_checked else ~((x < low) | (x > high))

    def at_bounds(self, x: Tensor, dtype: str) -> tuple[Tensor, Tensor]:
        """Whether `x` is at `low`, and at `high`, where these are finite; `dtype` is what both were rounded to."""
        low, high = (_constant(_round(np.asarray(x), _SIGNIFICANDS[dtype]), self._dtype) for x in (self.low, self.high))
        return (x <= low) & self.has_low, (x >= high) & self.has_high

    def distances(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`x - low` and `high - x` times `scale`, each at least as large as can be told apart at that bound.

        That is `eps / 16` of the largest of |low|, |high| and the width (with a single bound: of 1 and that bound), or
        the distance to the next float if that is less, as it is next to 0.
        """
        from_low = ops.maximum(x * self.scale - self.scale * self.low, self._near_low)
        return from_low, ops.maximum(x * -self.scale + self.scale * self.high, self._near_high)

    def between(
        self, is_low: Tensor, t: Callable[[], Tensor], u: Callable[[], Tensor], middle: Callable[[], Tensor]
    ) -> Tensor:
        """The place in the box at the share `t()` of its width from `low`, `u()` from `high`; clipped for rounding.

        It is counted from the nearer bound, which `is_low` tells, where floats are dense next to that one, as they are
        next to 0; so no digits are lost. Elsewhere it is `middle()`.
        """
        x = middle()
        for dense, nearer, bound, step in (
            (self._dense_low, is_low, self.low, lambda: 2.0 * (t() * self.half)),
            (self._dense_high, ~is_low, self.high, lambda: -2.0 * (u() * self.half)),
        ):
            if np.any(dense):
                x = ops.where(nearer & dense, step() + bound, x)
        return ops.maximum(ops.minimum(x, self.high), self.low)


# Distributions are values without room for what follows from their fields.
box_of = functools.lru_cache(maxsize=1024)(Box)


def _shortest(bound: np.ndarray) -> float | tuple[float, ...]:
    values = bound.ravel().tolist()
    return values[0] if len(set(values)) == 1 else tuple(values)


def _constant(x, dtype):
    return x.item() if np.ndim(x) == 0 else np.asarray(x, dtype)


def _gap(bound, towards, dtype):
    """The distance of the next float inside the box from a bound, at least the smallest normal number."""
    bound = bound.astype(dtype)
    inside = np.nextafter(bound, np.asarray(towards, dtype))
    return np.maximum(np.abs(inside.astype("float64") - bound.astype("float64")), special.smallest(dtype))


def _representable(bound, dtype):
    return np.where(np.isfinite(bound), np.clip(bound, np.finfo(dtype).min, np.finfo(dtype).max), bound)


def _rounded(low, high):
    """The bounds, or what they become in a narrower float type if that is further out."""
    narrow = [[_round(bound, bits) for bits in _SIGNIFICANDS.values()] for bound in (low, high)]
    return np.minimum(low, np.min(narrow[0], axis=0)), np.maximum(high, np.max(narrow[1], axis=0))


def _round(x, bits):
    finite = np.where(np.isfinite(x), x, 0.0)
    significand, exponent = np.frexp(finite)
    with np.errstate(over="ignore"):
        return np.where(np.isfinite(x), np.ldexp(np.round(np.ldexp(significand, bits)), exponent - bits), x)
