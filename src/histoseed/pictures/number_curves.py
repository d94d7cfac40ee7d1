"""Curves over a number on a plain axis: scores against the jitter of a box, losses against epochs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from histoseed.errors import InputError
from histoseed.pictures.figures import LOOKS, Look, Themed, label, log_ticks, short
from histoseed.pictures.panels import drawn_as, finished, legend_below, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

__all__ = ["NumberPanel", "Points", "number_curves"]

Points = Mapping[float, tuple[float, float, float]]
"""x -> value, low, high; the latter NaN where there is no interval."""

_APART = 0.012
"""How far curves stand from each other, so that their intervals can be told apart; part of the axis."""


@dataclass(frozen=True, slots=True)
class NumberPanel:
    """One plot of several.

    Args:
        title: Above it.
        curves: Name -> points; values that are not finite are left out.
        y: Name of the y axis.
        x: Name of the x axis, with its unit.
    """

    title: str
    curves: Mapping[str, Points]
    y: str
    x: str


def number_curves(shown: Sequence[NumberPanel], *, log: bool = False, log_x: bool = False, notice: str = "") -> Themed:
    """Panels of curves with intervals; a name has the same line in all panels, and a plain y axis is the same, too.

    Args:
        shown: The panels.
        log: The y axis is logarithmic; values that are not positive are left out.
        log_x: The x axis is logarithmic to base 2, with a tick at every point; no x may be 0.
        notice: What the plot must say above everything.

    Returns:
        PNG bytes in both themes.

    Raises:
        InputError: nothing to draw.
    """
    look = LOOKS["light"]
    kept = [(panel, _drawable(panel.curves, positive=log)) for panel in shown]
    names = list(dict.fromkeys(name for _, curves in kept for name in curves))
    if not names:
        raise InputError("There is no value to draw.", where="number_curves")
    figure, axes = panels(look, len(kept), names, share_y=not log)
    lines: dict[str, Line2D] = {}
    for ax, (panel, curves) in zip(axes, kept, strict=True):
        for name, line in _drawn(ax, look, curves, names).items():
            lines.setdefault(name, line)
        if log and curves:
            _log_axis(ax)
        if log_x and curves:
            ticks = sorted({at for points in curves.values() for at in points})
            ax.set_xscale("log", base=2)
            ax.set_xticks(ticks, [short(tick) for tick in ticks])
            ax.set_xticks([], minor=True)
        label(ax, look, panel.x, panel.y, panel.title)
    legend_below(figure, look, [lines[name] for name in names], names)
    return finished(figure, look, notice)


def _drawable(curves: Mapping[str, Points], *, positive: bool) -> dict[str, Points]:
    """Curves without the values that cannot be drawn, and without those that hold no other."""
    kept: dict[str, Points] = {}
    for name, points in curves.items():
        rows = {x: row for x, row in sorted(points.items()) if math.isfinite(row[0]) and (row[0] > 0 or not positive)}
        if rows:
            kept[name] = rows
    return kept


def _drawn(ax: Axes, look: Look, curves: Mapping[str, Points], names: Sequence[str]) -> dict[str, Line2D]:
    """The lines of a panel, by name."""
    xs = [at for points in curves.values() for at in points]
    apart = _APART * (max(xs) - min(xs)) if xs else 0.0
    lines = {}
    for name, points in curves.items():
        number = names.index(name)
        color, marker, dash = drawn_as(look, (number, number + number // 6, number // 6))
        table = np.array(list(points.values()), dtype=np.float64)
        spread = np.isfinite(table[:, 1]).any()
        at = np.array(list(points)) + (apart * (list(curves).index(name) - (len(curves) - 1) / 2) if spread else 0.0)
        ax.vlines(at, table[:, 1], table[:, 2], color=color, linewidth=1.4, alpha=0.55)
        few = len(at) <= 12  # markers of many points hide the line
        (lines[name],) = ax.plot(
            at, table[:, 0], color=color, linestyle=dash, linewidth=1.7, marker=marker if few else "", markersize=5
        )
    return lines


def _log_axis(ax: Axes) -> None:
    ax.set_yscale("log")
    ax.set_yticks(*log_ticks(*ax.get_ylim()))
    ax.set_yticks([], minor=True)
