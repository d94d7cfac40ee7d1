"""Contact sheets: many patches on one picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.pictures.colors import Colors
from histoseed.pictures.lettering import INK, MUTED, LegendKey, blank, legend_strip, text_strip
from histoseed.pictures.overlay import clear_thickness, outlined
from histoseed.pictures.raster import Picture, checked_labels, checked_picture, fitted_size, resize, resize_labels

__all__ = ["contact_sheet"]

_MARGIN, _GAP, _TITLE, _DETAIL = 20, 16, 14, 12


def contact_sheet(
    images: Sequence[npt.ArrayLike],
    titles: Sequence[str] | None = None,
    *,
    labels: Sequence[npt.ArrayLike | None] | None = None,
    colors: Sequence[Colors] | None = None,
    columns: int | None = None,
    side: int = 256,
    limit: int = 24,
    total: int | None = None,
    legend: Mapping[str, str] | None = None,
) -> Picture:
    """Patches in rows on white paper, each scaled to the same longer side, with its title above it.

    Outlines are drawn after scaling, so that they are as crisp on a large patch as on a tiny one.

    Args:
        images: Patches, (H, W, 3) uint8 each, of any sizes.
        titles: One text a patch; a second line after a line break is set smaller and in grey. Cut where too long.
        labels: One label image (H, W) int a patch, or None for a patch without outlines.
        colors: Colours of the outlines, one entry a patch.
        columns: Patches in a row; by default as many as make the sheet a little wider than high.
        side: Longer side of a patch on the sheet, pixels. Smaller patches are enlarged.
        limit: Most patches that are drawn. Those left out are counted in a line at the foot.
        total: Number of patches there are, when ``images`` is only a choice of them.
        legend: Class name -> "#rrggbb", drawn at the foot.

    Returns:
        (H, W, 3) uint8.

    Raises:
        InputError: no patch, lists of different length, an array of another shape or type, a number below 1.
    """
    if len(images) == 0:
        raise InputError("A contact sheet needs at least one patch.")
    for name, column in (("titles", titles), ("labels", labels), ("colors", colors)):
        if column is not None and len(column) != len(images):
            raise InputError(f"There are {len(images)} patches and {len(column)} {name}.", where="contact sheet")
    if min(side, limit, columns or 1) < 1 or columns == 0:
        raise InputError("side, limit and columns must be at least 1.", where="contact sheet")
    shown = min(len(images), limit)
    total = max(len(images), total or 0)
    in_row = min(shown, columns or _natural_columns(shown))
    width = in_row * side + (in_row - 1) * _GAP
    tiles = [
        _tile(
            images[i],
            None if labels is None else labels[i],
            None if colors is None else colors[i],
            None if titles is None else titles[i],
            side,
        )
        for i in range(shown)
    ]
    blocks = [_row(tiles[i : i + in_row], width, side) for i in range(0, shown, in_row)]
    if legend:
        blocks.append(legend_strip([LegendKey(name, color) for name, color in legend.items()], width))
    if total > shown:
        note = f"{shown:,} of {total:,} patches are shown."
        blocks.append(text_strip(note, width, _TITLE, color=MUTED))
    return stacked(blocks, width)


def _natural_columns(count: int) -> int:
    """Columns that make the sheet a little wider than high and leave few places empty.

    >>> [_natural_columns(n) for n in (1, 2, 6, 12, 24)]
    [1, 2, 3, 4, 6]
    """
    usual = math.ceil(math.sqrt(count * 1.4))
    return min((usual, max(1, usual - 1), usual + 1), key=lambda columns: -count % columns)


def stacked(blocks: Sequence[Picture], width: int, gap: int = _GAP) -> Picture:
    """Blocks of equal width one below the other, with gaps and a margin around, on paper."""
    height = sum(len(block) for block in blocks) + gap * (len(blocks) - 1)
    sheet = blank(height + 2 * _MARGIN, width + 2 * _MARGIN)
    top = _MARGIN
    for block in blocks:
        sheet[top : top + len(block), _MARGIN : _MARGIN + width] = block
        top += len(block) + gap
    return sheet


def titled(title: str | None, picture: Picture, width: int) -> Picture:
    """The picture on paper of that width, the lines of the title above it."""
    parts = []
    for i, line in enumerate((title or "").splitlines()[:2]):
        parts.append(text_strip(line, width, _DETAIL if i else _TITLE, bold=i == 0, color=MUTED if i else INK))
    body = blank(picture.shape[0], width)
    body[:, : picture.shape[1]] = picture
    return np.concatenate([*parts, *([blank(4, width)] if parts else []), body])


def _tile(image: npt.ArrayLike, labels: npt.ArrayLike | None, colors: Colors, title: str | None, side: int) -> Picture:
    picture = checked_picture(image)
    size = fitted_size(picture.shape, side)
    out = resize(picture, *size)
    if labels is not None:
        at = resize_labels(checked_labels(labels, (picture.shape[0], picture.shape[1])), *size)
        out = outlined(out, at, colors, clear_thickness(picture.shape, size))
    return titled(title, out, side)


def _row(tiles: Sequence[Picture], width: int, side: int) -> Picture:
    row = blank(max(len(tile) for tile in tiles), width)
    for i, tile in enumerate(tiles):
        row[: len(tile), i * (side + _GAP) : i * (side + _GAP) + side] = tile
    return row
