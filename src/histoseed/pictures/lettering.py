"""Text on pictures: one typeface (DejaVu Sans, which comes with matplotlib), texts that wrap, legends."""

from __future__ import annotations

import bisect
import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from histoseed.pictures.colors import mixed, rgb
from histoseed.pictures.raster import Picture

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

__all__ = [
    "INK",
    "MUTED",
    "PAPER",
    "LegendKey",
    "blank",
    "hatched",
    "legend_strip",
    "line_height",
    "text_strip",
    "wrapped",
]

PAPER, INK, MUTED = "#ffffff", "#1b1f24", "#5d6670"


@dataclass(frozen=True, slots=True)
class LegendKey:
    """One entry of a legend.

    Args:
        text: What the colour means.
        color: "#rrggbb".
        filling: How the swatch looks: like outlines and filled areas, like hatched ones, or like regions.
    """

    text: str
    color: str
    filling: Literal["filled", "hatched", "region"] = "filled"


@functools.cache
def font(size: int, *, bold: bool = False) -> FreeTypeFont:
    """DejaVu Sans at ``size`` pixels."""
    import matplotlib as mpl
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / name), size)


def wrapped(text: str, width: int, size: int, *, bold: bool = False) -> list[str]:
    """``text`` in lines of at most ``width`` pixels, nothing left out.

    Lines break at blanks; a word that is wider than a line breaks after ``_ - . / : ,``, and as a last resort anywhere.

    Args:
        text: Any text; line breaks count as blanks.
        width: Pixels; a single letter that is wider stands on a line of its own.
        size: Of the letters, pixels.
        bold: Bold letters.
    """
    face = font(size, bold=bold)
    # Pillow encodes the text for its layout engine, and cannot do so with the lone surrogates of odd file names.
    words = text.encode("utf-8", "replace").decode().split()
    lines: list[str] = []
    line = ""
    for word in words:
        joined = f"{line} {word}" if line else word
        if face.getlength(joined) <= width:
            line = joined
            continue
        lines += [line] if line else []
        *full, line = _broken(word, width, face)
        lines += full
    return [*lines, line]


def _broken(word: str, width: int, face: FreeTypeFont) -> list[str]:
    """One word in pieces of at most that many pixels."""
    pieces = [""]
    for part in re.findall(r"[^_\-./:,]+[_\-./:,]*|[_\-./:,]+", word):
        if face.getlength(pieces[-1] + part) <= width:
            pieces[-1] += part
            continue
        rest = part
        while face.getlength(rest) > width:
            keep = max(1, _fitting(rest, width, face))
            pieces.append(rest[:keep])
            rest = rest[keep:]
        pieces.append(rest)
    return [piece for piece in pieces if piece] or [word]


def _fitting(text: str, width: int, face: FreeTypeFont) -> int:
    """How many letters of ``text`` are not wider than ``width`` pixels."""
    return bisect.bisect_right(range(1, len(text) + 1), width, key=lambda n: math.ceil(face.getlength(text[:n])))


def blank(height: int, width: int, color: str = PAPER) -> Picture:
    """A picture of one colour."""
    return np.full((height, width, 3), rgb(color), dtype=np.uint8)


def on_paper(picture: Picture, width: int) -> Picture:
    """The picture at the left of paper of that width."""
    out = blank(picture.shape[0], width)
    out[:, : picture.shape[1]] = picture
    return out


def line_height(size: int) -> int:
    """Pixels from one line of letters of that size to the next."""
    return round(1.4 * size)


def text_strip(text: str, width: int, size: int, *, bold: bool = False, color: str = INK) -> Picture:
    """A text on paper, left-aligned, in as many lines as it needs, (lines * line_height(size), width, 3)."""
    from PIL import Image, ImageDraw

    lines = wrapped(text, width, size, bold=bold)
    strip = Image.fromarray(blank(line_height(size) * len(lines), width))
    for row, line in enumerate(lines):
        at = (0, row * line_height(size) + 0.7 * size)
        ImageDraw.Draw(strip).text(at, line, fill=rgb(color), font=font(size, bold=bold), anchor="lm")
    return np.asarray(strip)


def hatched(height: int, width: int, color: str, period: int = 6) -> Picture:
    """Diagonal stripes of the colour and a light tint of it."""
    rows, columns = np.indices((height, width))
    stripes = (rows + columns) % period < (period + 1) // 2
    return np.where(stripes[..., None], rgb(color), rgb(mixed(color, PAPER, 0.65))).astype(np.uint8)


def framed_tint(height: int, width: int, color: str) -> Picture:
    """A pale tint of the colour in a dashed frame of it, as regions are drawn."""
    out = blank(height, width, mixed(color, PAPER, 0.65))
    rows, columns = np.indices((height, width))
    frame = np.minimum(np.minimum(rows, height - 1 - rows), np.minimum(columns, width - 1 - columns)) < 2
    out[frame & ((rows + columns) // 3 % 2 == 0)] = rgb(color)
    return out


_FILLINGS: Mapping[str, Callable[[int, int, str], Picture]] = {
    "filled": blank,
    "hatched": hatched,
    "region": framed_tint,
}


def legend_strip(keys: Sequence[LegendKey], width: int, size: int = 14, *, heading: str = "") -> Picture:
    """A legend in as many rows as it needs: a swatch and a text for each key, at least (2 * size, width, 3)."""
    indent = round(font(size, bold=True).getlength(heading)) + size if heading else 0
    if 2 * indent > width:
        head = text_strip(heading, width, size, bold=True)
        return np.concatenate([head, legend_strip(keys, width, size)])
    swatch = round(1.5 * size)
    rows: list[list[tuple[int, LegendKey, Picture]]] = [[]]
    x = indent
    for key in keys:
        room = max(1, width - indent - swatch)
        needed = min(room, 1 + math.ceil(max(font(size).getlength(line) for line in wrapped(key.text, room, size))))
        if rows[-1] and x + swatch + needed > width:
            rows.append([])
            x = indent
        rows[-1].append((x, key, text_strip(key.text, needed, size)))
        x += swatch + needed + round(1.6 * size)
    blocks = [_legend_row(row, width, size) for row in rows]
    if heading:
        _paste(blocks[0], text_strip(heading, indent, size, bold=True), round(0.3 * size), 0)
    return np.concatenate(blocks)


def _legend_row(row: Sequence[tuple[int, LegendKey, Picture]], width: int, size: int) -> Picture:
    out = blank(max([2 * size, *(len(text) + round(0.6 * size) for *_, text in row)]), width)
    for x, key, text in row:
        _paste(out, _FILLINGS[key.filling](size, size, key.color), size // 2, x)
        _paste(out, text, round(0.3 * size), round(x + 1.5 * size))
    return out


def _paste(out: Picture, picture: Picture, top: int, left: int) -> None:
    """Put a picture onto another; what would hang over is cut off."""
    place = out[top : top + picture.shape[0], left : left + picture.shape[1]]
    place[:] = picture[: place.shape[0], : place.shape[1]]
