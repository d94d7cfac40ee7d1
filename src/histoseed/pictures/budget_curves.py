"""Scores against the number of annotations, a panel a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from histoseed.errors import InputError
from histoseed.pictures.figures import LOOKS, Look, Themed, label
from histoseed.pictures.panels import Style, drawn_as, finished, legend_below, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["BudgetPanel", "Curve", "budget_curves"]


@dataclass(frozen=True, slots=True)
class Curve:
    """One arm on one data set.

    Args:
        name: As the legend says it; the same arm has the same name in all panels.
        points: Number of annotations (positive) -> value, low and high; the latter NaN where there is no interval.
        level: Score without any annotation, None where there is none.
    """

    name: str
    points: Mapping[float, tuple[float, float, float]] = field(default_factory=dict)
    level: float | None = None


@dataclass(frozen=True, slots=True)
class BudgetPanel:
    """One data set.

    Args:
        title: Its name.
        score: Name of the score.
        curves: What is drawn.
        ticks: Number of annotations -> label.
    """

    title: str
    score: str
    curves: Sequence[Curve]
    ticks: Mapping[float, str]


def budget_curves(
    shown: Sequence[BudgetPanel],
    styles: Mapping[str, Style],
    *,
    unit: str = "annotated patches",
    notice: str = "",
) -> Themed:
    """Curves with intervals on a log axis; the score without annotation is a horizontal line.

    Args:
        shown: The panels; the score axis is the same in all panels with the same score.
        styles: Line of each name, in the order of the legend.
        unit: Of the number of annotations.
        notice: What the plot must say above everything.

    Returns:
        PNG bytes in both themes.

    Raises:
        InputError: nothing to draw, or a number of annotations that is not positive.
    """
    look = LOOKS["light"]
    used = {curve.name for panel in shown for curve in panel.curves if curve.points or curve.level is not None}
    numbers = [x for panel in shown for curve in panel.curves for x in curve.points]
    if not used or any(x <= 0 for x in numbers):
        raise InputError("Curves need points at positive numbers of annotations.", where="budget_curves")
    names = [name for name in styles if name in used]
    levels = any(curve.level is not None for panel in shown for curve in panel.curves)
    legend_names = [*names, "level: N = 0"] if levels else names
    figure, axes = panels(look, len(shown), legend_names)
    handles: dict[str, Any] = {}
    for ax, panel in zip(axes, shown, strict=True):
        _panel(ax, look, panel, styles, handles)
        label(ax, look, unit, panel.score, panel.title)
    for score in {panel.score for panel in shown}:
        _same_axis([ax for ax, panel in zip(axes, shown, strict=True) if panel.score == score])
    if levels:
        handles["level"] = axes[0].plot([], [], color=look.muted, linewidth=1.2, linestyle=(0, (6, 2)))[0]
    legend_below(figure, look, [handles[name] for name in [*names, *(["level"] if levels else [])]], legend_names)
    return finished(figure, look, notice)


def _panel(ax: Axes, look: Look, panel: BudgetPanel, styles: Mapping[str, Style], handles: dict[str, Any]) -> None:
    ticks = sorted(panel.ticks)
    ax.set_xscale("log", base=2)
    drawn = [name for name in styles if any(curve.name == name for curve in panel.curves)]
    for curve in panel.curves:
        color, marker, dash = drawn_as(look, styles[curve.name])
        # Curves stand a little apart, so that their intervals can be told apart too.
        shift = 2 ** (0.35 * ((drawn.index(curve.name) + 0.5) / len(drawn) - 0.5))
        xs = sorted(curve.points)
        table = np.array([curve.points[x] for x in xs], dtype=np.float64).reshape(-1, 3)
        at = np.array(xs, dtype=np.float64) * shift
        ax.vlines(at, table[:, 1], table[:, 2], color=color, linewidth=1.2, alpha=0.55)
        line = ax.plot(at, table[:, 0], color=color, marker=marker, linestyle=dash, linewidth=1.6, markersize=4.5)
        handles.setdefault(curve.name, line[0])
        if curve.level is not None:
            ax.axhline(curve.level, color=color, linewidth=1.2, linestyle=(0, (6, 2)), alpha=0.8)
            ax.plot(0, curve.level, marker=marker, markersize=5, color=color, clip_on=False, zorder=3,
                    transform=ax.get_yaxis_transform())  # fmt: skip
    if ticks:
        ax.set_xticks(ticks, [panel.ticks[x] for x in ticks])
        ax.set_xlim(ticks[0] / 2**0.4, ticks[-1] * 2**0.4)
    else:
        ax.set_xticks([])
    ax.minorticks_off()


def _same_axis(axes: Sequence[Axes]) -> None:
    limits = [ax.get_ylim() for ax in axes]
    low, high = min(low for low, _ in limits), max(high for _, high in limits)
    for ax in axes:
        ax.set_ylim(max(low, -0.02) if high > 0 else low, high)
