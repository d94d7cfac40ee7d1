"""The charts of a data set: objects by class and kind, diameters by class.

They are drawn with the lettering of the contact sheet that they stand below, row by row, on whole pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.pictures.colors import mixed, rgb
from histoseed.pictures.figures import log_ticks, short
from histoseed.pictures.lettering import (
    INK,
    MUTED,
    PAPER,
    blank,
    font,
    hatched,
    line_height,
    on_paper,
    text_strip,
    wrapped,
)
from histoseed.pictures.raster import Picture
from histoseed.wording import counted

__all__ = ["ClassObjects", "class_bars", "size_rows", "stacked_left"]

_HEADING, _TEXT = 14, 12
_GRID = "#e3e6ea"
_MOST_BARS, _MOST_SIZES = 60, 8
_FEW = 12
"""Up to so many classes, those without an object have a row too, and rows are wide apart."""
_SPREAD = 50
"""From this ratio of the largest to the smallest count on, a bar on a linear axis would be a hair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassObjects:
    """The objects of one class.

    Args:
        name: The class.
        color: "#rrggbb".
        outlined: Number of objects with an outline.
        boxes: Number of those with a box only.
        points: Number of those with a point only.
        diameters_um: Equivalent diameters of outlined objects in micrometres, where the resolution is known.
        diameters_px: The same in pixels, where it is not.
    """

    name: str
    color: str
    outlined: int = 0
    boxes: int = 0
    points: int = 0
    diameters_um: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    diameters_px: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @property
    def total(self) -> int:
        """Objects of every kind."""
        return self.outlined + self.boxes + self.points


def class_bars(objects: Sequence[ClassObjects], width: int) -> Picture:
    """A bar for each class and kind: filled where outlined, hollow for boxes, hatched for points; the longest first.

    The axis is logarithmic where the counts differ much; it starts at a half then, so that a single object shows.

    Args:
        objects: One entry a class. At most 60 bars are drawn, the others are summed up in words; of many classes,
            those without an object are only counted.
        width: Of the picture, pixels.
    """
    heading = text_strip("Objects by class", width, _HEADING, bold=True)
    bars, empty = _bars(objects)
    if not bars or empty == len(objects):
        return stacked_left([heading, text_strip("No object is annotated.", width, _TEXT, color=MUTED)], gap=6)
    shown, rest = bars[:_MOST_BARS], bars[_MOST_BARS:]
    counts = [count for *_, count in shown if count]
    low = 0.5 if max(counts) >= _SPREAD * min(counts) else 0.0
    words = [_words(kind, count, plain=all(one.boxes + one.points == 0 for one in objects)) for _, kind, count in shown]
    names = [one.name if row == 0 or shown[row - 1][0] is not one else "" for row, (one, *_) in enumerate(shown)]
    pitch = 24 if len(shown) <= _FEW else 18
    # Two ticks, of which one is no object, would not be an axis.
    high = max(2, *counts) if low == 0 else max(counts)
    axes = _Axes(names, words, width=width, pitch=pitch, low=low, high=high)
    for row, (one, kind, count) in enumerate(shown):
        if count:
            axes.bar(row, axes.left, axes.at(count), one.color, kind)
    axes.close(*(log_ticks(1, high) if low else _ticks(high)))
    said = ["Logarithmic axis."] if low else []
    said += _kinds_in(shown)
    if rest:
        held = counted(sum(count for *_, count in rest), "object")
        said.append(f"{counted(len(rest), 'further bar')} would hold {held}.")
    if empty and len(objects) > _FEW:
        said.append(f"{counted(empty, 'more class')} {'has' if empty == 1 else 'have'} no object.")
    return stacked_left(
        [heading, *([text_strip(" ".join(said), width, _TEXT, color=MUTED)] if said else []), axes.picture], gap=6
    )


