"""Object probability and radial distances -> instances: polygons, non-maximum suppression, pixels.

Written from the description of StarDist (Schmidt et al., MICCAI 2018). Nothing loops over objects: suppression settles
in every round all candidates that no undecided better one overlaps, which is the greedy order exactly, and the pixels
of all polygons are found at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt
import shapely

from histoseed.segmenters.stardist.targets import GRID, RAYS, directions
from histoseed.segmenters.watershed import Floats, Labels, kept, largest_parts

__all__ = ["StarProcessing", "star_labels", "suppressed"]

_CHUNK = 1 << 22
"""Pixels of windows looked at in one go, to bound memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StarProcessing:
    """Thresholds of the polygons; they travel with the model in ``model.json``.

    Args:
        kind: Which representation they belong to.
        probability: Least object probability of a candidate.
        overlap: Of two candidates, the worse one goes when they share more than this part of the smaller one.
        peak_um: Candidates are the best cells within this distance, micrometres, along x and along y.
        min_area_um2: Smaller objects are dropped, square micrometres.
    """

    kind: Literal["stardist"] = "stardist"
    probability: float = 0.4
    overlap: float = 0.4
    peak_um: float = 1.0
    min_area_um2: float = 7.0


def _candidates(probability: Floats, how: StarProcessing, mpp: float) -> tuple[npt.NDArray[np.intp], ...]:
    """Rows and columns of the best cells of their surroundings, best first; equals in the order of reading."""
    size = 2 * max(1, round(how.peak_um / mpp / GRID)) + 1
    highest = cv2.dilate(np.ascontiguousarray(probability), np.ones((size, size), np.uint8))
    row, column = np.nonzero((probability >= how.probability) & (probability == highest))
    order = np.argsort(-probability[row, column], kind="stable")
    return row[order], column[order]


def suppressed(geometry: npt.NDArray[np.object_], overlap: float) -> npt.NDArray[np.bool_]:
    """Which outlines fall to a better one.

    Args:
        geometry: (n,) polygons, best first.
        overlap: Largest allowed intersection / area of the smaller one.

    Returns:
        (n,) bool, as of the greedy algorithm: best first, whatever overlaps a kept one goes.
    """
    n = len(geometry)
    worse, better = shapely.STRtree(geometry).query(geometry, predicate="intersects")
    pairs = better < worse
    worse, better = worse[pairs], better[pairs]
    area = shapely.area(geometry)
    shared = shapely.area(shapely.intersection(geometry[worse], geometry[better]))
    pairs = shared > overlap * np.minimum(area[worse], area[better])
    worse, better = worse[pairs], better[pairs]
    decided, gone = np.zeros(n, bool), np.zeros(n, bool)
    while not decided.all():
        open_ = ~decided[worse] & ~gone[better]
        waits = np.zeros(n, bool)
        waits[worse[open_ & ~decided[better]]] = True
        fresh = ~decided & ~waits
        decided |= fresh
        falls = worse[fresh[better] & ~gone[better] & ~gone[worse]]
        gone[falls] = True
        decided[falls] = True
    return gone


def _painted(centre: npt.NDArray[np.float64], distances: npt.NDArray[np.float64], shape: tuple[int, int]) -> Labels:
    """Pixels whose centre lies in a polygon; where several overlap, the first of them. Labels 1..n."""
    height, width = shape
    labels = np.zeros(height * width, np.int32)
    tip = centre[:, None] + distances[..., None] * directions()
    low = np.clip(np.floor(tip.min(1)).astype(np.int64), 0, (width - 1, height - 1))
    high = np.clip(np.ceil(tip.max(1)).astype(np.int64), 0, (width - 1, height - 1))
    columns, rows = (high - low + 1).T
    count = columns * rows
    # Worst first, so that better ones paint over them.
    groups = np.cumsum(count[::-1]) // _CHUNK
    for group in np.unique(groups):
        chosen = (len(count) - 1) - np.flatnonzero(groups == group)
        which = np.repeat(chosen, count[chosen])
        place = np.arange(len(which)) - np.repeat(np.cumsum(count[chosen]) - count[chosen], count[chosen])
        x = low[which, 0] + place % columns[which]
        y = low[which, 1] + place // columns[which]
        inside = _in_star(np.stack([x, y], 1) - centre[which], distances[which])
        labels[(y * width + x)[inside]] = which[inside] + 1
    return labels.reshape(shape)


def _in_star(offset: npt.NDArray[np.float64], distances: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Whether points lie in their polygon: left of the edge between the two rays that enclose them."""
    turn = np.arctan2(offset[:, 1], offset[:, 0]) / (2 * np.pi) * RAYS
    first = np.floor(turn).astype(np.intp) % RAYS
    second = (first + 1) % RAYS
    at = np.arange(len(offset))
    a = distances[at, first, None] * directions()[first]
    b = distances[at, second, None] * directions()[second]
    edge, to = b - a, offset - a
    return np.asarray(edge[:, 0] * to[:, 1] - edge[:, 1] * to[:, 0] >= -1e-9)


def star_labels(
    probability: Floats, distances: Floats, size: tuple[int, int], how: StarProcessing, mpp: float
) -> tuple[Labels, Floats]:
    """Label image of the nuclei and their scores.

    Args:
        probability: (h, w) float32 object probability.
        distances: (RAYS, h, w) float32, pixels.
        size: Rows and columns of the label image.
        how: Thresholds.
        mpp: Microns per pixel of the image.

    Returns:
        (H, W) int32, 0 = background, labels 1..n without gaps, best first; and (n,) float32 object probabilities.
    """
    cells = tuple(-(-side // GRID) for side in size)
    probability = probability[: cells[0], : cells[1]]
    row, column = _candidates(probability, how, mpp)
    reach = np.maximum(distances[:, row, column].T.astype(np.float64), 0.5)
    centre = GRID * np.stack([column, row], 1).astype(np.float64)
    outlines = shapely.polygons(centre[:, None] + reach[..., None] * directions())
    stay = ~suppressed(outlines, how.overlap)
    row, column = row[stay], column[stay]
    # A better neighbour may have cut one in two.
    labels = largest_parts(_painted(centre[stay], reach[stay], size))
    number = kept(np.bincount(labels.ravel(), minlength=len(row) + 1), how.min_area_um2 / mpp**2)
    score = probability[row, column][number[1:] > 0]
    return np.take(number, labels), np.asarray(score, dtype=np.float32)
