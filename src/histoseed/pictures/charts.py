"""Charts of an evaluation: outcomes by object size, confusion of classes, paired differences."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.pictures.colors import OUTCOMES, contrast, mixed
from histoseed.pictures.figures import Theme, canvas, finite, folded, label, log_ticks, look_of, short, to_png
from histoseed.pictures.panels import legend_below, legend_height
from histoseed.wording import signed_number

__all__ = ["confusion_matrix", "paired_differences", "size_histogram"]


_NAME = 1.8
"""Inches of a class name before it goes on in the next line."""
_LEVEL = 14
"""Letters up to which the names below a matrix stand level."""


def size_histogram(
    sizes: Mapping[str, npt.ArrayLike],
    *,
    quantity: str = "area",
    unit: str = "µm²",
    bins: int = 24,
    title: str = "",
    theme: Theme = "light",
) -> bytes:
    """How many objects of each size, stacked by group, on a log axis of size.

    Args:
        sizes: Group -> sizes of its objects, positive. Groups named as in :data:`~histoseed.pictures.OUTCOMES` get
            those colours; the first group stands at the bottom. A group may be empty.
        quantity: What the sizes are: area, equivalent diameter, ...
        unit: Their unit: ``µm²``, ``µm``, ``px²``, ``px``.
        bins: Number of bars.
        title: Headline of the plot.
        theme: ``light`` or ``dark``.

    Returns:
        PNG bytes.

    Raises:
        InputError: no object at all, or a size that is not a positive number.
    """
    from matplotlib.ticker import MaxNLocator

    look = look_of(theme)
    groups = {name: np.asarray(values, dtype=np.float64).ravel() for name, values in sizes.items()}
    every = finite(np.concatenate([np.empty(0), *groups.values()]), "sizes")
    if sum(map(len, groups.values())) != len(every) or every.min() <= 0 or bins < 1:
        raise InputError("Sizes must be positive numbers, and bins at least 1.", where="sizes")
    low, high = every.min() * 0.999, every.max() * 1.001
    if high < 1.5 * low:
        low, high = low / 1.5, high * 1.5
    edges = np.geomspace(low, high, bins + 1)
    shown = [f"{name} ({len(values):,})" for name, values in groups.items()]
    figure, (ax,) = canvas(look, 7.6, 3.6 + legend_height(shown, 7.6))
    base = np.zeros(bins)
    handles = []
    settled = {OUTCOMES[name] for name in groups if name in OUTCOMES}
    others = itertools.cycle([color for color in look.series if color not in settled] or look.series)
    for name, values in groups.items():
        counts, _ = np.histogram(values, edges)
        color = OUTCOMES.get(name) or next(others)
        hatch = "////" if name == "false" else None
        handles.append(ax.bar(edges[:-1], counts, np.diff(edges), base, align="edge", color=color, hatch=hatch,
                              edgecolor=look.paper, linewidth=0.6))  # fmt: skip
        base += counts
    ax.set_xscale("log")
    ax.set_xticks(*log_ticks(low, high))
    ax.minorticks_off()
    ax.grid(visible=False, axis="x")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.yaxis.set_major_formatter(lambda value, _: short(value))
    label(ax, look, f"{quantity} ({unit})", "objects", title)
    legend_below(figure, look, handles, shown)
    return to_png(figure)


def confusion_matrix(
    counts: npt.ArrayLike,
    truth_names: Sequence[str],
    predicted_names: Sequence[str] | None = None,
    *,
    title: str = "",
    theme: Theme = "light",
) -> bytes:
    """Counts of objects by true and predicted class; the shade is the share of the row.

    Args:
        counts: (R, C) non-negative numbers, rows truth, columns prediction.
        truth_names: R names; add a last one such as "no object" for what has no partner.
        predicted_names: C names, by default those of the rows.
        title: Headline of the plot.
        theme: ``light`` or ``dark``.

    Returns:
        PNG bytes.

    Raises:
        InputError: a shape that does not fit the names, or a negative number.
    """
    from matplotlib.colors import LinearSegmentedColormap

    look = look_of(theme)
    columns = truth_names if predicted_names is None else predicted_names
    table = np.asarray(counts, dtype=np.float64)
    if table.shape != (len(truth_names), len(columns)) or not table.size or not (table >= 0).all():
        what = f"The matrix must be {len(truth_names)} x {len(columns)} numbers of 0 or more, not {table.shape}."
        raise InputError(what, where="counts")
    share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    shown, rows = ([folded(name, _NAME) for name in side] for side in (columns, truth_names))
    longest = max(len(line) for name in shown for line in name.splitlines() or [""])
    turned = longest > _LEVEL
    below = 0.075 * longest if turned else 0.16 * max(name.count("\n") for name in shown)
    figure, (ax,) = canvas(
        look, 2.6 + min(1.3, max(0.85, 0.09 * longest)) * len(shown), 1.7 + below + 0.55 * len(table)
    )
    low, high = mixed(look.series[0], look.paper, 0.97), look.series[0]
    shades = LinearSegmentedColormap.from_list("share", [low, high])
    ax.imshow(share, cmap=shades, vmin=0, vmax=1, aspect="auto")
    for (i, j), value in np.ndenumerate(table):
        shade = mixed(low, high, float(share[i, j]))
        color = max((look.ink, look.paper), key=lambda ink: contrast(ink, shade))
        text = f"{value:,.0f}\n{share[i, j]:.0%}" if table[i].sum() else f"{value:,.0f}"
        ax.text(j, i, text, ha="center", va="center", color=color, fontsize=9, linespacing=1.25)
    ax.set_xticks(range(len(shown)), shown, rotation=30 if turned else 0, ha="right" if turned else "center")
    ax.set_yticks(range(len(rows)), rows)
    ax.grid(visible=False)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    label(ax, look, "predicted class", "true class", title)
    return to_png(figure)


def paired_differences(
    differences: npt.ArrayLike,
    *,
    score: str = "PQ",
    names: tuple[str, str] = ("A", "B"),
    interval: tuple[float, float] | None = None,
    level: float = 0.95,
    title: str = "",
    theme: Theme = "light",
) -> bytes:
    """The difference of two models on each image or group, sorted, with the mean and its interval.

    Args:
        differences: (n,) score of the second model minus score of the first; values that are not finite are left out.
        score: Name of the score, for the axis.
        names: First and second model.
        interval: Confidence interval of the mean, low and high, drawn as a band.
        level: Level of the interval, for the legend.
        title: Headline of the plot.
        theme: ``light`` or ``dark``.

    Returns:
        PNG bytes.

    Raises:
        InputError: no finite difference.
    """
    from matplotlib.ticker import MaxNLocator

    look = look_of(theme)
    values = np.sort(finite(differences, "differences"))
    first, second = names
    rank = np.arange(1, len(values) + 1)
    better, worse = look.series[0], look.series[1]
    figure, (ax,) = canvas(look, 7.6, 3.6 + legend_height([f"{name} better (000)" for name in names] * 2, 7.6))
    ax.vlines(rank, 0, values, colors=[better if v > 0 else worse for v in values], linewidth=1.2, alpha=0.6)
    handles: list[Any] = []
    labels: list[str] = []
    for sign, color, marker, who in ((1, better, "o", second), (-1, worse, "s", first)):
        at = np.sign(values) == sign
        handles += ax.plot(rank[at], values[at], linestyle="", marker=marker, markersize=5, color=color)
        labels.append(f"{who} better ({np.count_nonzero(at):,})")
    ties = values == 0
    if ties.any():
        handles += ax.plot(rank[ties], values[ties], linestyle="", marker="|", markersize=7, color=look.muted)
        labels.append(f"equal ({np.count_nonzero(ties):,})")
    ax.axhline(0, color=look.ink, linewidth=1)
    handles.append(ax.axhline(float(values.mean()), color=look.ink, linewidth=1.4, linestyle=(0, (4, 2))))
    labels.append(f"mean {signed_number(values.mean())}")
    if interval is not None:
        handles.append(ax.axhspan(*interval, color=look.muted, alpha=0.22, linewidth=0))
        labels.append(f"{level:.0%} interval {' to '.join(map(signed_number, interval))}")
    ax.grid(visible=False, axis="x")
    ax.set_xlim(0.2, len(values) + 0.8)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.xaxis.set_major_formatter(lambda value, _: short(value))
    label(ax, look, "images, sorted by difference", f"difference in {score}", title)
    legend_below(figure, look, handles, labels)
    return to_png(figure)
