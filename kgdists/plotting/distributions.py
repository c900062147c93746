"""One distribution as a figure: densities, probabilities, or quantiles over inputs."""

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
from keras import ops

from kgdists.core import backend, shapes
from kgdists.core.checks import count, fraction
from kgdists.core.extras import brought_by
from kgdists.core.types import Integer, TensorLike
from kgdists.distributions import CompositeDist
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.pictures import COLORS, Bars, Curves, first_rows, picture
from kgdists.divergences.sampling import NUM_SAMPLES, exact_draws
from kgdists.runs.legends import add_legend

with brought_by("agents"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["distribution"]

# Colors, then lines and hatches, tell rows apart.
STYLES = [(color, line, hatch) for line, hatch in (("-", None), ("--", "//")) for color in COLORS]
LEVELS = np.linspace(0.05, 1.0, 11)
TICKS = 12


def distribution(
    dist: Distribution,
    *,
    x: TensorLike | None = None,
    axes: Axes | None = None,
    mass: float | Sequence[float] = (0.5, 0.9),
    dimension: Integer | None = None,
    resolution: Integer = 200,
    cmap: str = "viridis",
) -> Figure:
    """Plot a distribution: what is drawn depends on its events, and on `x`.

    Without `x` it is a curve of the density for each row of the batch, where events are scalars; a dot over a line is
    the probability of a single value, such as a bound. Choices and whole numbers are bars of their probabilities,
    events of two dimensions contours of the density, around 95 % of the probability and less. With `x`, the inputs of
    a regression, it is the median of each row, and bands of central intervals.

    Parameters
    ----------
    dist : Distribution
        With values; of up to 8 rows without `x`, of one row where events have two dimensions.
    x : None or float array, shape [N] or [N, 1]
        The input of each of N rows, in any order.
    axes : None or matplotlib.axes.Axes
        Where to draw; None makes a figure, whose legend is below the axes.
    mass : float or sequence of float, > 0 and < 1
        Probabilities of the bands. Where a distribution has no `quantile`, they are of 1000 draws, as the legend says.
    dimension : None or int, >= 0
        With `x`, the one dimension to draw of events that are vectors.
    resolution : int
        Points along each dimension of a density.
    cmap : str
        Of contours, as matplotlib names it.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    TypeError
        If `dist` is no distribution.
    ValueError
        If it has no values, too many rows, or events that can not be drawn; if `x` does not fit its rows, or another
        argument its meaning.

    Examples
    --------
    >>> import numpy as np, kgdists as kg
    >>> x = np.linspace(-3.0, 3.0, 50)[:, None]
    >>> pi = kg.NormalDist(np.sin(x), np.log(0.1 + x**2))
    >>> kg.plotting.distribution(pi[:3])
    <Figure size ...>
    >>> figure = kg.plotting.distribution(pi, x=x, mass=[0.5, 0.9])
    >>> figure.axes[0].set_ylabel("y")
    Text(...)
    """
    if not isinstance(dist, Distribution):
        raise TypeError(f"`dist` must be a distribution. Received: {type(dist).__name__}")
    if isinstance(dist, CompositeDist):
        names = [*(dist.dists if isinstance(dist.dists, dict) else range(len(dist.dists)))]
        raise ValueError(
            f"A {type(dist).__name__} is drawn branch by branch: give `dist[{names[0]!r}]`. Received: branches {names}"
        )
    if first_rows(dist, 1) is None:
        raise ValueError(f"`dist` must have values, not symbolic parameters. Received: {dist!r}")
    if x is None and dimension is not None:
        raise ValueError(f"`dimension` must be given with `x` only. Received: dimension={dimension!r}")
    resolution = count("resolution", resolution, least=2)
    masses = sorted(fraction("mass", part) for part in np.atleast_1d(np.asarray(mass, object)))
    is_own = axes is None
    axes = Figure(figsize=(7.0, 4.0), layout="constrained").add_subplot() if axes is None else axes
    title = None
    if x is None:
        _draw_densities(axes, dist, resolution, cmap)
    else:
        title = _draw_bands(axes, dist, x, masses, dimension)
    figure = cast(Figure, axes.figure)
    handles, _ = axes.get_legend_handles_labels()
    if handles and is_own:
        add_legend(figure, handles, title)
    elif handles:
        axes.legend(frameon=False, title=title)
    return figure


def _draw_densities(axes, dist, resolution, cmap):
    is_choice, rows = hasattr(dist, "probs"), math.prod(dist.batch_shape)
    if not is_choice and dist.event_shape not in ((), (1,), (2,)):
        raise ValueError(
            "Events must be choices, scalars or of two dimensions: make a distribution of one or two of their "
            f"dimensions, or give `x` and a `dimension`. Received: event shape {dist.event_shape}"
        )
    most = 1 if dist.event_shape == (2,) and not is_choice else len(STYLES)
    if not 1 <= rows <= most:
        index = ", ".join([*["0"] * (len(dist.batch_shape) - 1), f":{most}"])
        raise ValueError(
            f"A figure has the densities of 1 to {most} rows: give `dist[{index}]`, or the inputs of all rows as `x`. "
            f"Received: batch shape {dist.batch_shape}"
        )
    drawn = picture(dist, rows, resolution)
    if drawn is None:
        raise ValueError(f"Densities must be finite. Received: a {type(dist).__name__} whose densities are NaN or inf")
    names = [str(list(index)) if rows > 1 else "" for index in np.ndindex(*dist.batch_shape)]
    if isinstance(drawn, Bars):
        _draw_bars(axes, drawn, names)
    elif isinstance(drawn, Curves):
        _draw_curves(axes, drawn, names)
    else:
        (surface,) = drawn
        # Beyond the outermost the ground stays free, and so that of the style.
        axes.contourf(surface.x, surface.y, surface.tail(), LEVELS, cmap=cmap)


def _draw_bars(axes, drawn, names):
    places, width = np.arange(len(drawn.labels)), 0.8 / len(names)
    for i, (probs, name) in enumerate(zip(drawn.probs, names, strict=True)):
        color, _, hatch = STYLES[i]
        at = places + (i - 0.5 * (len(names) - 1)) * width
        axes.bar(at, probs, width, color=color, hatch=hatch, label=name)
    shown = places[:: math.ceil(len(places) / TICKS)]
    axes.set_xticks(shown, [drawn.labels[i] for i in shown])
    axes.set_ylabel("probability")


def _draw_curves(axes, drawn, names):
    for (color, line, _), density, masses, name in zip(STYLES, drawn.density, drawn.masses, names, strict=False):
        axes.plot(drawn.x, density, color=color, linestyle=line, label=name)
        if masses.size:
            axes.vlines(drawn.atoms, 0.0, masses, color=color, linestyle=line)
            axes.plot(drawn.atoms, masses, "o", color=color)
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel("density; dots: probability" if drawn.atoms.size else "density")


def _draw_bands(axes, dist, x, masses, dimension):
    """Draw the bands; what a legend says above them."""
    event = dist.event_shape
    if hasattr(dist, "probs") or not isinstance(event, tuple) or len(event) > 1:
        raise ValueError(
            f"Bands are of numbers: draw the probabilities of a few rows of a {type(dist).__name__}, without `x`. "
            f"Received: event shape {event}"
        )
    n = math.prod(event)
    if dimension is None and n != 1:
        raise ValueError(f"`dimension` must say which of the {n} of an event to draw. Received: dimension=None")
    dimension = 0 if dimension is None else count("dimension", dimension, least=0, most=n - 1)
    inputs = backend.concrete(shapes.as_float(x, "x"))
    if inputs is None or len(dist.batch_shape) != 1 or inputs.shape not in (dist.batch_shape, (*dist.batch_shape, 1)):
        raise ValueError(
            "`x` must have the input of each row of a batch, shape [N] or [N, 1]. "
            f"Received: x of shape {tuple(np.shape(x))}, batch shape {dist.batch_shape}"
        )
    shapes.check_finite(x=inputs)
    order = np.argsort(inputs.reshape(-1), kind="stable")
    inputs = inputs.reshape(-1)[order]
    levels = [0.5, *(0.5 + sign * 0.5 * part for part in masses for sign in (-1.0, 1.0))]
    quantiles, is_estimate = _quantiles(dist, np.asarray(levels))
    middle, *ends = quantiles.reshape(len(levels), len(inputs), n)[:, order, dimension]
    if not np.isfinite(middle).any():
        raise ValueError(f"Quantiles must be finite. Received: a {type(dist).__name__} whose quantiles are NaN or inf")
    axes.plot(inputs, middle, color=COLORS[0], label="median")
    bands = reversed([*zip(masses, ends[::2], ends[1::2], strict=True)])
    for alpha, (part, low, high) in zip(np.linspace(0.3, 0.5, len(masses)), bands, strict=True):
        axes.fill_between(inputs, low, high, color=COLORS[0], alpha=alpha, linewidth=0.0, label=f"{100.0 * part:g} %")
    axes.set(xlabel="x", ylabel="y")
    return f"of {NUM_SAMPLES} draws" if is_estimate else None


def _quantiles(dist, levels):
    """Quantiles of each dimension at each level, shape [levels, N, *event], and whether they are of draws."""
    rows = first_rows(dist, dist.batch_shape[0])
    try:
        found = rows.quantile(levels.reshape(-1, *[1] * (1 + len(rows.event_shape))))
    except NotImplementedError:
        return np.quantile(ops.convert_to_numpy(exact_draws(rows, NUM_SAMPLES, seed=0)), levels, axis=0), True
    return ops.convert_to_numpy(found), False
