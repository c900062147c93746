"""How well distributions fit what was observed, as a histogram of places that should be flat."""

import math
from typing import Any, cast

import numpy as np

from kgdists.core.checks import count
from kgdists.core.extras import brought_by
from kgdists.core.types import Integer
from kgdists.distributions.distribution import Distribution
from kgdists.distributions.pictures import COLORS
from kgdists.divergences import probability_integral_transform
from kgdists.runs.legends import add_legend

with brought_by("agents"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["calibration"]

DEVIATIONS = 1.96  # of the counts of a bin: 95 %


def calibration(
    dist: Distribution,
    y: Any,
    *,
    axes: Axes | None = None,
    bins: Integer | None = None,
    dimension: Integer | None = None,
    seed: Integer = 0,
) -> Figure:
    """Plot the histogram of the probability integral transform: flat if the distributions are right.

    A valley in the middle says that they are too narrow, a hill that they are too wide, a slope that they are too low
    or too high. The gray band holds 95 % of the bars of distributions that are right. Values that have some
    probability, such as counts, are placed at random within it, and a distribution without a `cdf` ranks observations
    among its draws, so that this is a rank histogram.

    Parameters
    ----------
    dist : Distribution
        The prediction for each observation, of batch shape [N...].
    y : array, shape [N..., n]
        What was observed.
    axes : None or matplotlib.axes.Axes
        Where to draw; None makes a figure.
    bins : None or int, >= 2
        None takes the square root of the number of observations, 5 to 20.
    dimension : None or int, >= 0
        The one dimension to draw of events that are vectors; None takes all in one histogram.
    seed : int
        The random places are a function of it.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If `y` does not fit `dist`, or there are no observations, or another argument does not fit its meaning.
    TypeError
        If `dist` is no distribution of numbers.

    Examples
    --------
    >>> import numpy as np, kgdists as kg
    >>> y = np.random.default_rng(0).normal(size=(500, 1))
    >>> kg.plotting.calibration(kg.NormalDist(np.zeros((500, 1)), np.zeros((500, 1))), y)
    <Figure size ...>
    """
    places = probability_integral_transform(dist, y, seed=seed)
    if dimension is not None:
        dimension = count("dimension", dimension, least=0, most=places.shape[-1] - 1)
        places = places[..., dimension]
    places = places.ravel()
    if not places.size:
        raise ValueError("`y` must have at least one observation. Received: none")
    bins = min(max(math.isqrt(places.size), 5), 20) if bins is None else count("bins", bins, least=2)
    is_own = axes is None
    axes = Figure(figsize=(7.0, 4.0), layout="constrained").add_subplot() if axes is None else axes
    counts, edges = np.histogram(places, bins, (0.0, 1.0))
    spread = DEVIATIONS * math.sqrt((bins - 1.0) / places.size)  # of a density of 1
    band = axes.axhspan(max(1.0 - spread, 0.0), 1.0 + spread, color="0.85", zorder=0, label="95 % if right")
    axes.stairs(counts * bins / places.size, edges, fill=True, color=COLORS[0], alpha=0.7)
    axes.axhline(1.0, color="0.4", linewidth=1.0)
    axes.set(xlim=(0.0, 1.0), xlabel="place of the observation in its distribution, F(y)", ylabel="density")
    figure = cast(Figure, axes.figure)
    if is_own:
        add_legend(figure, [band])
    else:
        axes.legend(handles=[band], frameon=False)
    return figure
