"""The result of a fit: the best of several mixtures."""

import dataclasses
from collections.abc import Sequence

import numpy as np

__all__ = ["Found", "best_of", "check_range"]


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """The mixture of the lowest loss.

    Attributes
    ----------
    values : tuple of array
        Its log-weights [K], means [K, n], and `logvar` [K, n] or `scale_tril` [K, n, n].
    spread, floor : array
        Its standard deviations [K, n] or Cholesky factors [K, n, n], and their floor [n], in the units of the fit.
    losses, finals : array, shape [iterations, restarts] and [restarts]
        On the way, and in the end.
    best : int
        Its restart.
    """

    values: tuple[np.ndarray, ...]
    spread: np.ndarray
    floor: np.ndarray
    losses: np.ndarray
    finals: np.ndarray
    best: int


def best_of(
    candidates: Sequence[tuple[np.ndarray, ...]],
    placed: Sequence[tuple[np.ndarray, ...]],
    finals: np.ndarray,
    losses: np.ndarray,
    floor: np.ndarray,
) -> Found:
    """The best of several mixtures of each restart.

    Parameters
    ----------
    candidates, placed : list of tuples of arrays
        The mixtures with a leading axis of restarts, in the units of the fit and in those of the samples.
    finals : array, shape [candidates, restarts]
        Their losses.
    losses, floor : array
        As `Found` has them.
    """
    finals = np.where(np.isfinite(finals), finals, np.inf)
    which, best = (int(i) for i in np.unravel_index(np.argmin(finals), finals.shape))
    values = tuple(part[best] for part in placed[which])
    return Found(values, candidates[which][2][best], floor, losses, finals.min(axis=0), best)


def check_range(mu: np.ndarray, spread: np.ndarray, covariance: str) -> None:
    """Raise on widths that the dtype of the samples cannot hold: they would become 0 or infinite."""
    info = np.finfo(spread.dtype)
    if covariance == "diag":
        sound = np.isfinite(spread) & (spread > 2 * np.log(info.tiny)) & (spread < 2 * np.log(info.max))
    else:
        diagonal = np.diagonal(spread, axis1=-2, axis2=-1)
        sound = np.isfinite(spread).all() & (diagonal >= info.tiny)
    if not (np.all(sound) and np.isfinite(mu).all()):
        raise ValueError(f"Means and widths of the components must be in the range of {spread.dtype}: scale the data.")
