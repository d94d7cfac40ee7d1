"""``overlay.png``: the slide, small, with the outlines of its objects in a casing."""

from __future__ import annotations

from histoseed.annotations import Instances
from histoseed.geometry import Region
from histoseed.inference.pipeline import Readable
from histoseed.pictures import Strokes, png_bytes

__all__ = ["Overlay"]

LONGEST = 4096
"""Longest side of the picture, pixels."""


class Overlay:
    """A picture of a region onto which objects are drawn as they come; in which portions changes nothing.

    Args:
        slide: Where pixels come from.
        region: What to show, level-0 pixels.
        mpp: Microns per level-0 pixel.
        colors: Class name -> "#rrggbb", of every class.
    """

    def __init__(self, slide: Readable, region: Region, mpp: float, colors: dict[str, str]) -> None:
        reduction = max(1.0, max(region.width, region.height) / LONGEST)
        shown = Region(region.x, region.y, region.width, region.height, mpp=mpp * reduction)
        self._picture = slide.read(shown)
        rows, columns = self._picture.shape[:2]
        self._strokes = Strokes((rows, columns), offset=(region.x, region.y), scale=1 / reduction, colors=colors)

    def draw(self, instances: Instances) -> None:
        """Draw the outlines of some objects."""
        self._strokes.add(instances)

    def png(self) -> bytes:
        """The picture so far."""
        return png_bytes(self._strokes.over(self._picture))
