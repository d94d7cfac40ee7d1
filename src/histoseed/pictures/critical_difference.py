"""The critical-difference diagram of Demsar (JMLR 7, 2006): mean ranks, and what cannot be told apart."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from histoseed.errors import InputError
from histoseed.pictures.figures import LOOKS, Themed, folded
from histoseed.pictures.panels import blank_figure, finished

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["critical_difference_diagram"]

_AXIS = 4.6
_ROW = 0.24
_NAME = 3.4
_LINE_HEIGHT = 0.16
_FONT = 9.5
_BAR = 0.13
_NUMBER = 0.43


def critical_difference_diagram(
    names: Sequence[str],
    ranks: Sequence[float],
    difference: float,
    bars: Sequence[tuple[int, int]],
    *,
    notice: str = "",
) -> Themed:
    """Names on an axis of mean ranks, the best at the left; bars join what is not told apart.

    Args:
        names: What is ranked, best first.
        ranks: Mean ranks, ascending.
        difference: The critical difference, drawn as a scale.
        bars: First and last place of each group that is not told apart.
        notice: What the plot must say above everything.

    Returns:
        PNG bytes in both themes.

    Raises:
        InputError: fewer than two names, or ranks that do not ascend.
    """
    if len(names) < 2 or len(ranks) != len(names) or (np.diff(ranks) < 0).any():
        raise InputError("A diagram of ranks needs at least two names and ascending ranks.", where="ranks")
    look = LOOKS["light"]
    shown = [folded(name, _NAME, _FONT) for name in names]
    row_height = _ROW + _LINE_HEIGHT * max(name.count("\n") for name in shown)
    half = math.ceil(len(shown) / 2)
    lows = (math.floor(ranks[0]), max(math.ceil(ranks[-1]), math.floor(ranks[0]) + 1))
    levels = _levels(bars)
    depth = _BAR * (max(levels, default=-1) + 1) + 0.16
    height = 0.95 + depth + row_height * half + (0.35 if notice else 0)
    probe = blank_figure(look, 4, 2)
    left = _inches(probe, shown[:half]) + 0.35
    right = _inches(probe, shown[half:]) + 0.35
    width = left + _AXIS + right
    figure = blank_figure(look, width, height)
    figure.set_layout_engine("none")
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)
    top = 0.72 + (0.35 if notice else 0)

    def at(rank: float) -> float:
        return left + _AXIS * (rank - lows[0]) / (lows[1] - lows[0])

    ax.plot([at(lows[0]), at(lows[1])], [top, top], color=look.ink, linewidth=1.2)
    step = max(1, math.ceil((lows[1] - lows[0]) / 12))
    for tick in range(lows[0], lows[1] + 1, step):
        ax.plot([at(tick)] * 2, [top - 0.07, top], color=look.ink, linewidth=1)
        ax.text(at(tick), top - 0.1, str(tick), ha="center", va="bottom", fontsize=9, color=look.ink)
    scale = min(difference, lows[1] - lows[0])
    ax.plot([at(lows[0]), at(lows[0] + scale)], [top - 0.42] * 2, color=look.series[1], linewidth=2.2)
    beyond = "" if scale == difference else ", longer than the axis"
    ax.text(at(lows[0]), top - 0.47, f"critical difference {difference:.2f}{beyond}", ha="left", va="bottom",
            fontsize=9, color=look.ink)  # fmt: skip
    for (first, last), level in zip(bars, levels, strict=True):
        y = top + 0.12 + _BAR * level
        ends = [at(ranks[first]) - 0.05, at(ranks[last]) + 0.05]
        ax.plot(ends, [y, y], color=look.series[0], linewidth=3.4, solid_capstyle="round")
    for i, (name, rank) in enumerate(zip(shown, ranks, strict=True)):
        is_left = i < half
        row = i if is_left else len(shown) - 1 - i
        y = top + depth + row_height * (row + 0.5)
        end = left - 0.12 if is_left else left + _AXIS + 0.12
        ax.plot([at(rank), at(rank), end], [top, y, y], color=look.muted, linewidth=0.9)
        side, sign = ("right", -1) if is_left else ("left", 1)
        style: dict[str, Any] = {"ha": side, "va": "center", "fontsize": _FONT, "color": look.ink}
        ax.text(end + 0.06 * sign, y, f"{rank:.2f}", **style)
        ax.text(end + (0.06 + _NUMBER) * sign, y, name, multialignment=side, **style)
    return finished(figure, look, notice)


def _levels(bars: Sequence[tuple[int, int]]) -> list[int]:
    """At which height each bar is drawn, so that none lies on another."""
    taken: list[int] = []
    levels = []
    for first, last in bars:
        level = next(i for i in itertools.count() if i == len(taken) or taken[i] < first)
        taken[level : level + 1] = [last]
        levels.append(level)
    return levels


def _inches(figure: Figure, names: Sequence[str]) -> float:
    """Width of the widest name and of its rank."""
    texts = [figure.text(0, 0, name, fontsize=_FONT, parse_math=False) for name in names]
    return _NUMBER + max((text.get_window_extent().width / figure.dpi for text in texts), default=0.0)