def size_rows(objects: Sequence[ClassObjects], width: int, unit: str) -> Picture:
    """The distribution of diameters, one row a class on a common logarithmic axis, with the median of each.

    Args:
        objects: One entry a class; the eight most frequent get a row, the others share one.
        width: Of the picture, pixels.
        unit: "um" or "px": which diameters are shown.

    Raises:
        InputError: a diameter that is not a positive number.
    """
    rows = _sizes(objects, unit)
    about = f"Equivalent diameter, {unit}{'' if unit == 'um' else ' (resolution unknown)'}"
    heading = text_strip(about, width, _HEADING, bold=True)
    if not rows:
        return stacked_left([heading, text_strip("No object is outlined.", width, _TEXT, color=MUTED)], gap=6)
    every = np.concatenate([values for *_, values in rows])
    if not (np.isfinite(every).all() and every.min() > 0):
        raise InputError("Diameters must be positive numbers.", where="sizes of objects")
    low, high = float(every.min()), float(every.max())
    low, high = (low / 1.5, high * 1.5) if high < 1.5 * low else (low, high)
    medians = [float(np.median(values)) for *_, values in rows]
    words = [f"median {_measure(median)} {unit}, n {len(v):,}" for (*_, v), median in zip(rows, medians, strict=True)]
    axes = _Axes([name for name, *_ in rows], words, width=width, pitch=_pitch(len(rows)), low=low, high=high)
    bins = round(3 * math.sqrt(max(len(values) for *_, values in rows)))
    for row, ((_, color, values), median) in enumerate(zip(rows, medians, strict=True)):
        axes.histogram(row, values, color, max(12, bins))
        axes.line(row, axes.at(median))
    axes.close(*log_ticks(low, high))
    said = "Outlined objects; each row is scaled to its own highest bar, the line is the median."
    return stacked_left([heading, text_strip(said, width, _TEXT, color=MUTED), axes.picture], gap=6)


