"""Cost against score: what is bought with more time, memory or parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from histoseed.errors import InputError
from histoseed.pictures.figures import LOOKS, Themed, label, log_ticks
from histoseed.pictures.panels import Style, drawn_as, finished, legend_below, panels

__all__ = ["CostPoint", "cost_chart", "pareto_front"]

_MANY = 24


@dataclass(frozen=True, slots=True)
class CostPoint:
    """What one arm costs and reaches.

    Args:
        name: As the legend says it.
        score: Higher is better.
        costs: Name of a cost with its unit -> positive value; a cost that is absent or not positive is not drawn.
    """

    name: str
    score: float
    costs: Mapping[str, float]


def pareto_front(points: Sequence[CostPoint], cost: str) -> list[CostPoint]:
    """The points that no other one beats in both score and cost, cheapest first.

    >>> a, b, c = (CostPoint(n, s, {"s": x}) for n, s, x in [("a", 0.5, 1), ("b", 0.4, 2), ("c", 0.6, 3)])
    >>> [point.name for point in pareto_front([c, b, a], "s")]
    ['a', 'c']
    """
    front: list[CostPoint] = []
    for point in sorted(points, key=lambda point: (point.costs.get(cost, math.inf), -point.score)):
        if drawable(point, cost) and (not front or point.score > front[-1].score):
            front.append(point)
    return front


def drawable(point: CostPoint, cost: str) -> bool:
    """Whether the point has a place on a log axis of this cost."""
    return math.isfinite(point.score) and 0 < point.costs.get(cost, 0) < math.inf


def cost_chart(
    points: Sequence[CostPoint],
    styles: Mapping[str, Style],
    *,
    score: str = "score",
    front: bool = True,
    notice: str = "",
) -> Themed:
    """A panel a cost on a log axis, all with the same axis of scores.

    Args:
        points: At least one; of more than 24, only those on a front have a name.
        styles: Style of each name, in the order of the legend.
        score: Name of the score.
        front: Mark the Pareto front: what nothing else beats in both.
        notice: What the plot must say above everything.

    Returns:
        PNG bytes in both themes.

    Raises:
        InputError: no point that can be drawn.
    """
    look = LOOKS["light"]
    costs = [
        c for c in dict.fromkeys(c for point in points for c in point.costs) if any(drawable(p, c) for p in points)
    ]
    if not costs:
        raise InputError("There is no point with a score and a positive cost.", where="cost_chart")
    fronts = {cost: pareto_front(points, cost) if front else [] for cost in costs}
    on_front = {point.name for found in fronts.values() for point in found}
    known = {point.name for point in points if any(drawable(point, cost) for cost in costs)}
    named = [name for name in styles if name in known and (len(known) <= _MANY or name in on_front)][:36]
    others = [] if len(named) == len(known) else ["other arms"]
    line_name = ["Pareto front"] if front else []
    figure, axes = panels(look, len(costs), [*named, *others, *line_name], share_y=True)
    handles: dict[str, Any] = {}
    for ax, cost in zip(axes, costs, strict=True):
        drawn = [point for point in points if drawable(point, cost)]
        if fronts[cost]:
            xs, ys = [p.costs[cost] for p in fronts[cost]], [p.score for p in fronts[cost]]
            line = ax.plot(xs, ys, drawstyle="steps-post", color=look.muted, linewidth=1.4, zorder=1)
            ax.plot(xs, ys, linestyle="", marker="o", markersize=13, markerfacecolor="none",
                    markeredgecolor=look.muted, markeredgewidth=1.4)  # fmt: skip
            handles["front"] = line[0]
        for point in drawn:
            color, marker, _ = drawn_as(look, styles[point.name]) if point.name in named else (look.muted, ".", "")
            dot = ax.plot(point.costs[cost], point.score, linestyle="", marker=marker, markersize=7, color=color)
            handles.setdefault(point.name if point.name in named else "other", dot[0])
        ax.set_xscale("log")
        values = np.array([point.costs[cost] for point in drawn])
        low, high = values.min() / 1.5, values.max() * 1.5
        ax.set_xlim(low, high)
        ax.set_xticks(*log_ticks(low, high))
        ax.minorticks_off()
        ax.margins(y=0.12)
        label(ax, look, cost, score if ax is axes[0] else "")
    keys = [*named, *(["other"] if others else []), *(["front"] if front and "front" in handles else [])]
    legend_below(figure, look, [handles[key] for key in keys], [*named, *others, *line_name][: len(keys)])
    return finished(figure, look, notice)
