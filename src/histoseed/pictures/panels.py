"""Plots of a benchmark in common: panels side by side, one legend below, and what every plot must say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from histoseed.pictures.figures import Look, Themed, dress, folded, to_both
from histoseed.pictures.lettering import font

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["NAME_WIDTH", "Style", "blank_figure", "drawn_as", "finished", "legend_below", "legend_height", "panels"]

NAME_WIDTH = 4.7
"""Inches beyond which a name goes on in the next line; no name is cut."""

_WIDTH = 10.6
_PANEL_HEIGHT = 3.5
_LETTERS = 9  # points of the legend
_LINE = 0.2


Style = tuple[int, int, int]
"""Number of the colour, the marker and the dash of a line."""

_MARKERS = "osD^vP"
_DASHES = ("-", "--", ":", "-.")


def drawn_as(look: Look, style: Style) -> tuple[str, str, str]:
    """Colour, marker and dash of a style."""
    color, marker, dash = style
    return look.series[color % len(look.series)], _MARKERS[marker % len(_MARKERS)], _DASHES[dash % len(_DASHES)]


def blank_figure(look: Look, width: float, height: float) -> Figure:
    """An empty figure of that many inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=160, layout="constrained", facecolor=look.paper)
    FigureCanvasAgg(figure)
    return figure


def panels(look: Look, count: int, names: Sequence[str], *, share_y: bool = False) -> tuple[Figure, list[Axes]]:
    """Axes side by side, up to three in a row, with room for a legend of ``names`` below.

    Args:
        look: Colours.
        count: How many axes.
        names: What the legend will say.
        share_y: All axes have the same y axis.
    """
    columns = min(3, count)
    rows = math.ceil(count / columns)
    width = _WIDTH if columns > 1 else 7.6
    figure = blank_figure(look, width, rows * _PANEL_HEIGHT + legend_height(names, width) + 0.5)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=share_y)
    axes = list(grid.flat)
    for ax in axes[:count]:
        dress(ax, look)
    for ax in axes[count:]:
        ax.remove()
    return figure, axes[:count]


def _columns(names: Sequence[str], width: float) -> int:
    """How many columns of a legend fit into ``width`` inches."""
    lines = [line for name in names for line in folded(name, NAME_WIDTH, _LETTERS).split("\n")]
    longest = max((font(10 * _LETTERS).getlength(line) / 720 for line in lines), default=0.1)
    return max(1, min(4, int(width / (0.75 + longest))))


def legend_height(names: Sequence[str], width: float) -> float:
    """Inches that a legend of these names takes below a figure of that width."""
    lines = [folded(name, NAME_WIDTH, _LETTERS).count("\n") + 1 for name in names]
    return 0.35 + _LINE * math.ceil(sum(lines) / _columns(names, width)) + _LINE * (max(lines, default=1) - 1)


def legend_below(figure: Figure, look: Look, handles: Sequence[Any], names: Sequence[str]) -> None:
    """One legend for all panels; names are drawn as they are, also those that start with an underscore."""
    columns = _columns(names, figure.get_figwidth())
    box = figure.legend(
        handles,
        ["name"] * len(handles),
        loc="outside lower left",
        ncols=columns,
        frameon=False,
        fontsize=_LETTERS,
        labelcolor=look.ink,
        handlelength=3.2,
    )
    for text, name in zip(box.get_texts(), names, strict=True):
        text.set_text(folded(name, NAME_WIDTH, _LETTERS))


def finished(figure: Figure, look: Look, notice: str) -> Themed:
    """The figure as PNG in both themes, with what must not be overlooked above it.

    Args:
        figure: All panels drawn, in the light theme.
        look: The light theme.
        notice: For instance that weights are random; empty where there is nothing to say.
    """
    if notice:
        figure.suptitle(notice, x=0.01, ha="left", color=look.series[1], fontsize=11.5, fontweight="bold")
    return to_both(figure)
