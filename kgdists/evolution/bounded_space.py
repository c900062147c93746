"""Bounds of solutions: the search goes on in an unbounded space, from which solutions are folded or squashed."""

import numpy as np
import tensorflow as tf

from kgdists.core.checks import choice
from kgdists.core.types import Tensor, TensorLike
from kgdists.distributions.box import box_of, canonical, piecewise

__all__ = ["METHODS", "Bounds", "spacing"]

METHODS = ("reflect", "transform")


class Bounds:
    """The map from the unbounded space of the samples to the box of the solutions.

    Search distributions, gradients and standard deviations are those of the unbounded space.

    Parameters
    ----------
    low, high : float or sequence of D floats, `low < high`
        Infinite where there is no bound.
    method : {"reflect", "transform"}
        Reflection: samples within the box are solutions as they are, bit for bit. One that leaves the box comes back
        as from a mirror, and again at the other side: solutions reach the bounds, and no direction is rescaled.
        Transformation: `center + half * tanh((y - center) / half)` between two bounds, and a softplus from a single
        one. The map is smooth and one to one, of slope 1 in the middle of a box: solutions approach the bounds and
        never reach them.
    solution_length : int
    dtype : {"float32", "float64"}
    """

    def __init__(self, low: TensorLike, high: TensorLike, method: str, solution_length: int, dtype: str) -> None:
        choice("bounds_method", method, METHODS)
        self.low, self.high = canonical(low, high, solution_length)
        if not np.all(np.less(self.low, self.high)):
            raise ValueError(f"`bounds` must be low < high in each dimension. Received: {low} and {high}")
        self.method = method
        self.dtype = dtype
        self._box = box_of(self.low, self.high, dtype)
        # The outermost numbers of the dtype that lie within the bounds, which may not be numbers of it.
        self.least, self.most = _inner(self.low, self.high, dtype)
        if not np.all(self.most / 4.0 - self.least / 4.0 >= np.finfo(dtype).tiny):
            raise ValueError(
                f"`bounds` must be so far apart that there are numbers of {dtype} between them. "
                f"Received: {low} and {high}"
            )
        self.center = np.broadcast_to(self._middle(), (solution_length,))
        # A reflected population of a larger standard deviation is uniform whatever its center is.
        self.stdev_max: np.ndarray | None = None
        if method == "reflect" and np.any(self._box.both):
            self.stdev_max = np.where(self._box.both, self._box.half, np.inf)

    def _middle(self):
        """A point inside: the middle of two bounds, 1 away from a single one, else 0."""
        box = self._box
        one_sided = np.where(box.below, np.asarray(box.low) + 1.0, np.asarray(box.high) - 1.0)
        return np.where(box.both, box.center, np.where(box.free, 0.0, one_sided)).astype("float64")

    def decode(self, samples: Tensor) -> Tensor:
        """Samples [..., D] of the unbounded space as solutions, within the bounds."""
        least, most = (tf.cast(x, samples.dtype) for x in (self.least, self.most))
        solutions = self._reflected(samples, least, most) if self.method == "reflect" else self._transformed(samples)
        return tf.clip_by_value(solutions, least, most)  # against rounding

    def _reflected(self, samples, least, most):
        # Distances from the bounds alone are folded: of a wide box they keep the digits that its middle would cost.
        half = np.minimum(self.most / 2.0 - self.least / 2.0, np.finfo(self.dtype).max / 4.0)
        period = tf.cast(4.0 * half, samples.dtype)
        beyond = tf.math.floormod(tf.maximum(least - samples, samples - most), period)
        inwards = tf.minimum(beyond, period - beyond)
        outside = tf.where(samples < least, least + inwards, most - inwards)
        return tf.where((samples < least) | (samples > most), outside, samples)

    def _transformed(self, samples):
        box = self._box
        low, high, center, half = (tf.cast(x, samples.dtype) for x in (box.low, box.high, box.center, box.half))
        return piecewise(
            (box.both, lambda: _squashed(samples, low, high, center, half)),
            (box.below, lambda: _above(samples, low)),
            (box.above, lambda: -_above(-samples, -high)),
            (box.free, lambda: samples),
        )

    def resolution(self, samples: np.ndarray) -> np.ndarray:
        """How far apart the numbers of the dtype are in the terms that `decode` adds, at samples (NumPy, float64)."""
        if self.method == "reflect":
            return spacing(samples, self.dtype)
        from_center = np.where(self._box.both, samples - self._box.center, 0.0)
        in_halves = np.where(self._box.both, np.finfo(self.dtype).tiny * self._box.half, 0.0)
        return np.maximum(np.maximum(spacing(samples, self.dtype), spacing(from_center, self.dtype)), in_halves)

    def encode(self, solutions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Samples that solutions (NumPy, float64), inside the bounds, stand for, and the slopes of `decode` there."""
        if not np.all((solutions >= self.low) & (solutions <= self.high)):
            raise ValueError(f"`center_init` must lie within `bounds`. Received: center_init={solutions}")
        if self.method == "reflect":
            return solutions, np.ones_like(solutions)
        box = self._box
        if not np.all((solutions > self.low) & (solutions < self.high)):
            raise ValueError(
                f"Where bounds transform, `center_init` must lie strictly inside `bounds`. Received: {solutions}"
            )
        with np.errstate(all="ignore"):  # of the kinds that a dimension is not of
            place = (solutions - box.center) / box.half
            both = (box.center + box.half * np.arctanh(place), 1.0 - place * place)
            distance = np.where(box.below, solutions - box.low, box.high - solutions)
            inverse = distance + np.log(-np.expm1(-distance))
            single = (np.where(box.below, box.low + inverse, box.high - inverse), -np.expm1(-distance))
        free = (solutions, np.ones_like(solutions))
        samples, slopes = (
            np.where(box.both, x, np.where(box.free, z, y)) for x, y, z in zip(both, single, free, strict=True)
        )
        return samples, slopes


def _squashed(x, low, high, center, half):
    """`center + half * tanh((x - center) / half)`, written from what is nearest: the center or one of the bounds."""
    u = (x - center) / half
    near_bound = 2.0 * half * tf.sigmoid(-2.0 * tf.abs(u))
    from_bound = tf.where(u < 0.0, low + near_bound, high - near_bound)
    return tf.where(tf.abs(u) < 0.5, center + half * tf.tanh(u), from_bound)


def _above(x, low):
    """`low + softplus(x - low)`, which far above `low` is x with all its digits."""
    distance = x - low
    return tf.maximum(x, low) + tf.math.log1p(tf.exp(-tf.abs(distance)))


def spacing(x: np.ndarray, dtype: str) -> np.ndarray:
    """How far apart the numbers of a dtype are at `x`, both float64 arrays."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.spacing(np.abs(x).astype(dtype)).astype("float64")


def _inner(low, high, dtype):
    """The least and the largest finite number of a dtype within bounds, arrays of float64."""
    low, high = np.asarray(low), np.asarray(high)
    largest = np.finfo(dtype).max
    with np.errstate(over="ignore"):
        least, most = low.astype(dtype), high.astype(dtype)
        least = np.where(least < low, np.nextafter(least, least.dtype.type(np.inf)), least)
        most = np.where(most > high, np.nextafter(most, most.dtype.type(-np.inf)), most)
    return np.clip(least, -largest, largest).astype("float64"), np.clip(most, -largest, largest).astype("float64")
