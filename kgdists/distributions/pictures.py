"""What can be drawn of a distribution: bars of probabilities, curves of densities, grids of densities in the plane."""

from typing import Any, NamedTuple, TypeAlias

import keras
import numpy as np
from keras import ops

from kgdists.core import backend

__all__ = ["COLORS", "Bars", "Curves", "Picture", "Surface", "first_rows", "picture"]

# Of Okabe and Ito's palette, those with a contrast of at least 3 to white and to dark gray.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
DRAWS = 500


class Bars(NamedTuple):
    """Probabilities of choices, shape [rows, n], and what each is called: whole numbers, or `option of which`."""

    labels: tuple[str, ...]
    probs: np.ndarray


class Curves(NamedTuple):
    """Densities of rows, shape [rows, m], at x, [m]; probabilities of single values, [rows, k], at atoms, [k]."""

    x: np.ndarray
    density: np.ndarray
    atoms: np.ndarray
    masses: np.ndarray


class Surface(NamedTuple):
    """Densities of one row, shape [m, n], at all pairs of x, [n], and y, [m]."""

    x: np.ndarray
    y: np.ndarray
    density: np.ndarray

    def tail(self) -> np.ndarray:
        """The share of the probability at points that are no denser, shape [m, n]: 1 at the peak, however high it is.

        Of a normal distribution it is the density itself, in units of that at the peak.
        """
        density = np.nan_to_num(self.density)
        ascending = np.sort(density, axis=None)
        return (np.cumsum(ascending) / ascending.sum())[np.searchsorted(ascending, density, side="right") - 1]


Picture: TypeAlias = Bars | Curves | list[Surface]


def first_rows(dist: Any, count: int) -> Any:
    """The distribution of the first rows of the batch, on one axis, in double precision.

    Parameters
    ----------
    dist : Distribution
    count : int

    Returns
    -------
    Distribution of batch shape [at most count], or None where parameters have no values, as KerasTensors have none.
    """
    rank, leaves = len(dist.batch_shape), [_values(x) for x in keras.tree.flatten(dist)]
    if backend.is_tracing() or any(x is None for x in leaves):
        return None
    rows = [x.reshape((-1, *x.shape[rank:]))[:count] for x in leaves]
    exact = [x if x.dtype.kind in "iub" else x.astype("float64") for x in rows]
    return keras.tree.pack_sequence_as(dist, [ops.convert_to_tensor(x) for x in exact])


def _values(x):
    return np.asarray(x) if isinstance(x, np.generic) else backend.concrete(x)


def picture(dist: Any, count: int, resolution: int = 100) -> Picture | None:
    """What can be drawn of the first rows of the batch; NaN where a density is not finite.

    Parameters
    ----------
    dist : Distribution
    count : int
        How many rows, at most.
    resolution : int
        Points along each dimension, of each row.

    Returns
    -------
    Bars of choices and of whole numbers, Curves of scalar events, a list of Surfaces, one for each row, of events of
    two dimensions; None of other events, where there are no values, and where none is finite.
    """
    rows = first_rows(dist, count)
    if rows is None or rows.batch_shape[0] == 0:
        return None
    if hasattr(rows, "probs"):
        return _if_finite(Bars(_labels(rows), ops.convert_to_numpy(rows.probs)))
    if rows.event_shape not in ((), (1,), (2,)):
        return None
    draws = ops.convert_to_numpy(rows.sample(DRAWS, seed=0)).reshape(DRAWS, rows.batch_shape[0], -1)
    good = np.isfinite(draws).all(axis=(0, 2))
    if not good.any():
        return None
    is_whole = bool((draws[:, good] == np.round(draws[:, good])).all())
    axes = [[_axis(values, resolution, is_whole) for values in row.T] for row in np.moveaxis(draws[:, good], 1, 0)]
    if is_whole or rows.event_shape != (2,):  # on the same axes, which have the points of every row
        shared = [np.unique(np.concatenate(of_rows)) for of_rows in zip(*axes, strict=True)]
        axes = [shared] * len(axes)
    if rows.event_shape == (2,):
        points = np.zeros((len(axes[0][1]), len(axes[0][0]), len(good), 2))
        points[:, :, good] = np.stack([np.stack(np.meshgrid(x, y), -1) for x, y in axes], -2)
        density = np.moveaxis(_density(rows, points)[:, :, good], -1, 0)
        return [Surface(x, y, of_row) for (x, y), of_row in zip(axes, density, strict=True)]
    ((x,), *_) = axes
    if is_whole:
        return _if_finite(Bars(tuple(f"{value:.0f}" for value in x), _of_all(rows, x)))
    values, times = np.unique(draws[:, good], return_counts=True)
    atoms = values[times > 0.01 * DRAWS]
    masses = _of_all(rows, atoms) if atoms.size else np.zeros((len(good), 0))
    return _if_finite(Curves(x, _of_all(rows, x), atoms, masses))


def _labels(rows):
    """Numbers of the options, behind that of the choice where there are several."""
    if not hasattr(rows, "nvec"):
        return tuple(str(i) for i in range(rows.event_shape[0]))
    return tuple(f"{i}: {option}" for i, n in enumerate(rows.nvec) for option in range(n))


def _axis(draws, resolution, is_whole):
    """Middles of equal cells from the least to the greatest draw, without far outliers; or whole numbers."""
    quarter, middle, three_quarters = np.quantile(draws, [0.25, 0.5, 0.75])
    reach = 8.0 * max(three_quarters - quarter, np.spacing(abs(middle)))
    low, high = max(draws.min(), middle - reach), min(draws.max(), middle + reach)
    if is_whole:
        return np.arange(np.ceil(low), np.floor(high) + 1.0, max(1.0, np.ceil((high - low) / resolution)))
    return low + (high - low) * (np.arange(resolution) + 0.5) / resolution


def _of_all(rows, x):
    """Densities of all rows, shape [rows, m], at the same scalars, [m]."""
    return _density(rows, np.broadcast_to(x[:, None, None], (len(x), rows.batch_shape[0], 1))).T


def _density(rows, points):
    """Densities, shape [..., rows], at points [..., rows, dims]; NaN where they are not finite."""
    variates = ops.convert_to_tensor(points.reshape(-1, points.shape[-2], *rows.event_shape))
    with np.errstate(over="ignore", invalid="ignore"):
        density = np.exp(ops.convert_to_numpy(rows.log_proba(variates)))
    return np.where(np.isfinite(density), density, np.nan).reshape(points.shape[:-1])


def _if_finite(drawn):
    return drawn if np.isfinite(drawn[1]).any() else None
