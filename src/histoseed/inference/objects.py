"""The objects of one tile: from maps to compact arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histoseed.geometry import label_to_polygons
from histoseed.inference.grid import Field, FieldTile
from histoseed.segmenters import DenseMaps, ModelCard, instances_of

__all__ = ["BAND", "WHITE", "TileObjects", "dark_pixels", "find_objects"]

WHITE = 220
"""A pixel with every channel at or above this is empty glass. An object without a darker pixel is no nucleus and is
dropped; so a window without one need not be shown to the network, and leaving it out changes nothing."""
BAND = 24
"""Pixels beyond its core in which a tile also reports objects, for the case that the tile that should own one does not
find it: the centroids that two tiles compute for the same nucleus lie within a nucleus of each other."""

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TileObjects:
    """Objects of one tile, in pixels of the field.

    Args:
        index: The tile's number.
        geometry: (n,) shapely polygons along pixel edges.
        area: (n,) int64, pixels.
        centroid: (n, 2) float64, x and y.
        score: (n,) float32 in [0, 1], how sure the network is.
        probabilities: (n, C) float32; C = 0 for a model without classes.
        owned: (n,) bool: the centroid lies in the tile's core. Others are offered in case their owner misses them.
        tissue: Pixels of the core that are not white.
    """

    index: int
    geometry: npt.NDArray[np.object_]
    area: npt.NDArray[np.int64]
    centroid: npt.NDArray[np.float64]
    score: Floats
    probabilities: Floats
    owned: Bools
    tissue: int

    @classmethod
    def none(cls, index: int, classes: int) -> TileObjects:
        """A tile without objects and without tissue."""
        return cls(
            index,
            np.empty(0, dtype=object),
            np.empty(0, np.int64),
            np.empty((0, 2)),
            np.empty(0, np.float32),
            np.empty((0, classes), np.float32),
            np.empty(0, bool),
            0,
        )


def dark_pixels(image: npt.NDArray[np.uint8]) -> Bools:
    """Pixels that are not white, see :data:`WHITE`. (H, W, 3) -> (H, W)."""
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    return np.asarray(np.minimum(np.minimum(red, green), blue) < WHITE)


def find_objects(maps: DenseMaps, dark: Bools, tile: FieldTile, field: Field, card: ModelCard) -> TileObjects:
    """The objects of one tile.

    Args:
        maps: Maps of the whole window, of this image alone.
        dark: (h, w) bool: :func:`dark_pixels` of the part of the window that lies in the field.
        tile: The tile.
        field: The field it is a tile of.
        card: Says what the maps mean, the thresholds and the classes.
    """
    height, width = dark.shape
    found = instances_of(maps, (height, width), card, field.mpp)
    labels = found.labels
    count = int(labels.max(initial=0))
    x0, y0, x1, y1 = tile.core
    tissue = int(dark[y0 - tile.y : y1 - tile.y, x0 - tile.x : x1 - tile.x].sum())
    area, centroid, has_dark = _shapes(labels, count, dark)
    centroid += (tile.x, tile.y)
    owned = _within(centroid, tile.core, 0)
    spare = _within(centroid, tile.core, BAND) & _within(centroid, field.inner, 0)
    spare &= ~_cut_off(labels, count, tile, field)
    kept = has_dark & (owned | spare)
    _, geometry = label_to_polygons(np.take(np.append(False, kept), labels) * labels, origin=(tile.x, tile.y))
    kinds = np.empty((count, len(card.classes)), np.float32) if found.classes is None else found.classes
    return TileObjects(
        index=tile.index,
        geometry=geometry,
        area=area[kept],
        centroid=centroid[kept],
        score=found.score[kept],
        probabilities=kinds[kept],
        owned=owned[kept],
        tissue=tissue,
    )


def _shapes(
    labels: npt.NDArray[np.int32], count: int, dark: Bools
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], Bools]:
    """Area, centroid in pixels of the window, and whether a pixel is dark, of labels 1..count."""
    y, x = np.nonzero(labels)
    label = labels[y, x]
    area = np.bincount(label, minlength=count + 1)[1:]
    sums = [np.bincount(label, along, minlength=count + 1)[1:] for along in (x, y)]
    centroid = np.stack(sums, 1) / np.maximum(area, 1)[:, None] + 0.5
    has_dark = np.bincount(label[dark[y, x]], minlength=count + 1)[1:] > 0
    return area.astype(np.int64), centroid, has_dark


def _within(xy: npt.NDArray[np.float64], box: tuple[int, int, int, int], margin: int) -> Bools:
    x0, y0, x1, y1 = box
    x, y = xy[:, 0], xy[:, 1]
    return np.asarray((x >= x0 - margin) & (x < x1 + margin) & (y >= y0 - margin) & (y < y1 + margin))


def _cut_off(labels: npt.NDArray[np.int32], count: int, tile: FieldTile, field: Field) -> Bools:
    """Objects at a border of the window that is no border of the field: another tile sees more of them."""
    height, width = labels.shape
    touching = np.zeros(count + 1, bool)
    if tile.x > 0:
        touching[labels[:, 0]] = True
    if tile.y > 0:
        touching[labels[0]] = True
    if tile.x + width < field.width:
        touching[labels[:, -1]] = True
    if tile.y + height < field.height:
        touching[labels[-1]] = True
    return touching[1:]
