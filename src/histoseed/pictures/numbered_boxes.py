"""Numbered boxes on a picture: where something lies on a slide."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from histoseed.pictures.colors import rgb
from histoseed.pictures.lettering import font
from histoseed.pictures.raster import Picture, checked_picture

__all__ = ["numbered_boxes"]

_LINE, _CASING, _PAPER = "#0072b2", "#ffffff", "#ffffff"
_LEAST = 8
"""Pixels: a smaller box is drawn as large as this, so that it is seen."""


def numbered_boxes(image: npt.ArrayLike, boxes: npt.ArrayLike, numbers: Sequence[int]) -> Picture:
    """A copy of the picture with boxes, each with its number beside it.

    Args:
        image: (H, W, 3) uint8.
        boxes: x0, y0, x1, y1 in pixels of the picture. Shape (N, 4).
        numbers: One a box.

    Raises:
        InputError: not a picture.

    >>> numbered_boxes(np.full((40, 40, 3), 200, np.uint8), [[10, 10, 30, 30]], [1]).shape
    (40, 40, 3)
    """
    from PIL import Image, ImageDraw

    picture = checked_picture(image)
    height, width = picture.shape[:2]
    size = max(14, round(max(height, width) / 60))
    thick = max(2, size // 8)
    canvas = Image.fromarray(np.ascontiguousarray(picture))
    draw = ImageDraw.Draw(canvas)
    for (x0, y0, x1, y1), number in zip(np.asarray(boxes, np.float64).reshape(-1, 4), numbers, strict=True):
        grow_x, grow_y = max(0.0, _LEAST - (x1 - x0)) / 2, max(0.0, _LEAST - (y1 - y0)) / 2
        box = (x0 - grow_x, y0 - grow_y, x1 + grow_x, y1 + grow_y)
        around = (box[0] - thick, box[1] - thick, box[2] + thick, box[3] + thick)
        draw.rectangle(around, outline=_CASING, width=3 * thick)
        draw.rectangle(box, outline=_LINE, width=thick)
        face = font(size, bold=True)
        left, top, right, bottom = draw.textbbox((0, 0), str(number), font=face)
        wide, high = right - left + size // 2, bottom - top + size // 2
        # Above the box, or inside the picture where there is no room.
        x, y = min(max(0, box[0]), max(0, width - wide)), min(max(0, box[1] - high), max(0, height - high))
        draw.rectangle((x, y, x + wide, y + high), fill=_LINE)
        draw.text((x + wide / 2, y + high / 2), str(number), fill=rgb(_PAPER), font=face, anchor="mm")
    return np.asarray(canvas)
