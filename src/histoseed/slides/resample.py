"""From pixels of one level to pixels at the wanted resolution, so that neighbouring reads join without a seam.

All positions are continuous: pixel k covers [k, k + 1]. Output pixel j of a region that starts at x covers
[x + j s, x + (j + 1) s] in level-0 pixels, s = region mpp / slide mpp.

Filters are Pillow's, antialiased and with sub-pixel boxes: Hamming to make smaller (as sharp as an area average,
and, unlike it, right at fractional positions), bicubic to enlarge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["Span", "inside", "resample", "span"]

_STILL = 1e-3
"""Shifts of less than this many pixels are rounding errors: the pixels are taken as they are."""
_SUPPORT = 2
"""Half-width of the bicubic kernel, the widest used (Hamming: 1), in pixels of the coarser grid."""


@dataclass(frozen=True, slots=True)
class Span:
    """One axis of a read: which level pixels to fetch, and where the output lies in them.

    Args:
        low: First level pixel to fetch.
        high: Level pixel after the last one to fetch.
        before: Level pixels to repeat before `low`, at the border of the level.
        after: Level pixels to repeat after `high`.
        start: Left end of the output in the fetched and extended pixels.
        stop: Right end of it.
        count: Output pixels.
    """

    low: int
    high: int
    before: int
    after: int
    start: float
    stop: float
    count: int

    @property
    def factor(self) -> float:
        """Fetched pixels along one output pixel."""
        return (self.stop - self.start) / self.count

    @property
    def exact(self) -> bool:
        """Whether output pixels are fetched pixels, one to one."""
        still = abs(self.start - round(self.start)) < _STILL
        return still and abs(self.stop - self.start - self.count) < _STILL


def inside(origin: float, scale: float, count: int, size: int) -> tuple[int, int]:
    """First and after-last of the output pixels whose centres lie in [0, size).

    >>> inside(-3.0, 2.0, 10, 8)
    (1, 5)
    """
    first = math.ceil(-origin / scale - 0.5)
    last = math.ceil((size - origin) / scale - 0.5)
    first, last = (min(max(k, 0), count) for k in (first, last))
    return first, max(first, last)


def span(origin: float, scale: float, part: tuple[int, int], *, downsample: float, extent: int) -> Span:
    """What to fetch of a level for output pixels ``part[0] .. part[1]`` of one axis.

    Args:
        origin: Where output pixel 0 begins, level-0 pixels.
        scale: Level-0 pixels along one output pixel.
        part: First and after-last output pixel; their centres lie inside the slide.
        downsample: Level-0 pixels along one pixel of the level.
        extent: Pixels of the level along this axis.
    """
    begin = (origin + part[0] * scale) / downsample
    end = (origin + part[1] * scale) / downsample
    count = part[1] - part[0]
    if abs(begin - round(begin)) < _STILL and abs(end - begin - count) < _STILL:
        begin, end, margin = float(round(begin)), float(round(begin) + count), 0
    else:
        margin = math.ceil(_SUPPORT * max(1.0, scale / downsample)) + 1
    # a level may be up to one pixel short of the slide, and the last output pixel may reach over the border
    low = min(max(math.floor(begin) - margin, 0), extent - 1)
    high = max(min(math.ceil(end) + margin, extent), low + 1)
    before = max(0, low - math.floor(begin))
    after = max(0, math.ceil(end) - high)
    return Span(low, high, before, after, begin - low + before, end - low + before, count)


def resample(pixels: NDArray[np.uint8], rows: Span, columns: Span) -> NDArray[np.uint8]:
    """Fetched pixels to output pixels.

    Args:
        pixels: (rows.high - rows.low, columns.high - columns.low, 3).
        rows: The vertical axis.
        columns: The horizontal axis.

    Returns:
        (rows.count, columns.count, 3).
    """
    if rows.before or rows.after or columns.before or columns.after:
        repeat = ((rows.before, rows.after), (columns.before, columns.after), (0, 0))
        pixels = np.pad(pixels, repeat, mode="edge")
    if rows.exact and columns.exact:
        top, left = round(rows.start), round(columns.start)
        return pixels[top : top + rows.count, left : left + columns.count]
    smaller = max(rows.factor, columns.factor) > 1 + _STILL  # rounding must not choose the filter
    kernel = Image.Resampling.HAMMING if smaller else Image.Resampling.BICUBIC
    image = Image.fromarray(np.ascontiguousarray(pixels))
    # one axis after the other: asked for both, Pillow takes the cheaper first, and tiles of other shapes differ by one
    image = image.resize((columns.count, image.height), kernel, box=(columns.start, 0, columns.stop, image.height))
    image = image.resize((columns.count, rows.count), kernel, box=(0, rows.start, columns.count, rows.stop))
    return np.asarray(image)
