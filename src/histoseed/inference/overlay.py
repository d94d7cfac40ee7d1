"""``overlay.png``: the slide, small, with the outlines of its objects."""

from __future__ import annotations

import numpy as np

from histoseed.annotations import Instances
from histoseed.geometry import Region
from histoseed.inference.pipeline import Readable
from histoseed.pictures import draw_instances, png_bytes

__all__ = ["Overlay"]

LONGEST = 4096
"""Longest side of the picture, pixels."""


class Overlay:
    """A picture of a region onto which objects are drawn as they come.

    Args:
        slide: Where pixels come from.
        region: What to show, level-0 pixels.
        mpp: Microns per level-0 pixel.
        colors: Class name -> "#rrggbb".
    """

    def __init__(self, slide: Readable, region: Region, mpp: float, colors: dict[str, str]) -> None:
        reduction = max(1.0, max(region.width, region.height) / LONGEST)
        shown = Region(region.x, region.y, region.width, region.height, mpp=mpp * reduction)
        self._picture = np.ascontiguousarray(slide.read(shown))
        self._offset = (region.x, region.y)
        self._scale = 1 / reduction
        self._colors = colors

    def draw(self, instances: Instances) -> None:
        """Draw the outlines of some objects."""
        if len(instances):
            self._picture = draw_instances(
                self._picture, instances, offset=self._offset, scale=self._scale, colors=self._colors
            )

    def png(self) -> bytes:
        """The picture so far."""
        return png_bytes(self._picture)
