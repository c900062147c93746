"""Figures of a report: SVG within a page, which gives them its font and its colors."""

import dataclasses
import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from kgdists.core.extras import brought_by
from kgdists.runs.curves import Curve, End, draw_evaluations, draw_seeds, draw_steps

with brought_by("agents"):
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter, MaxNLocator

__all__ = ["COLORS", "NARROW", "WIDE", "Lines", "draw_panel", "thinned"]

NARROW, WIDE = (360, 210), (1080, 330)  # pixels: as wide as a phone, and as a page
LEFT, RIGHT, BOTTOM, TOP = 54, 12, 26, 8  # pixels around the axes, the same in every panel
LABEL = 20  # pixels more below it where the first axis is named
COLORS = 8
MAX_POINTS = 1000  # of a curve
# What is drawn in a color of the left has that of the right in the page, be it light or dark.
INK, GRID, HEALTHY = "#010203", "#010204", "#010205"
SERIES = [f"#0103{i:02x}" for i in range(COLORS)]
IN_PAGE = {INK: "currentColor", GRID: "var(--grid)", HEALTHY: "var(--healthy)"} | {
    color: f"var(--series-{i})" for i, color in enumerate(SERIES)
}
STYLE: dict[Any, Any] = {
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 12.0,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "svg.fonttype": "none",
    "svg.hashsalt": "kgdists",  # the same runs make the same page, byte for byte
    "text.color": INK,
    "xtick.color": GRID,
    "xtick.labelcolor": INK,
    "ytick.color": GRID,
    "ytick.labelcolor": INK,
}


@dataclasses.dataclass(frozen=True)
class Lines:
    """What one experiment has in a panel.

    Attributes
    ----------
    curves : sequence of (steps, values)
        Of each seed.
    on_the_way : sequence of (steps, values)
        Evaluations in the course of the training, of each seed that has some.
    ends : sequence of (steps, mean, standard deviation)
        The evaluation at the end of each seed that has one.
    """

    curves: Sequence[Curve]
    on_the_way: Sequence[Curve] = ()
    ends: Sequence[End] = ()


def draw_panel(
    experiments: Sequence[Lines],
    prefix: str,
    *,
    size: tuple[int, int] = NARROW,
    healthy: tuple[float, float] | None = None,
    last: float | None = None,
    has_label: bool = False,
) -> str:
    """Draw one quantity of all experiments over the environment steps.

    Parameters
    ----------
    experiments : sequence of Lines
        Those that lack the quantity have no curves. Their colors are the page's `--series-0`, `--series-1` and so on.
    prefix : str
        Of the names within the SVG, which must be other ones than those of other panels in the page.
    size : (int, int)
        Width and height in pixels. At this width letters have the size of small print.
    healthy : None or (float, float)
        A range to be shaded.
    last : None or float
        Where the steps end, the same in all panels of an environment.
    has_label : bool
        Whether to name the first axis.

    Returns
    -------
    str
        An `svg` element.
    """
    width, height = size
    bottom = BOTTOM + LABEL * has_label
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width / 72.0, height / 72.0))
        axes = figure.add_axes(
            (LEFT / width, bottom / height, (width - LEFT - RIGHT) / width, (height - bottom - TOP) / height)
        )
        for i, experiment in enumerate(experiments):
            color = SERIES[i % COLORS]
            if experiment.curves:
                draw_seeds(axes, [thinned(*curve) for curve in experiment.curves], color)
            draw_evaluations(axes, experiment.on_the_way, experiment.ends, color)
        if healthy is not None:
            _shade(axes, *healthy)
        draw_steps(axes, 4 if width <= NARROW[0] else 8)
        if last is not None:
            axes.set_xlim(0.0, 1.03 * last)
        if has_label:
            axes.set_xlabel("environment steps", labelpad=6.0)
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(_tick)
        axes.tick_params(length=0.0, pad=5.0)
        axes.grid()
        axes.set_axisbelow(True)
        image = io.StringIO()
        figure.savefig(
            image, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    return _in_page(image.getvalue(), prefix, size)


def thinned(steps: np.ndarray, values: np.ndarray) -> Curve:
    """A curve of at most a thousand points that looks the same: the lowest and the highest of each part of a long one.

    Examples
    --------
    >>> import numpy as np
    >>> from kgdists.runs.panels import thinned
    >>> steps, values = thinned(np.arange(10_000), np.sin(np.arange(10_000)))
    >>> len(steps) <= 1000, float(values.max()) == np.sin(np.arange(10_000)).max()
    (True, True)
    """
    is_number = np.isfinite(values)
    if is_number.sum() <= MAX_POINTS:
        return steps, values
    places = np.array_split(np.flatnonzero(is_number), MAX_POINTS // 2)
    kept = np.unique([part[pick(values[part])] for part in places for pick in (np.argmin, np.argmax)])
    return steps[kept], values[kept]


def _shade(axes: Axes, low: float, high: float) -> None:
    """Shade the healthy range, of which some is always in view."""
    bottom, top = axes.get_ylim()
    margin = 0.05 * (top - bottom)
    bottom, top = min(bottom, high - margin), max(top, low + margin)
    axes.axhspan(max(low, bottom), min(high, top), color=HEALTHY, linewidth=0.0, zorder=0.0)
    axes.set_ylim(bottom, top)


def _tick(value, _):
    """A number of at most some seven characters."""
    return EngFormatter(sep="")(value) if abs(value) >= 1e4 else f"{value:.4g}".replace("-", "−")


def _in_page(text, prefix, size):
    """An SVG file as an element of a page, with the page's colors and names of its own."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r"<svg[^>]*>", f'<svg viewBox="0 0 {size[0]} {size[1]}" aria-hidden="true">', text, count=1)
    text = re.sub(r'\b(id="|xlink:href="#|url\(#)', lambda found: f"{found[0]}{prefix}-", text)
    text = text.replace("xlink:href", "href")
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    return re.sub("#0[0-9a-f]{5}", lambda found: IN_PAGE.get(found[0], found[0]), text)
