"""Bands of a class image -> outlines of its connected areas, with one band in memory at a time.

Each band is outlined by itself. Where an area goes on in the next band its parts wait; once nothing of it reaches
further down, they become one outline.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage import measure

from histoseed.geometry import label_to_polygons

__all__ = ["AreaOutlines", "connected_areas", "count_areas"]

Classes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class AreaOutlines:
    """Connected areas.

    Args:
        geometry: (n,) shapely polygons along pixel edges, in pixels of the class image.
        classes: (n,) int64, 1..C.
        pixels: (n,) int64, size.
    """

    geometry: npt.NDArray[np.object_]
    classes: Ints
    pixels: Ints

    def __len__(self) -> int:
        return len(self.geometry)


@dataclass(slots=True)
class _Area:
    """Parts of an area that reaches into the next band."""

    kind: int
    parts: list[shapely.Geometry] = field(default_factory=list)
    pixels: int = 0


def connected_areas(bands: Iterable[Classes]) -> Iterator[AreaOutlines]:
    """The connected areas of a class image: band by band, those that are complete.

    Pixels of one class that share a side are connected. Which areas there are does not depend on where bands end; their
    order does, and how the rings of an area are cut that touches itself at a corner.

    Args:
        bands: Rows of the image from top to bottom, (h, width) uint8 each; 0 is no area.
    """
    waiting: list[_Area] = []
    above: tuple[Classes, Ints] | None = None  # class and number among those that wait, of each pixel of the last row
    top = 0
    for band, last in _with_last(bands):
        labels = _labelled(band)
        found = _outlined(band, labels, top)
        links = _links(above, band[0], labels[0])
        below = np.unique(labels[-1][labels[-1] > 0]) - 1
        group = _groups(len(waiting), len(found), links)
        areas: dict[int, _Area] = {}
        for number, area in enumerate(waiting):
            _add(areas, group[number], area.kind, area.parts, area.pixels)
        at_seam = np.union1d(links[:, 1], below).astype(np.int64)
        for at in at_seam.tolist():
            part = [found.geometry[at]]
            _add(areas, group[len(waiting) + at], int(found.classes[at]), part, int(found.pixels[at]))
        going_on = set() if last else {int(group[len(waiting) + at]) for at in below.tolist()}
        loose = np.ones(len(found), dtype=bool)
        loose[at_seam] = False
        yield _complete([area for number, area in areas.items() if number not in going_on], found, loose)
        above = (band[-1], _numbers(labels[-1], group[len(waiting) :], [n for n in areas if n in going_on]))
        waiting = [area for number, area in areas.items() if number in going_on]
        top += len(band)


def _with_last(bands: Iterable[Classes]) -> Iterator[tuple[Classes, bool]]:
    """Each band, and whether it is the last."""
    source = iter(bands)
    held = next(source, None)
    while held is not None:
        band, held = held, next(source, None)
        yield band, held is None


def count_areas(classes: Classes) -> int:
    """How many connected areas a class image (H, W) has.

    >>> count_areas(np.array([[1, 1, 0], [2, 0, 1]], np.uint8))
    3
    """
    return int(_labelled(classes).max(initial=0))


def _labelled(band: Classes) -> Ints:
    """The connected areas of one band, numbered from 1. (h, width)."""
    label: Any = measure.label  # its module declares no types
    return np.asarray(label(band, background=0, connectivity=1), dtype=np.int64)


def _outlined(band: Classes, labels: Ints, top: int) -> AreaOutlines:
    """The areas of one band; row k has label k + 1."""
    _, geometry = label_to_polygons(labels, origin=(0, top))
    count = len(geometry)
    kinds = np.zeros(count + 1, np.int64)
    kinds[labels.ravel()] = band.ravel()
    return AreaOutlines(geometry, kinds[1:], np.bincount(labels.ravel(), minlength=count + 1)[1:])


def _links(above: tuple[Classes, Ints] | None, kinds: Classes, labels: Ints) -> Ints:
    """Which of the waiting areas goes on in which area of the band. (e, 2): numbers from 0."""
    if above is None:
        return np.zeros((0, 2), np.int64)
    meet = (above[0] == kinds) & (kinds > 0)
    return np.unique(np.stack([above[1][meet], labels[meet] - 1], 1), axis=0)


def _groups(waiting: int, count: int, links: Ints) -> Ints:
    """Number of the area that each waiting area, and then each area of the band, belongs to."""
    size = waiting + count
    ends = (links[:, 0], waiting + links[:, 1])
    graph = coo_array((np.ones(len(links), bool), ends), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _add(areas: dict[int, _Area], number: int, kind: int, parts: list[shapely.Geometry], pixels: int) -> None:
    area = areas.setdefault(int(number), _Area(kind))
    area.parts += parts
    area.pixels += pixels


def _numbers(labels: Ints, group: Ints, going_on: list[int]) -> Ints:
    """Number among ``going_on`` of each pixel of a row, -1 where there is no area."""
    place = {number: at for at, number in enumerate(going_on)}
    lookup = np.array([-1, *(place.get(int(number), -1) for number in group)], dtype=np.int64)
    return lookup[labels]


def _complete(ended: list[_Area], found: AreaOutlines, loose: npt.NDArray[np.bool_]) -> AreaOutlines:
    """Areas that have ended, and those of a band that touch no seam; rings start where their seams do not matter."""
    joined = np.empty(len(ended), dtype=object)
    joined[:] = [shapely.union_all(area.parts) if len(area.parts) > 1 else area.parts[0] for area in ended]
    joined = np.concatenate([joined, found.geometry[loose]])
    kinds = np.concatenate([np.array([area.kind for area in ended], np.int64), found.classes[loose]])
    pixels = np.concatenate([np.array([area.pixels for area in ended], np.int64), found.pixels[loose]])
    # A normal form starts a ring at an extreme corner, so that no vertex of a former seam can be its first one.
    plain = shapely.simplify(shapely.normalize(joined), 0)
    return AreaOutlines(np.asarray(shapely.orient_polygons(plain), dtype=object).reshape(-1), kinds, pixels)