def _measure(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _pitch(rows: int) -> int:
    """Height of a row of sizes: few of them may be high."""
    return 72 if rows <= 2 else 52 if rows <= 4 else 40


def _bars(objects: Sequence[ClassObjects]) -> tuple[list[tuple[ClassObjects, str, int]], int]:
    """Class, kind, count, the most frequent class first; and how many classes have no object."""
    bars, empty = [], 0
    for one in sorted(objects, key=lambda one: -one.total):
        kinds = {"outlined": one.outlined, "box": one.boxes, "point": one.points}
        bars += [(one, kind, count) for kind, count in kinds.items() if count]
        if not one.total:
            empty += 1
            bars += [(one, "outlined", 0)] if len(objects) <= _FEW else []
    return bars, empty


def _words(kind: str, count: int, *, plain: bool) -> str:
    return f"{count:,}" if plain or not count else counted(count, kind, "outlined" if kind == "outlined" else None)


def _kinds_in(bars: Sequence[tuple[ClassObjects, str, int]]) -> list[str]:
    """What the fillings mean, where that needs saying."""
    kinds = {kind for _, kind, count in bars if count}
    said = {"outlined": "Filled: outlined.", "box": "Hollow: box only.", "point": "Hatched: point only."}
    return [] if kinds == {"outlined"} else [text for kind, text in said.items() if kind in kinds]


def _sizes(objects: Sequence[ClassObjects], unit: str) -> list[tuple[str, str, npt.NDArray[np.float64]]]:
    """Name, colour, diameters; the most frequent class first, the rare ones together."""
    found = [(o.name, o.color, o.diameters_um if unit == "um" else o.diameters_px) for o in objects]
    found = sorted((row for row in found if len(row[2])), key=lambda row: -len(row[2]))
    rest = found[_MOST_SIZES:]
    if len(rest) > 1:
        found[_MOST_SIZES:] = [(counted(len(rest), "other class"), MUTED, np.concatenate([row[2] for row in rest]))]
    return found


def _ticks(high: int) -> tuple[list[float], list[str]]:
    """Ticks from 0 to ``high`` in steps of 1, 2 or 5 times a power of ten, five at most."""
    power = 10.0 ** math.floor(math.log10(high))
    steps = (f * power for f in (0.1, 0.2, 0.5, 1, 2, 5) if f * power >= 1)
    step = next(step for step in steps if high / step <= 5)
    ticks = [step * k for k in range(int(high / step) + 1)]
    return ticks, [short(tick) for tick in ticks]


class _Axes:
    """Rows with a name on the left, words on the right, and a common axis between them.

    Args:
        names: One a row.
        words: One a row.
        width: Of the picture, pixels.
        pitch: Height of a row, pixels.
        low: Value at the left end; 0 for a linear axis, above it for a logarithmic one.
        high: Value at the right end.
    """

    def __init__(
        self, names: Sequence[str], words: Sequence[str], *, width: int, pitch: int, low: float, high: float
    ) -> None:
        face = font(_TEXT)
        self.right = width - math.ceil(max(face.getlength(text) for text in words)) - 10
        wide = max(face.getlength(line) for name in names for line in wrapped(name, width, _TEXT))
        self.left = max(1, min(math.ceil(wide), (self.right - 10) // 2)) + 10
        self.low, self.high, self.pitch = low, high, pitch
        heights = [max(pitch, len(wrapped(name, self.left - 10, _TEXT)) * line_height(_TEXT) + 4) for name in names]
        self.rows = np.cumsum([0, *heights])
        self.bottom = int(self.rows[-1])
        self.picture = blank(self.bottom + 22, width)
        for row, (name, word) in enumerate(zip(names, words, strict=True)):
            self._text(name, row, 0, self.left - 10)
            self._text(word, row, self.right + 10, width)

    def at(self, value: float) -> int:
        """Column of a value."""
        share = math.log(value / self.low) / math.log(self.high / self.low) if self.low else value / self.high
        return self.left + round(share * (self.right - self.left))

    def _text(self, text: str, row: int, left: int, right: int) -> None:
        strip = text_strip(text, max(1, right - left), _TEXT)
        self._paste(strip, self._middle(row) - len(strip) // 2, left)

    def _middle(self, row: int) -> int:
        return int(self.rows[row] + self.rows[row + 1]) // 2

    def _paste(self, picture: Picture, top: int, left: int) -> None:
        self.picture[top : top + picture.shape[0], left : left + picture.shape[1]] = picture

    def bar(self, row: int, left: int, right: int, color: str, kind: str) -> None:
        """A bar with a thin dark edge, which keeps pale colours visible."""
        height, width = self.pitch - max(4, self.pitch // 4), max(2, right - left)
        inside = hatched(height, width, color) if kind == "point" else blank(height, width, color)
        edge = 1
        if kind == "box":
            edge = 2
            inside[edge:-edge, edge:-edge] = rgb(PAPER)
        else:
            frame = np.ones((height, width), dtype=bool)
            frame[edge:-edge, edge:-edge] = False
            inside[frame] = rgb(mixed(color, INK, 0.45))
        self._paste(inside, self._middle(row) - height // 2, left)

    def histogram(self, row: int, values: npt.NDArray[np.float64], color: str, bins: int) -> None:
        """Bars of six pixels or more, the highest as high as the row allows."""
        bins = min(bins, (self.right - self.left) // 6)
        columns = np.linspace(self.left, self.right, bins + 1).round().astype(int)
        share = (columns - self.left) / (self.right - self.left)
        edges = self.low * (self.high / self.low) ** share
        edges[0], edges[-1] = min(edges[0], values.min()), max(edges[-1], values.max())  # rounding loses no value
        counts, _ = np.histogram(values, edges)
        room, floor = self.pitch - 8, self._middle(row) + self.pitch // 2 - 2
        dark = mixed(color, INK, 0.45)
        for count, left, right in zip(counts, columns[:-1], columns[1:], strict=True):
            if count:
                top = floor - max(2, round(room * count / counts.max()))
                self.picture[top:floor, left : right - 1] = rgb(color)
                self.picture[top, left : right - 1] = rgb(dark)
        self.picture[floor, self.left : self.right] = rgb(MUTED)

    def line(self, row: int, at: int) -> None:
        """A vertical mark through a row."""
        top = self._middle(row) - self.pitch // 2
        self.picture[top + 2 : top + self.pitch - 1, at - 1 : at + 1] = rgb(INK)

    def close(self, ticks: Sequence[float], labels: Sequence[str]) -> None:
        """Grid lines where the paper is free, and the labels of the ticks."""
        free_from = self.left - 10
        for tick, label in zip(ticks, labels, strict=True):
            at = min(self.at(tick), self.right - 1)
            column = self.picture[: self.bottom, at]
            column[np.all(column == rgb(PAPER), axis=1)] = rgb(_GRID)
            wide = math.ceil(font(_TEXT).getlength(label))
            left = max(0, at - wide // 2)
            if left >= free_from:
                strip = text_strip(label, min(wide + 2, self.picture.shape[1] - left), _TEXT, color=MUTED)
                self._paste(strip, self.bottom + 4, left)
                free_from = left + wide + 8


def stacked_left(blocks: Sequence[Picture], gap: int) -> Picture:
    """Blocks one below the other, each filled up to the widest."""
    width = max(block.shape[1] for block in blocks)
    parts = [on_paper(block, width) for block in blocks]
    return np.concatenate([part for one in parts for part in (blank(gap, width), one)][1:])
