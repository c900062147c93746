"""Legends of figures: below the axes, wrapped, over no data."""

import textwrap
from collections.abc import Sequence
from typing import Any

from kgdists.core.extras import brought_by

with brought_by("agents"):
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

__all__ = ["add_legend", "plain"]

CHARACTERS = 13.0  # of small type, in an inch
HANDLE = 0.5  # inches of a line and the space around it
LINE = 0.17  # inches from one line of text to the next


def add_legend(figure: Figure, handles: Sequence[Artist], title: str | None = None) -> None:
    """Put one legend below all axes of a figure of constrained layout, which grows by it.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    handles : sequence of matplotlib.artist.Artist
        Lines or patches with their labels, which are wrapped where they are long.
    title : None or str
    """
    labels = [str(handle.get_label()) for handle in handles]
    most = next((n for n in (4, 3, 2) if n <= len(labels) and max(map(len, labels)) <= _width(figure, n)), 1)
    rows = -(-len(labels) // most)
    columns = -(-len(labels) // rows)  # as even as they can be
    wrapped = [plain(textwrap.fill(label, _width(figure, columns))) for label in labels]
    lines = max(sum(label.count("\n") + 1 for label in wrapped[i : i + rows]) for i in range(0, len(labels), rows))
    figure.set_figheight(figure.get_figheight() + LINE * (lines + (title is not None)) + 0.15)
    place: dict[str, Any] = {"loc": "outside lower left", "ncols": columns, "frameon": False, "fontsize": "small"}
    figure.legend(handles=handles, labels=wrapped, title=title, title_fontsize="small", alignment="left", **place)


def plain(text: str) -> str:
    """Text that matplotlib does not take for mathematics."""
    return text.replace("$", r"\$")


def _width(figure, columns):
    """The characters that fit into a label."""
    return max(10, int(CHARACTERS * (figure.get_figwidth() / columns - HANDLE)))
