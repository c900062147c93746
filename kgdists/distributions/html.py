"""A distribution as a notebook shows it: parameters and fields in a table, and a small picture below."""

import contextlib
from collections import defaultdict
from html import escape
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from kgdists.core import backend
from kgdists.distributions.pictures import COLORS, Bars, Curves, picture

__all__ = ["as_html"]

MOST = 60  # characters of a value, bars of a picture, branches of a structure
POINTS, CELLS = 60, 24
SHADES = 10
WIDTH, HEIGHT, LINE = 240, 90, 14


def as_html(dist: Any) -> str:
    """HTML of a distribution, whatever its parameters are: no script, no style sheet and no background.

    Parameters
    ----------
    dist : Distribution
    """
    shapes = ", ".join(f"{name} {_text(_shape(dist, name))}" for name in ("batch", "event"))
    params = [(name, _part(dist.__dict__.get(name))) for name in dist.PARAM_NAMES]
    static = [(name, _text(dist.__dict__.get(name))) for name in dist.STATIC_NAMES]
    drawn = ""
    with contextlib.suppress(Exception):  # of methods that may be anybody's
        drawn = _drawn(dist)
    return f"<div><b>{escape(type(dist).__name__)}</b> {shapes}{_table(params + static)}{drawn}</div>"


def _shape(dist, name):
    with contextlib.suppress(Exception):  # leaves of a node that Keras unflattened need not be tensors
        return getattr(dist, f"{name}_shape")
    return None


def _table(cells):
    rows = "".join(f"<tr><th>{_text(str(name))}</th><td>{html}</td></tr>" for name, html in cells)
    return f"<table><tbody>{rows}</tbody></table>"


def _part(x):
    """Of a parameter, or of a structure of distributions."""
    if hasattr(x, "PARAM_NAMES"):
        return as_html(x)
    if isinstance(x, (dict, list, tuple)):
        branches = list(x.items() if isinstance(x, dict) else enumerate(x))
        rest = [("...", _text(f"{len(x)} in all"))] if len(x) > MOST else []
        return _table([(name, _part(branch)) for name, branch in branches[:MOST]] + rest)
    if not hasattr(x, "dtype"):
        return _text(x)
    text = f"{getattr(x.dtype, 'name', x.dtype)} {_text(getattr(x, 'shape', ''))}"
    values = backend.concrete(x)
    if values is None or not values.size or values.dtype.kind in "OSU":
        return text
    few = ", ".join(f"{float(value):.3g}" for value in values.flat[:5])
    return f"{text}: {few}{', ...' if values.size > 5 else ''}"


def _text(value):
    text = value if isinstance(value, str) else str(value)
    return escape(text if len(text) <= MOST else f"{text[:MOST]}...")


# Pictures. Lines and letters have the color of the text around them, so that they show on light and on dark.


def _drawn(dist):
    drawn = picture(dist, len(COLORS), CELLS if dist.event_shape == (2,) else POINTS)
    if isinstance(drawn, Bars):
        shown, labels, n = drawn.probs[:, :MOST], drawn.labels[:MOST], len(drawn.labels)
        note = f"{MOST} of {n} probabilities" if n > MOST else "probabilities"
        return _svg(_bars(shown), (labels[0], labels[-1]), f"{note} up to {np.nanmax(shown):.3g}", len(shown))
    if isinstance(drawn, Curves):
        note = f"density up to {np.nanmax(drawn.density):.3g}"
        if drawn.atoms.size:
            note += f", probabilities up to {np.nanmax(drawn.masses):.3g}"
        return _svg(_curves(drawn), _ends(drawn.x), note, len(drawn.density))
    upwards = "density, upwards {} to {}".format
    return "".join(_svg(_cells(each), _ends(each.x), upwards(*_ends(each.y))) for each in drawn or ())


def _ends(x):
    return f"{x[0]:.4g}", f"{x[-1]:.4g}"


