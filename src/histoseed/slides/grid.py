"""Tiles of a region: cores that share it out without gap or overlap, each inside a window with a margin."""

from __future__ import annotations

from dataclasses import dataclass

from histoseed.errors import InputError
from histoseed.geometry.regions import Region
from histoseed.slides.resolution import pixel_scale

__all__ = ["Box", "Tile", "tile_grid"]

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in output pixels; the last two are exclusive."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile of a grid.

    Args:
        index: Number of the tile, row by row.
        row: Row of the grid.
        col: Column of the grid.
        core: The pixels this tile alone answers for, in the array of the whole region.
        window: The pixels to look at: always a square of the grid's tile side; it begins one margin before the core
            and may reach outside the region and the slide.
        region: The window in level-0 pixels, ready for :meth:`Slide.read`.
    """

    index: int
    row: int
    col: int
    core: Box
    window: Box
    region: Region

    def owns(self, x: float, y: float) -> bool:
        """Whether a point of the whole region's array lies in the core; every inner point has exactly one owner."""
        x0, y0, x1, y1 = self.core
        return x0 <= x < x1 and y0 <= y < y1


def tile_grid(region: Region, slide_mpp: float | None, tile: int, margin: int) -> list[Tile]:
    """Cut a region into tiles.

    Args:
        region: What to cover, level-0 pixels, with the resolution to work at.
        slide_mpp: Microns per pixel of the slide's level 0.
        tile: Side of a window, pixels at the region's resolution.
        margin: Pixels around each core that belong to its window; the core's side is ``tile - 2 * margin``.

    Returns:
        Tiles row by row. Their cores partition ``region.shape(slide_mpp)``; those of the last row and column may be
        smaller.

    Raises:
        InputError: The margin is negative, or leaves no core.
        UnknownMppError: The region names a resolution and `slide_mpp` is None.

    >>> [t.core for t in tile_grid(Region(0, 0, 100, 50), None, tile=80, margin=10)]
    [(0, 0, 60, 50), (60, 0, 100, 50)]
    """
    step = tile - 2 * margin
    if margin < 0 or step < 1:
        raise InputError(f"A margin of {margin} pixels leaves no core of a tile of {tile}.", where="tile grid")
    scale = pixel_scale(region, slide_mpp, where="tile grid")
    height, width = region.shape(slide_mpp)
    tiles: list[Tile] = []
    for row, y in enumerate(range(0, height, step)):
        for col, x in enumerate(range(0, width, step)):
            core = (x, y, min(x + step, width), min(y + step, height))
            window = (x - margin, y - margin, x - margin + tile, y - margin + tile)
            seen = Region(
                region.x + window[0] * scale, region.y + window[1] * scale, tile * scale, tile * scale, region.mpp
            )
            tiles.append(Tile(len(tiles), row, col, core, window, seen))
    return tiles
