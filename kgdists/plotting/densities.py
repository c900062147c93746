"""Distributions in the plane: density, draws and components, and the figure that compares two divergences."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

import numpy as np
from keras import ops

from kgdists.core.extras import brought_by
from kgdists.core.types import Seed, TensorLike
from kgdists.distributions import GaussianMixtureDist, MultivariateNormalDist
from kgdists.distributions.distribution import Distribution
from kgdists.divergences.sampling import exact_draws, log_density

with brought_by("agents"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["components", "density", "divergence_grid", "samples"]

Limits: TypeAlias = tuple[tuple[float, float], tuple[float, float]]
LIMITS: Limits = ((-10.0, 10.0), (-10.0, 10.0))


def density(
    distribution: Any,
    *,
    axes: Axes | None = None,
    limits: Limits = LIMITS,
    resolution: int = 200,
    cmap: str = "viridis",
    vmax: float | None = None,
) -> Figure:
    """Plot the density of a distribution in the plane as colours.

    Parameters
    ----------
    distribution : Distribution or target, over vectors of 2 dimensions, without a batch
    axes : None or matplotlib.axes.Axes
        Where to draw; None makes a figure.
    limits : ((float, float), (float, float))
        Ranges of the first and the second dimension.
    resolution : int
        Points along each dimension, at the middles of equal cells.
    cmap : str
        A colour map of matplotlib; density 0 has its first colour.
    vmax : None or float
        The density from which on all have the last colour; None takes the highest.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If the distribution is not one over the plane.

    Examples
    --------
    >>> import kgdists as kg
    >>> pi = kg.GaussianMixtureDist(logits=[0.0, 1.0], mu=[[-3.0, 0.0], [3.0, 0.0]], logvar=[[0.0, 0.0], [1.0, 0.0]])
    >>> figure = kg.plotting.density(pi)
    >>> kg.plotting.components(pi, axes=figure.axes[0])
    <Figure size ...>
    """
    values = _density_on_grid(distribution, limits, resolution)
    axes = _new_axes() if axes is None else axes
    (left, right), (bottom, top) = limits
    extent = (left, right, bottom, top)
    axes.imshow(values, cmap, origin="lower", extent=extent, vmin=0.0, vmax=vmax, interpolation="bilinear")
    return cast(Figure, axes.figure)


def samples(
    distribution: Any,
    x: int | TensorLike = 500,
    *,
    seed: Seed = 0,
    axes: Axes | None = None,
    limits: Limits = LIMITS,
    resolution: int = 200,
    cmap: str = "viridis",
) -> Figure:
    """Plot points over the density of a distribution in the plane.

    Parameters
    ----------
    distribution : Distribution or target, over vectors of 2 dimensions, without a batch
    x : int or float array, shape [N, 2]
        How many points to draw from the distribution, or the points themselves.
    seed : None, int or keras.random.SeedGenerator
        Of the draw.
    axes, limits, resolution, cmap
        As for `density`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If the distribution is not one over the plane, or the points are not in it.
    """
    figure = density(distribution, axes=axes, limits=limits, resolution=resolution, cmap=cmap)
    axes = figure.axes[0] if axes is None else axes
    points = ops.convert_to_numpy(exact_draws(distribution, x, seed) if isinstance(x, int) else x)
    if points.ndim != 2 or points.shape[-1] != 2:
        raise ValueError(f"`x` must be a number of points or points of shape [N, 2]. Received: shape {points.shape}")
    axes.plot(*points.T, ".", color="white", alpha=0.6, markersize=3.0, markeredgewidth=0.0)
    _frame(axes, limits)
    return figure


def components(
    mixture: Any,
    *,
    axes: Axes | None = None,
    limits: Limits = LIMITS,
    deviations: Sequence[float] = (1.0, 2.0),
    color: str = "C1",
    linestyle: str = "-",
) -> Figure:
    """Plot the components of a Gaussian mixture in the plane as ellipses, fainter where they weigh less.

    Parameters
    ----------
    mixture : GaussianMixtureDist or target with one, over vectors of 2 dimensions, without a batch
    axes : None or matplotlib.axes.Axes
        Where to draw; None makes a figure.
    limits : ((float, float), (float, float))
        Ranges of the first and the second dimension.
    deviations : tuple of float
        How many standard deviations from the mean the ellipses of each component are.
    color, linestyle : str
        As matplotlib names them.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If the mixture is not one over the plane.
    """
    mixture = mixture if isinstance(mixture, Distribution) else mixture.distribution
    if not isinstance(mixture, GaussianMixtureDist):
        raise ValueError(f"`mixture` must be a Gaussian mixture. Received: {type(mixture).__name__}")
    _check_planar(mixture)
    axes = _new_axes() if axes is None else axes
    angles = np.linspace(0.0, 2.0 * np.pi, 100)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    weights, means = np.exp(ops.convert_to_numpy(mixture.log_weights)), ops.convert_to_numpy(mixture.params["mu"])
    for weight, mean, factor in zip(weights, means, _factors(mixture), strict=True):
        if weight > 0.0:
            alpha = 1.0 - 0.7 * (1.0 - weight / weights.max())
            axes.plot(*mean, "+", color=color, alpha=alpha)
            for radius in deviations:
                axes.plot(*(mean + radius * circle @ factor.T).T, color=color, linestyle=linestyle, alpha=alpha)
    _frame(axes, limits)
    return cast(Figure, axes.figure)


def divergence_grid(
    target: Any,
    fits: Mapping[str, Sequence[GaussianMixtureDist]],
    *,
    captions: Mapping[str, Sequence[str]] | None = None,
    limits: Limits = LIMITS,
    resolution: int = 200,
    cmap: str = "viridis",
) -> Figure:
    """Plot the density of a target beside those of its fits: one row for each divergence, a column for each fit.

    All panels share one scale of colours, that of the target. Solid ellipses are the components of a fit, two standard
    deviations from their means, dotted ones those of the target.

    Parameters
    ----------
    target : Distribution or target, over vectors of 2 dimensions, without a batch
    fits : dict of str to list of GaussianMixtureDist
        The name of each row and its fits, equally many in each.
    captions : None or dict of str to list of str
        A text below each fit.
    limits, resolution, cmap
        As for `density`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If rows differ in length, or a distribution is not one over the plane.
    """
    lengths = {len(row) for row in fits.values()}
    if len(lengths) != 1:
        raise ValueError(
            f"`fits` must have rows of one length. Received: { {name: len(row) for name, row in fits.items()} }"
        )
    columns = 1 + lengths.pop()
    figure = Figure(figsize=(2.5 * columns, 2.75 * len(fits) + 0.3), layout="constrained")
    panels = figure.subplots(len(fits), columns, sharex=True, sharey=True, squeeze=False)
    options: dict[str, Any] = {"limits": limits, "resolution": resolution, "cmap": cmap}
    vmax = _density_on_grid(target, limits, resolution).max()
    for row, (name, mixtures) in zip(panels, fits.items(), strict=True):
        density(target, axes=row[0], vmax=vmax, **options)
        row[0].set(title="target", ylabel=name)
        for i, (axes, mixture) in enumerate(zip(row[1:], mixtures, strict=True)):
            density(mixture, axes=axes, vmax=vmax, **options)
            if isinstance(getattr(target, "distribution", target), GaussianMixtureDist):
                components(target, axes=axes, limits=limits, deviations=(2.0,), color="white", linestyle=":")
            components(mixture, axes=axes, limits=limits, deviations=(2.0,))
            number = mixture.num_components
            axes.set(title=f"{number} component{'s' if number > 1 else ''}")
            if captions is not None:
                axes.set_xlabel(captions[name][i])
    return figure


def _new_axes():
    return Figure(figsize=(4.5, 4.5), layout="constrained").add_subplot()


def _frame(axes, limits):
    axes.set(xlim=limits[0], ylim=limits[1], aspect="equal")


def _check_planar(distribution):
    if isinstance(distribution, Distribution):
        shape = tuple(distribution.batch_shape) + tuple(distribution.event_shape)
    else:
        shape = (distribution.dim,)
    if shape != (2,):
        raise ValueError(
            f"The distribution must be one over vectors of 2 dimensions, without a batch. Received: shape {shape}"
        )


def _density_on_grid(distribution, limits, resolution):
    """Densities at the middles of cells, shape [resolution, resolution]: rows are values of the second dimension."""
    _check_planar(distribution)
    middles = (np.arange(resolution) + 0.5) / resolution
    first, second = (low + (high - low) * middles for low, high in limits)
    points = np.stack(np.meshgrid(first, second), axis=-1).astype("float32")
    return np.exp(ops.convert_to_numpy(log_density(distribution, points, points[..., 0])))


def _factors(mixture):
    """Factors L of the covariances L L^T, shape [K, 2, 2]."""
    normals = mixture.components
    if isinstance(normals, MultivariateNormalDist):
        return ops.convert_to_numpy(normals.scale_tril)
    return np.exp(0.5 * ops.convert_to_numpy(normals.logvar))[..., None] * np.eye(2)
