"""Areas of tissue over a picture: a tint of the class, and a line where classes meet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.pictures.colors import rgb
from histoseed.pictures.overlay import outline_mask
from histoseed.pictures.raster import Picture, checked_picture

__all__ = ["draw_areas"]


def draw_areas(
    image: npt.ArrayLike, classes: npt.ArrayLike, colors: Sequence[str], *, tint: float = 0.3, lines: bool = True
) -> Picture:
    """A copy of the picture, tinted by class.

    Args:
        image: (H, W, 3) uint8.
        classes: (H, W) integers: 0 leaves the picture as it is, k is tinted with ``colors[k - 1]``.
        colors: "#rrggbb" of each class.
        tint: Share of the colour, 0 to 1; lines have all of it.
        lines: Draw a line where an area ends.

    Returns:
        (H, W, 3) uint8.

    >>> draw_areas(np.zeros((3, 3, 3), np.uint8), np.ones((3, 3), int), ["#ff0000"], tint=0.2)[1, 1].tolist()
    [51, 0, 0]

    Raises:
        InputError: another shape or type, or a class without a colour.
    """
    picture, kinds = checked_picture(image), np.asarray(classes)
    if kinds.shape != picture.shape[:2] or kinds.dtype.kind not in "bui":
        what = f"Classes are integers of the picture's shape {picture.shape[:2]}, not {kinds.dtype} {kinds.shape}."
        raise InputError(what, where="classes")
    if kinds.size and not 0 <= kinds.min() <= kinds.max() <= len(colors):
        raise InputError(f"Class {kinds.max()} has no colour; there are {len(colors)}.", where="classes")
    table = np.array([(0, 0, 0), *(rgb(color) for color in colors)], dtype=np.float32)
    share = np.where(kinds > 0, np.where(outline_mask(kinds) & lines, 1.0, tint), 0.0).astype(np.float32)[..., None]
    mixed = picture * (1 - share) + table[kinds] * share
    out: Picture = np.round(mixed).astype(np.uint8)
    return out
