"""The floor under the widths of a mixture's components, and the warning that one ended on it."""

import warnings

import numpy as np

__all__ = ["COARSE", "FitWarning", "floor_of", "warn_of_collapse"]

FLOOR = 5e-4  # of the narrowest crowd of samples
COARSE = 1e-3  # in the units of a fit, where the floor does not come from samples


class FitWarning(UserWarning):
    """A fit found something other than the widths of the data."""


def floor_of(x: np.ndarray, weights: np.ndarray, num_components: int) -> np.ndarray:
    """The least standard deviation in each dimension, from samples x [N, n] with weights [N]: shape [n].

    It is `FLOOR` times the width of the narrowest interval that holds a quarter of a component's share of the samples
    and at least two distinct values, and at least what numbers of that size can tell apart.
    """
    return np.array([_floor_of(column, weights, 0.25 / num_components) for column in x.T])


def _floor_of(column, weights, share):
    values, places = np.unique(column.astype("float64"), return_inverse=True)
    largest = np.abs(column).max()
    if len(values) == 1:
        # What does not vary has no width of its own.
        return max(FLOOR * (min(1.0, float(largest)) or 1.0), float(np.spacing(largest)))
    mass = np.cumsum(np.bincount(places.ravel(), weights))
    before = np.concatenate([[0.0], mass[:-1]])
    last = np.searchsorted(mass, (before + share * mass[-1]) * (1 - 1e-9))
    last = np.maximum(last, np.arange(len(values)) + 1)
    first = np.arange(len(values))[last < len(values)]
    start, end = values[first], values[last[first]]
    rounding = np.spacing(np.maximum(np.abs(start), np.abs(end)).astype(column.dtype))
    # Fits compute in float64, around the middle of all samples.
    return max(float(np.maximum(FLOOR * (end - start), rounding).min()), float(np.spacing(np.float64(largest))))


def warn_of_collapse(spread: np.ndarray, floor: np.ndarray, full: bool) -> None:
    """Warn if a component has a standard deviation that is the floor's: spread [K, n(, n)], both in the same units."""
    if full:
        least = np.linalg.svd(spread / floor[:, None], compute_uv=False)[..., -1]
    else:
        least = (spread / floor).min(axis=-1)
    # Of a variance on the floor at least half is the floor's own square.
    collapsed = np.flatnonzero(least < 2**0.5)
    if len(collapsed):
        warnings.warn(
            f"Components {collapsed.tolist()} ended on the floor of widths (`min_stddev`): their samples repeat, "
            "do not vary in some direction, or lie closer than numbers of their size can tell apart. Use fewer "
            "components, leave out what does not vary, or fit distances from a point near them",
            FitWarning,
            stacklevel=3,
        )
