"""Windows that share a region out, so that a region of any size is seen piece by piece."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histoseed.geometry import Region
from histoseed.prompting.windows import Window, WindowPolicy, window_at

__all__ = ["MARGIN", "RegionTile", "region_tiles", "tile_side"]

MARGIN = 1 / 8
"""Part of a window's side around its core: an object that is asked for in a core and is not larger is seen whole."""


@dataclass(frozen=True, slots=True)
class RegionTile:
    """A window, and the part of the region that is asked about in it.

    Args:
        window: What the model sees.
        core: Level-0 pixels. Every point of a region lies in exactly one core.
    """

    window: Window
    core: Region

    def holds(self, points: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Which of (N, 2) points lie in the core: its left and upper borders belong to it."""
        low = (self.core.x, self.core.y)
        high = (self.core.x + self.core.width, self.core.y + self.core.height)
        return np.asarray((points >= low).all(1) & (points < high).all(1))


def tile_side(slide_mpp: float | None, policy: WindowPolicy, *, window_um: float | None = None) -> int:
    """Side of the windows in level-0 pixels.

    Args:
        slide_mpp: Microns per pixel of level 0, or None.
        policy: Of the model.
        window_um: Side in micrometres, where the resolution is known, but not below the smallest of the policy; None
            takes as many pixels as the model likes best, as fine as it looks.
    """
    if window_um is not None and slide_mpp is not None:
        return math.ceil(max(window_um / slide_mpp, policy.min_px, 1.0))
    finest = 1.0 if slide_mpp is None or policy.mpp is None else policy.mpp / slide_mpp
    return max(1, math.ceil(policy.side * finest))


def region_tiles(
    region: Region, size: tuple[int, int], slide_mpp: float | None, policy: WindowPolicy, *, side: int
) -> list[RegionTile]:
    """The tiles of a region, row by row.

    Args:
        region: Whole level-0 pixels within the slide.
        size: Width and height of the slide.
        slide_mpp: Microns per pixel of level 0, or None.
        policy: Of the model.
        side: Of a window, level-0 pixels; see :func:`tile_side`. A smaller slide limits it.

    Returns:
        Windows lie within the slide; their cores have even sizes, and around each is a margin of context, except
        where the slide ends.
    """
    finest = 1.0 if slide_mpp is None or policy.mpp is None else policy.mpp / slide_mpp
    step = max(side / policy.side, finest)
    columns = _axis(region.x, region.width, side, size[0])
    rows = _axis(region.y, region.height, side, size[1])
    return [
        RegionTile(window_at((x, y, width, height), step, slide_mpp), Region(x0, y0, x1 - x0, y1 - y0))
        for y, height, y0, y1 in rows
        for x, width, x0, x1 in columns
    ]


def _axis(low: float, length: float, side: int, limit: int) -> list[tuple[int, int, float, float]]:
    """Start and length of each window along one axis, start and end of its core."""
    side = min(side, limit)
    count = 1 if side == limit else math.ceil(length / (side * (1 - 2 * MARGIN)))
    edges = np.linspace(low, low + length, count + 1).tolist()
    cores = list(itertools.pairwise(edges))
    starts = [min(max(math.floor((a + b - side) / 2 + 0.5), 0), limit - side) for a, b in cores]
    return [(start, side, a, b) for start, (a, b) in zip(starts, cores, strict=True)]
