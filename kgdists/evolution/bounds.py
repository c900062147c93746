"""Bounds of solutions: the search goes on in an unbounded space, from which solutions are folded or squashed."""

import numpy as np
import tensorflow as tf

from kgdists import bounds

__all__ = ["METHODS", "Bounds"]

METHODS = ("reflect", "transform")


class Bounds:
    """The map from the unbounded space of the samples to the box of the solutions.

    Both maps have slope 1 in the middle of a box. Search distributions, gradients and standard
    deviations are those of the unbounded space.

    Parameters
    ----------
    low, high : float or sequence of D floats, `low < high`
        Infinite where there is no bound.
    method : {"reflect", "transform"}
        Reflection: a sample that leaves the box comes back as from a mirror, and again at the other side. The map is
        piecewise of slope 1 and -1: solutions reach the bounds, and no direction is rescaled.
        Transformation: `center + half * tanh((y - center) / half)` between two bounds, and a softplus from a single
        one. The map is smooth and one to one: solutions approach the bounds and never reach them.
    solution_length : int
    dtype : {"float32", "float64"}
    """

    def __init__(self, low, high, method, solution_length, dtype):
        if method not in METHODS:
            raise ValueError(f"`bounds_method` must be one of {METHODS}. Received: bounds_method={method!r}")
        self.low, self.high = bounds.canonical(low, high, solution_length)
        if not np.all(np.less(self.low, self.high)):
            raise ValueError(f"`bounds` must be low < high in each dimension. Received: {low} and {high}")
        self.method = method
        self.dtype = dtype
        self._box = bounds.box(self.low, self.high, dtype)
        self.center = np.broadcast_to(self._middle(), (solution_length,))
        # A reflected population of a larger standard deviation is uniform whatever its center is.
        self.stdev_max = None
        if method == "reflect" and np.any(self._box.both):
            self.stdev_max = np.where(self._box.both, self._box.half, np.inf)

    def _middle(self):
        """A point inside: the middle of two bounds, 1 away from a single one, else 0."""
        box = self._box
        one_sided = np.where(box.below, np.asarray(box.low) + 1.0, np.asarray(box.high) - 1.0)
        return np.where(box.both, box.center, np.where(box.free, 0.0, one_sided)).astype("float64")

    def decode(self, samples):
        """Samples [..., D] of the unbounded space as solutions, within the bounds."""
        between, away = _MAPS[self.method]
        box = self._box
        low, high, center, half = (tf.cast(x, samples.dtype) for x in (box.low, box.high, box.center, box.half))
        solutions = bounds.piecewise(
            (box.both, lambda: center + between(samples - center, half)),
            (box.below, lambda: low + away(samples - low)),
            (box.above, lambda: high - away(high - samples)),
            (box.free, lambda: samples),
        )
        # Against rounding.
        return tf.clip_by_value(solutions, tf.cast(self.low, samples.dtype), tf.cast(self.high, samples.dtype))

    def encode(self, solutions):
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
        return tuple(
            np.where(box.both, x, np.where(box.free, z, y)) for x, y, z in zip(both, single, free, strict=True)
        )


def _folded(x, half):
    """A triangle wave of slope 1 through 0, between `-half` and `half`."""
    place = tf.math.floormod(x + half, 4.0 * half)
    return tf.minimum(place, 4.0 * half - place) - half


def _squashed(x, half):
    return half * tf.tanh(x / half)


# Between two bounds, and the distance from a single one.
_MAPS = {"reflect": (_folded, tf.abs), "transform": (_squashed, tf.math.softplus)}
