"""Values with their intervals, one a line."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from histoseed.errors import InputError
from histoseed.pictures.figures import LOOKS, Themed, dress, folded, label
from histoseed.pictures.lettering import font
from histoseed.pictures.panels import NAME_WIDTH, blank_figure, finished

__all__ = ["interval_chart"]


def interval_chart(
    rows: Sequence[tuple[str, float, float, float]],
    *,
    score: str = "score",
    notice: str = "",
    hollow: Collection[int] = (),
) -> Themed:
    """A dot and its interval for each name, the first at the top.

    Args:
        rows: Name, value, low, high; the latter NaN where there is no interval.
        score: What the values are.
        notice: What the plot must say above everything.
        hollow: Numbers of the rows whose mark is an open diamond, since they are of another kind.

    Returns:
        PNG bytes in both themes.

    Raises:
        InputError: no row, or a value that is not finite.
    """
    values = np.array([row[1:] for row in rows], dtype=np.float64).reshape(-1, 3)
    if not len(values) or not np.isfinite(values[:, 0]).all():
        raise InputError("There is no value to draw, or one is not finite.", where="interval_chart")
    look = LOOKS["light"]
    names = [folded(name, NAME_WIDTH) for name, *_ in rows]
    lines = [line for name in names for line in name.split("\n")]
    width = 5.2 + max(font(95).getlength(line) for line in lines) / 720
    row = 0.27 + 0.16 * max(name.count("\n") for name in names)
    figure = blank_figure(look, width, 0.8 + row * len(names) + (0.35 if notice else 0))
    ax = figure.subplots()
    dress(ax, look)
    places = np.arange(len(names))
    ax.hlines(places, values[:, 1], values[:, 2], color=look.series[0], linewidth=2, alpha=0.55)
    other = np.isin(places, list(hollow))
    ax.plot(values[~other, 0], places[~other], linestyle="", marker="o", markersize=6, color=look.series[0])
    ax.plot(values[other, 0], places[other], linestyle="", marker="D", markersize=6, color=look.series[1],
            markerfacecolor="none", markeredgewidth=1.6)  # fmt: skip
    ax.set_yticks(places, names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.grid(visible=False, axis="y")
    label(ax, look, score)
    return finished(figure, look, notice)