def _svg(marks, ends, note, rows=1):
    """Marks over a line with its two ends; above it what is drawn and, in their colors, the numbers of the rows."""
    numbers = [_tag("tspan", f"[{i}]", dx=4, fill=COLORS[i]) for i in range(rows if rows > 1 else 0)]
    line = _tag("path", d=f"M0 {HEIGHT}H{WIDTH}", stroke="currentColor", stroke_opacity=0.5)
    above = _tag("text", "".join([escape(note), *numbers]), y=-4)
    left = _tag("text", escape(ends[0]), y=HEIGHT + 11)
    right = _tag("text", escape(ends[1]), x=WIDTH, y=HEIGHT + 11, text_anchor="end")
    width, height = WIDTH + 8, HEIGHT + 2 * LINE
    frame = {"viewBox": f"-4 {-LINE} {width} {height}", "width": width, "height": height, "role": "img"}
    inside = "".join([marks, line, above, left, right])
    return _tag("svg", inside, **frame, aria_label=note, font_size=10, fill="currentColor")


def _tag(name, inside="", **attributes):
    given = " ".join(f"{key.replace('_', '-')}={quoteattr(str(value))}" for key, value in attributes.items())
    return f"<{name} {given}>{inside}</{name}>"


def _bars(probs):
    """Those of a choice side by side, one for each row."""
    rows, n = probs.shape
    step, width = WIDTH / n, 0.8 * WIDTH / (n * rows)
    marks = []
    for i, heights in enumerate(HEIGHT * np.nan_to_num(probs) / np.nanmax(probs)):
        left = (np.arange(n) + 0.1) * step + i * width
        bars = (f"M{x:.1f} {HEIGHT}v{-y:.1f}h{width:.2f}v{y:.1f}z" for x, y in zip(left, heights, strict=True))
        marks.append(_tag("path", d="".join(bars), fill=COLORS[i]))
    return "".join(marks)


def _curves(drawn):
    """A line for each row, and one upwards to a dot for each atom of it."""
    low, high = drawn.x[0], drawn.x[-1]
    x, at = (WIDTH * np.clip((values - low) / (high - low), 0.0, 1.0) for values in (drawn.x, drawn.atoms))
    marks = []
    for color, density, masses in zip(COLORS, drawn.density, drawn.masses, strict=False):
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in _points(x, density, drawn.density))
        marks.append(_tag("polyline", points=line, stroke=color, stroke_width=1.5, fill="none"))
        for a, b in _points(at, masses, drawn.masses):
            marks.append(_tag("path", d=f"M{a:.1f} {HEIGHT}V{b:.1f}", stroke=color))
            marks.append(_tag("circle", cx=f"{a:.1f}", cy=f"{b:.1f}", r=3, fill=color))
    return "".join(marks)


def _points(x, values, of_all):
    good = np.isfinite(values)
    return zip(x[good], HEIGHT * (1.0 - values[good] / np.nanmax(of_all, initial=0.0)), strict=True)


def _cells(surface):
    """Cells of one color, the more opaque the denser; neighbors of one shade are one, and all of one shade a path."""
    shades = np.round(SHADES * surface.tail()[::-1]).astype(int)
    rows, columns = shades.shape
    width, height = WIDTH / columns, HEIGHT / rows
    paths: dict[int, str] = defaultdict(str)
    for row, of_row in enumerate(shades):
        starts = np.flatnonzero(np.diff(of_row, prepend=-1))
        for start, end in zip(starts, [*starts[1:], columns], strict=True):
            left, right = f"{start * width:.1f}", f"{end * width:.1f}"
            paths[of_row[start]] += f"M{left} {row * height:.1f}H{right}v{height:.2f}H{left}z"
    return "".join(
        _tag("path", d=path, fill=COLORS[0], fill_opacity=shade / SHADES) for shade, path in paths.items() if shade
    )
