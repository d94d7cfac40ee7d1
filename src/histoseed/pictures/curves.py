"""Curves: training over steps, scores over the number of annotated patches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.pictures.figures import (
    Theme,
    canvas,
    finite,
    label,
    log_ticks,
    look_of,
    series_style,
    short,
    to_png,
)
from histoseed.pictures.panels import legend_below, legend_height

__all__ = ["learning_curve", "loss_curve"]

Series = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]


def loss_curve(
    rows: Sequence[Mapping[str, float | None]],
    *,
    total: str = "loss",
    parts: Sequence[str] | None = None,
    rate: str = "learning_rate",
    score: str = "pq",
    score_name: str = "validation PQ",
    theme: Theme = "light",
) -> bytes:
    """The history of a training: loss and its parts on a log axis, validation score, learning rate.

    Args:
        rows: One mapping a record, with ``step`` and any of the other columns; a column that is absent, None or not
            finite in a row is skipped there. A panel without values is left out.
        total: Column of the whole loss.
        parts: Columns of its parts; by default every other column, in order of appearance.
        rate: Column of the learning rate.
        score: Column of the validation score, 0 to 1.
        score_name: What the score is.
        theme: ``light`` or ``dark``.

    Returns:
        PNG bytes.

    Raises:
        InputError: no row with a step and a positive loss.
    """
    from matplotlib.ticker import MaxNLocator

    look = look_of(theme)
    if parts is None:
        parts = list(dict.fromkeys(key for row in rows for key in row if key not in {"step", total, rate, score}))
    whole = _column(rows, total, positive=True)
    if not len(whole[0]):
        raise InputError("The history holds no step with a positive loss.", where=total)
    scores, rates = _column(rows, score), _column(rows, rate)
    panels = [1.0, *([0.6] if len(scores[0]) else []), *([0.35] if len(rates[0]) else [])]
    drawn = {part: series for part in parts if len((series := _column(rows, part, positive=True))[0])}
    names = ["total", *(part.replace("_", " ") for part in drawn)]
    room = legend_height(names, 7.6) if drawn else 0.0
    figure, axes = canvas(look, 7.6, 0.9 + room + 2.9 * sum(panels), len(panels), panels)

    lines = axes[0].plot(*whole, color=look.ink, linewidth=2)
    for i, series in enumerate(drawn.values()):
        color, _, dash = series_style(look, i)
        lines += axes[0].plot(*series, color=color, linestyle=dash, linewidth=1.2)
    axes[0].set_yscale("log")
    axes[0].set_yticks(*log_ticks(*axes[0].get_ylim()))
    axes[0].set_yticks([], minor=True)
    label(axes[0], look, y="loss")
    if drawn:
        legend_below(figure, look, lines, names)

    rest = iter(axes[1:])
    if len(scores[0]):
        ax = next(rest)
        ax.plot(*scores, color=look.series[0], marker="o", markersize=4, linewidth=1.6)
        best = int(np.argmax(scores[1]))
        note = f"best {scores[1][best]:.3f}"
        ax.annotate(note, (scores[0][best], scores[1][best]), (0, 7), textcoords="offset points", ha="center",
                    color=look.ink, fontsize=9.5)  # fmt: skip
        ax.margins(y=0.25)
        # A single score says nothing about a scale; of several, the axis shows how they differ.
        ax.set_ylim(max(0.0, ax.get_ylim()[0]), None) if len(scores[0]) > 1 else ax.set_ylim(0, 1)
        label(ax, look, y=score_name)
    if len(rates[0]):
        ax = next(rest)
        ax.plot(*rates, color=look.muted, linewidth=1.6)
        ax.set_ylim(bottom=0)
        ax.yaxis.set_major_formatter(lambda value, _: short(value))
        label(ax, look, y="learning rate")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[-1].xaxis.set_major_formatter(lambda value, _: short(value))
    axes[-1].set_xlabel("step", color=look.ink, fontsize=10.5)
    figure.align_ylabels(axes)
    return to_png(figure)


def _column(rows: Sequence[Mapping[str, float | None]], name: str, *, positive: bool = False) -> Series:
    pairs = [(row.get("step"), row.get(name)) for row in rows]
    kept = [(float(x), float(y)) for x, y in pairs if x is not None and y is not None and math.isfinite(y)]
    table = np.array([pair for pair in kept if pair[1] > 0 or not positive], dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def learning_curve(
    arms: Mapping[str, Mapping[int, Sequence[float]]],
    *,
    score: str = "PQ",
    baselines: Mapping[str, float] | None = None,
    title: str = "",
    theme: Theme = "light",
) -> bytes:
    """Score against the number of annotated patches, on a log-2 axis.

    Each arm is a line through the means of its draws, with the standard deviation of the draws (n - 1) as error bar
    and the draws themselves as faint points. A single draw has no error bar. Arms are set apart a little sideways.

    Args:
        arms: Arm -> number of annotated patches (at least 1) -> score of each draw.
        score: Name of the score, for the axis.
        baselines: Scores that need no annotated patch, drawn as horizontal lines.
        title: Headline of the plot.
        theme: ``light`` or ``dark``.

    Returns:
        PNG bytes.

    Raises:
        InputError: no arm, a number of patches below 1, or draws without a finite score.
    """
    look = look_of(theme)
    sizes = sorted({n for arm in arms.values() for n in arm})
    if not sizes or sizes[0] < 1:
        raise InputError("A learning curve needs arms with at least one annotated patch.", where="arms")
    lines = {name: f"{name} ({value:.3f})" for name, value in (baselines or {}).items()}
    figure, (ax,) = canvas(look, 7.6, 4.2 + legend_height([*arms, *lines.values()], 7.6))
    ax.set_xscale("log", base=2)
    handles: list[Any] = []
    for i, (name, arm) in enumerate(arms.items()):
        color, marker, dash = series_style(look, i)
        shift = 2 ** (0.05 * (i - (len(arms) - 1) / 2))
        draws = {n: finite(arm[n], f"{name}, {n} patches") for n in sorted(arm)}
        x = np.array(list(draws)) * shift
        spread = [float(np.std(d, ddof=1)) if len(d) > 1 else 0.0 for d in draws.values()]
        bars = ax.errorbar(x, [d.mean() for d in draws.values()], spread, color=color, marker=marker, linestyle=dash,
                           linewidth=1.8, markersize=6, capsize=3, elinewidth=1.4)  # fmt: skip
        for at, d in zip(x, draws.values(), strict=True):
            ax.plot(np.full(len(d), at), d, marker="o", markersize=3, linestyle="", color=color, alpha=0.35)
        handles.append(bars)
    for i, value in enumerate((baselines or {}).values()):
        line = ax.axhline(value, color=look.muted, linestyle=((0, (4, 2)), (0, (1, 2)))[i % 2], linewidth=1.4)
        handles.append(line)
    ax.set_xticks(sizes, [short(n) for n in sizes])
    ax.minorticks_off()
    ax.set_xlim(sizes[0] / 2**0.4, sizes[-1] * 2**0.4)
    label(ax, look, "annotated patches", f"{score} (mean ± SD of draws)", title)
    legend_below(figure, look, handles, [*arms, *lines.values()])
    return to_png(figure)
