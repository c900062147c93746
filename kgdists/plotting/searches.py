"""Paths of searches over the landscape of their objective."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np
from keras import ops

from kgdists.core.extras import brought_by
from kgdists.core.types import TensorLike

with brought_by("agents"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["search_path"]


class Tracked(Protocol):
    """What has run and kept its path, such as a `Searcher`."""

    @property
    def history(self) -> Mapping[str, TensorLike]: ...


def search_path(
    objective: Callable[[Any], Any],
    search: Tracked | Mapping[str, TensorLike],
    *,
    axes: Axes | None = None,
    limits: tuple[tuple[float, float], tuple[float, float]] = ((-5.0, 5.0), (-5.0, 5.0)),
    resolution: int = 200,
    cmap: str = "viridis",
    color: str | Sequence[str] = "white",
    every: int | None = None,
) -> Figure:
    """Plot the center of a search of two dimensions over the landscape, and ellipses of one standard deviation.

    Parameters
    ----------
    objective : callable
        Solutions [N, 2] -> fitnesses [N], tensors or arrays.
    search : Searcher or dict
        One that tracks its path (`track=True`) and has run, or its history; each of a batch of searches has a path.
    axes : None or matplotlib.axes.Axes
        Where to draw; None makes a figure.
    limits : ((float, float), (float, float))
        Ranges of the first and the second dimension.
    resolution : int
        Cells of the landscape in each dimension.
    cmap : str
        Of the landscape.
    color : str or list of str
        Of the paths, one for each search of a batch.
    every : None or int
        Draw an ellipse every this many generations; None draws about ten.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If the history has no path of two dimensions.

    Examples
    --------
    >>> import kgdists as kg
    >>> def sphere(x):
    ...     return (x**2).sum(-1)
    >>> path = {"center": [[3.0, 4.0], [1.0, 1.0], [0.0, 0.2]], "sigma": [[1.0, 1.0], [1.0, 0.5], [0.2, 0.1]]}
    >>> kg.plotting.search_path(sphere, path)
    <Figure size ...>
    """
    centers, factors = _path(getattr(search, "history", search))
    if axes is None:
        axes = Figure(figsize=(4.5, 4.5), layout="constrained").add_subplot()
    (left, right), (bottom, top) = limits
    values = _on_grid(objective, limits, resolution)
    axes.imshow(values, cmap, origin="lower", extent=(left, right, bottom, top), interpolation="bilinear")
    angles = np.linspace(0.0, 2.0 * np.pi, 60)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    every = max(1, len(centers) // 10) if every is None else every
    colors = [color] * centers.shape[1] if isinstance(color, str) else color
    for i, color in enumerate(colors):
        path = centers[:, i]
        for center, factor in zip(path[::every], factors[::every, i], strict=True):
            axes.plot(*(center + circle @ factor.T).T, color=color, alpha=0.5, linewidth=0.8)
        axes.plot(*path.T, color=color, linewidth=1.2)
        axes.plot(*path[0], "o", color=color, markersize=5.0)
        axes.plot(*path[-1], "X", color="C3", markersize=9.0, markeredgecolor=color)
    axes.set(xlim=limits[0], ylim=limits[1], aspect="equal")
    return cast(Figure, axes.figure)


def _path(history):
    """Centers [T, searches, 2], and factors A [T, searches, 2, 2] of the covariances A A^T."""
    if not isinstance(history, dict) or not {"center", "sigma"} <= history.keys():
        raise ValueError(
            "A path is in the history of a searcher with `track=True`. "
            f"Received: {sorted(history) if isinstance(history, dict) else type(history).__name__}"
        )
    centers, sigmas = np.asarray(history["center"]), np.asarray(history["sigma"])
    if centers.ndim < 2 or centers.shape[-1] != 2 or not centers.size:
        raise ValueError(f"A path must be one of two dimensions. Received: centers of shape {centers.shape}")
    if sigmas.shape == centers.shape:
        sigmas = sigmas[..., None] * np.eye(2)
    return centers.reshape(len(centers), -1, 2), sigmas.reshape(len(centers), -1, 2, 2)


def _on_grid(objective, limits, resolution):
    """Fitnesses at the middles of cells, shape [resolution, resolution]: rows are values of the second dimension."""
    middles = (np.arange(resolution) + 0.5) / resolution
    first, second = (low + (high - low) * middles for low, high in limits)
    points = np.stack(np.meshgrid(first, second), axis=-1).astype("float32")
    return np.asarray(ops.convert_to_numpy(objective(points.reshape(-1, 2)))).reshape(resolution, resolution)
