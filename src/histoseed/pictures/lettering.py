"""Text on pictures: one typeface (DejaVu Sans, which comes with matplotlib), titles cut to fit, legends."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from histoseed.pictures.colors import mixed, rgb
from histoseed.pictures.raster import Picture

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

__all__ = ["INK", "MUTED", "PAPER", "LegendKey", "blank", "fit_text", "hatched", "legend_strip", "text_strip"]

PAPER, INK, MUTED = "#ffffff", "#1b1f24", "#5d6670"


@dataclass(frozen=True, slots=True)
class LegendKey:
    """One entry of a legend: a colour, its meaning, and whether the area is hatched."""

    text: str
    color: str
    hatched: bool = False


@functools.cache
def font(size: int, *, bold: bool = False) -> FreeTypeFont:
    """DejaVu Sans at ``size`` pixels."""
    import matplotlib as mpl
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / name), size)


def fit_text(text: str, width: int, size: int, *, bold: bool = False) -> str:
    """``text`` in one line, cut in its middle with an ellipsis when it is wider than ``width`` pixels.

    The middle goes because names of patches differ at their ends.
    """
    face = font(size, bold=bold)
    # Pillow encodes the text for its layout engine, and cannot do so with the lone surrogates of odd file names.
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    if face.getlength(line) <= width:
        return line
    low, high = 0, len(line)
    while low < high:
        keep = (low + high + 1) // 2
        low, high = (keep, high) if face.getlength(_cut(line, keep)) <= width else (low, keep - 1)
    return _cut(line, low)


def _cut(line: str, keep: int) -> str:
    head = (keep + 1) // 2
    return line[:head].rstrip() + "…" + line[len(line) - (keep - head) :].lstrip()


def blank(height: int, width: int, color: str = PAPER) -> Picture:
    """A picture of one colour."""
    return np.full((height, width, 3), rgb(color), dtype=np.uint8)


def text_strip(text: str, width: int, size: int, *, bold: bool = False, color: str = INK) -> Picture:
    """One line of text on paper, left-aligned, (round(1.4 * size), width, 3)."""
    from PIL import Image, ImageDraw

    strip = Image.fromarray(blank(round(1.4 * size), width))
    line = fit_text(text, width, size, bold=bold)
    ImageDraw.Draw(strip).text((0, 0.7 * size), line, fill=rgb(color), font=font(size, bold=bold), anchor="lm")
    return np.asarray(strip)


def hatched(height: int, width: int, color: str, period: int = 6) -> Picture:
    """Diagonal stripes of the colour and a light tint of it."""
    rows, columns = np.indices((height, width))
    stripes = (rows + columns) % period < (period + 1) // 2
    return np.where(stripes[..., None], rgb(color), rgb(mixed(color, PAPER, 0.65))).astype(np.uint8)


def legend_strip(keys: Sequence[LegendKey], width: int, size: int = 14, *, heading: str = "") -> Picture:
    """A legend in as many rows as it needs: a swatch and a text for each key, (rows * 2 * size, width, 3)."""
    indent = round(font(size, bold=True).getlength(heading)) + size if heading else 0
    places: list[tuple[int, int, LegendKey]] = []
    row, x = 0, indent
    for key in keys:
        needed = round(1.5 * size + font(size).getlength(fit_text(key.text, width - indent - 2 * size, size)))
        if x > indent and x + needed > width:
            row, x = row + 1, indent
        places.append((row, x, key))
        x += needed + round(1.6 * size)
    out = blank(2 * size * (row + 1), width)
    if heading:
        _paste(out, text_strip(heading, indent, size, bold=True), round(0.3 * size), 0)
    for row, x, key in places:
        top, left = 2 * size * row, round(x + 1.5 * size)
        _paste(out, (hatched if key.hatched else blank)(size, size, key.color), top + size // 2, x)
        _paste(out, text_strip(key.text, max(1, width - left), size), top + round(0.3 * size), left)
    return out


def _paste(out: Picture, picture: Picture, top: int, left: int) -> None:
    """Put a picture onto another; what would hang over is cut off."""
    place = out[top : top + picture.shape[0], left : left + picture.shape[1]]
    place[:] = picture[: place.shape[0], : place.shape[1]]
