"""``labels.tif``: the label image of a slide, written tile by tile."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely
import tifffile

from histoseed.files import atomic_path
from histoseed.geometry import Region, polygons_to_label
from histoseed.inference.tables import Part

__all__ = ["write_label_tiff"]

TILE = 512
_BLOCK = 8
"""Tiles drawn at once."""


def write_label_tiff(path: Path, parts: Sequence[Part], region: Region, mpp: float) -> None:
    """Draw the objects of a table into a tiled BigTIFF: uint32, deflate, level-0 pixels, 0 = background.

    Args:
        path: Where to.
        parts: The table; the value of an object is its ``label``.
        region: What the image covers, whole level-0 pixels; its x and y stand in the image description, as JSON.
        mpp: Microns per pixel, for the resolution tags.
    """
    shape = (int(region.height), int(region.width))
    with atomic_path(path) as temporary, tifffile.TiffWriter(temporary, bigtiff=True) as writer:
        writer.write(
            _tiles(parts, region, shape),
            shape=shape,
            dtype=np.uint32,
            tile=(TILE, TILE),
            compression="zlib",
            photometric="minisblack",
            resolution=(1e4 / mpp, 1e4 / mpp),
            resolutionunit="CENTIMETER",
            description=json.dumps({"x": int(region.x), "y": int(region.y)}),
            metadata=None,
            software="histoseed",
        )


def _tiles(parts: Sequence[Part], region: Region, shape: tuple[int, int]) -> Iterator[npt.NDArray[np.uint32]]:
    """Tiles row by row; only parts that reach into a row are in memory."""
    rows, columns = -(-shape[0] // TILE), -(-shape[1] // TILE)
    loaded: dict[Path, tuple[npt.NDArray[np.int64], npt.NDArray[np.object_]]] = {}
    for row in range(rows):
        top = region.y + row * TILE
        near = [part for part in parts if part.top < top + TILE and part.bottom > top]
        loaded = {part.path: loaded.get(part.path) or part.outlines() for part in near}
        labels = np.concatenate([np.empty(0, np.int64), *(loaded[part.path][0] for part in near)])
        shapes = np.concatenate([np.empty(0, dtype=object), *(loaded[part.path][1] for part in near)])
        bounds = shapely.bounds(shapes).reshape(-1, 4)
        in_row = np.flatnonzero((bounds[:, 1] < top + TILE) & (bounds[:, 3] > top))
        labels, shapes, bounds = labels[in_row], shapes[in_row], bounds[in_row]
        for first in range(0, columns, _BLOCK):
            count = min(_BLOCK, columns - first)
            left = region.x + first * TILE
            here = np.flatnonzero((bounds[:, 0] < left + count * TILE) & (bounds[:, 2] > left))
            moved = shapely.transform(shapes[here], lambda xy, at=(left, top): xy - at)
            block = polygons_to_label(moved, (TILE, count * TILE), ids=labels[here], dtype=np.uint32)
            for column in range(count):
                yield np.ascontiguousarray(block[:, column * TILE : (column + 1) * TILE])
