"""Contact sheets: many patches on one picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.pictures.colors import Colors
from histoseed.pictures.lettering import INK, MUTED, LegendKey, blank, legend_strip, text_strip
from histoseed.pictures.overlay import outlined_at
from histoseed.pictures.raster import Picture, checked_labels, checked_picture, fitted_size, resize
from histoseed.wording import counted

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
    legend: Mapping[str, str] | Sequence[LegendKey] | None = None,
) -> Picture:
    """Patches in rows on white paper, each scaled to the same longer side, with its title above it.

    Outlines are drawn after scaling, so that they are as crisp on a large patch as on a tiny one.

    Args:
        images: Patches, (H, W, 3) uint8 each, of any sizes.
        titles: One text a patch; a second line after a line break is set smaller and in grey. Long ones are wrapped.
        labels: One label image (H, W) int a patch, or None for a patch without outlines.
        colors: Colours of the outlines, one entry a patch.
        columns: Patches in a row; by default as many as make the sheet a little wider than high.
        side: Longer side of a patch on the sheet, pixels. Smaller patches are enlarged.
        limit: Most patches that are drawn. Those left out are counted in a line at the foot.
        total: Number of patches there are, when ``images`` is only a choice of them.
        legend: Class name -> "#rrggbb", or keys, drawn at the foot.

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
    none = [None] * len(images)
    each = zip(images, *(none if one is None else one for one in (titles, labels, colors)), strict=True)
    tiles = [(lettered(text, side), _tile(image, at, color, side)) for image, text, at, color in islice(each, shown)]
    blocks = [_row(tiles[i : i + in_row], width, side) for i in range(0, shown, in_row)]
    if legend:
        blocks.append(legend_strip(_keys(legend), width))
    if total > shown:
        note = f"{shown:,} of {counted(total, 'patch')} are shown."
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


def lettered(title: str | None, width: int, size: int = _TITLE) -> Picture:
    """What stands above a picture: the first line of a title large, the second one small and grey, or nothing."""
    parts = [blank(0, width)]
    for i, line in enumerate((title or "").splitlines()[:2]):
        letters = round(size * _DETAIL / _TITLE) if i else size
        parts.append(text_strip(line, width, letters, bold=i == 0, color=MUTED if i else INK))
    return np.concatenate([*parts, *([blank(4, width)] if len(parts) > 1 else [])])


def _keys(legend: Mapping[str, str] | Sequence[LegendKey]) -> list[LegendKey]:
    if isinstance(legend, Mapping):
        return [LegendKey(name, color) for name, color in legend.items()]
    return list(legend)


def _tile(image: npt.ArrayLike, labels: npt.ArrayLike | None, colors: Colors, side: int) -> Picture:
    picture = checked_picture(image)
    shape = (picture.shape[0], picture.shape[1])
    out = resize(picture, *fitted_size(shape, side))
    return out if labels is None else outlined_at(out, checked_labels(labels, shape), colors, shape)


def _row(tiles: Sequence[tuple[Picture, Picture]], width: int, side: int) -> Picture:
    """Titles end, and pictures begin, at one height."""
    head = max(len(title) for title, _ in tiles)
    row = blank(head + max(len(picture) for _, picture in tiles), width)
    for i, (title, picture) in enumerate(tiles):
        left = i * (side + _GAP)
        row[head - len(title) : head, left : left + title.shape[1]] = title
        row[head : head + len(picture), left : left + picture.shape[1]] = picture
    return row
