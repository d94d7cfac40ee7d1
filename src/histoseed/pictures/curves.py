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
    legend,
    log_ticks,
    look_of,
    plain,
    series_style,
    short,
    to_png,
)

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
    look = look_of(theme)
    if parts is None:
        parts = list(dict.fromkeys(key for row in rows for key in row if key not in {"step", total, rate, score}))
    whole = _column(rows, total, positive=True)
    if not len(whole[0]):
        raise InputError("The history holds no step with a positive loss.", where=total)
    scores, rates = _column(rows, score), _column(rows, rate)
    panels = [1.0, *([0.6] if len(scores[0]) else []), *([0.35] if len(rates[0]) else [])]
    figure, axes = canvas(look, 7.6, 1.2 + 2.9 * sum(panels), len(panels), panels)

    lines, names = axes[0].plot(*whole, color=look.ink, linewidth=2), ["total"]
    for i, part in enumerate(parts):
        series = _column(rows, part, positive=True)
        if len(series[0]):
            color, _, dash = series_style(look, i)
            lines += axes[0].plot(*series, color=color, linestyle=dash, linewidth=1.2)
            names.append(plain(part.replace("_", " ")))
    axes[0].set_yscale("log")
    axes[0].set_yticks(*log_ticks(*axes[0].get_ylim()))
    axes[0].set_yticks([], minor=True)
    label(axes[0], look, y="loss")
    if len(names) > 1:
        legend(axes[0], look, lines, names, loc="center left", bbox_to_anchor=(1.0, 0.5))

    rest = iter(axes[1:])
    if len(scores[0]):
        ax = next(rest)
        ax.plot(*scores, color=look.series[0], marker="o", markersize=4, linewidth=1.6)
        best = int(np.argmax(scores[1]))
        note = f"best {scores[1][best]:.3f}"
        ax.annotate(note, (scores[0][best], scores[1][best]), (0, 7), textcoords="offset points", ha="center",
                    color=look.ink, fontsize=9.5)  # fmt: skip
        ax.margins(y=0.25)
        ax.set_ylim(bottom=max(0.0, ax.get_ylim()[0]))
        label(ax, look, y=score_name)
    if len(rates[0]):
        ax = next(rest)
        ax.plot(*rates, color=look.muted, linewidth=1.6)
        ax.set_ylim(bottom=0)
        ax.yaxis.set_major_formatter(lambda value, _: short(value))
        label(ax, look, y="learning rate")
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
    figure, (ax,) = canvas(look, 7.6, 4.6)
    ax.set_xscale("log", base=2)
    handles: list[Any] = []
    names: list[str] = []
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
        names.append(plain(name))
    for i, (name, value) in enumerate((baselines or {}).items()):
        line = ax.axhline(value, color=look.muted, linestyle=((0, (4, 2)), (0, (1, 2)))[i % 2], linewidth=1.4)
        handles.append(line)
        names.append(f"{plain(name)} ({value:.3f})")
    ax.set_xticks(sizes, [short(n) for n in sizes])
    ax.minorticks_off()
    ax.set_xlim(sizes[0] / 2**0.4, sizes[-1] * 2**0.4)
    label(ax, look, "annotated patches", f"{score} (mean ± SD of draws)", title)
    legend(ax, look, handles, names, loc="best")
    return to_png(figure)
