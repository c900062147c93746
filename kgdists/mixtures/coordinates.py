"""The coordinates in which a fit computes."""

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kgdists.core import backend

__all__ = ["Units", "dims_of", "units_of"]


@dataclasses.dataclass(frozen=True, eq=False)
class Units:
    """The units of a fit, float64 arrays [n]."""

    center: np.ndarray
    scale: np.ndarray

    def standard(self, x: np.ndarray) -> np.ndarray:
        """Samples x [..., n] in these units."""
        return (x - self.center) / self.scale

    @property
    def log_volume(self) -> float:
        """What a negative log-density in these units is less than one in the samples' own."""
        return np.log(self.scale).sum()


def dims_of(target: Any, x: np.ndarray | None, num_dims: int | None) -> int:
    """The number of dimensions of a target, or of samples x [N, n] of it; `num_dims` if only that tells."""
    known = x.shape[1] if x is not None else getattr(target, "dim", None)
    if known is None and hasattr(target, "event_shape"):
        (known,) = target.event_shape
    if known is None:
        if num_dims is None:
            raise ValueError("`num_dims` must be given for a function as target.")
        return num_dims
    if num_dims not in (None, known):
        raise ValueError(f"`num_dims` must be that of the target, {known}. Received: num_dims={num_dims!r}")
    return known


def units_of(
    x: np.ndarray | None,
    weights: np.ndarray | None,
    center: ArrayLike | None,
    scale: ArrayLike | None,
    num_dims: int,
) -> Units:
    """The units of a fit: those given, else mean and standard deviation of samples x [N, n], else 0 and 1."""
    if x is None:
        mean, stddev = np.zeros(num_dims), np.ones(num_dims)
    else:
        # In units of the largest number, whose square would overflow.
        unit = np.abs(x).max(axis=0).astype("float64")
        unit = np.where(unit > 0, unit, 1.0)
        mean = np.average(x / unit, axis=0, weights=weights)
        stddev = unit * np.sqrt(np.average((x / unit - mean) ** 2, axis=0, weights=weights))
        same = x.max(axis=0) == x.min(axis=0)
        mean = np.where(same, x[0], unit * mean)
        stddev = np.where(same | (stddev == 0), 1.0, stddev)  # what does not vary has no unit of its own
    center, scale = mean if center is None else center, stddev if scale is None else scale
    _check_numbers(center=center, scale=scale)
    if np.shape(center) not in ((), (num_dims,)) or np.shape(scale) not in ((), (num_dims,)):
        raise ValueError(
            f"`center` and `scale` must be numbers or have length {num_dims}. Received: center={center}, scale={scale}"
        )
    if not np.all(np.isfinite(center)) or not np.all(np.isfinite(scale)) or not np.all(np.asarray(scale) > 0):
        raise ValueError(f"`center` and `scale` must be finite, `scale` > 0. Received: {center} and {scale}")
    return Units(*(np.broadcast_to(np.asarray(units, "float64"), (num_dims,)) for units in (center, scale)))


def _check_numbers(**options):
    for name, value in options.items():
        backend.unmasked(value)
        try:
            np.asarray(value, "float64")
        except (TypeError, ValueError) as error:
            raise ValueError(f"`{name}` must be a number or an array of numbers. Received: {name}={value!r}") from error
