"""A thick line along the middle of an object."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely
from scipy import sparse
from scipy.sparse import csgraph

from histoseed.prompting.simulate.outline import filled
from histoseed.prompting.simulate.positive import deep_pixels
from histoseed.prompting.simulate.truth import depth_inside

__all__ = ["middle_line", "scribbled"]

_CELLS = 32
"""The line is looked for on so many cells along the longer side."""
_POINTS = 6
_TRIMMED = (0.05, 0.25)
"""Part of the way that is left out at either end: nobody draws up to the tips."""
_WOBBLE = 0.25
"""Points are off along x and y by this part of their depth at most, so that they stay in the object."""


def scribbled(mask: npt.NDArray[np.bool_], thickness: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """The pixels under a stroke through points of the object's middle line.

    Args:
        mask: (H, W) bool. Of several parts, one is scribbled on, the deeper the likelier.
        thickness: Width of the pen, pixels; at least one is drawn.
        rng: Of the draw.
    """
    points = middle_line(mask, rng)
    stroke = shapely.LineString(points) if len(points) > 1 else shapely.Point(points[0])
    return filled([stroke.buffer(max(thickness, 1.0) / 2)], mask.shape)


def middle_line(mask: npt.NDArray[np.bool_], rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """A few points of a way from one end of an object to the other that keeps to its middle.

    The ends are where the way within the object is longest. Between them, the way for which the sum of length over
    squared depth is least.

    Returns:
        (P, 2) x, y in pixels of the mask, each inside the object. One point where the object is a speck.
    """
    depth = depth_inside(mask)
    rows, columns = _deepest_of_cells(depth, max(1, -(-max(mask.shape) // _CELLS)))
    at = depth[rows[:, 0], columns[:, 0]].astype(float)
    xy = np.stack([columns[:, 0], rows[:, 0]], 1).astype(np.float64) + 0.5
    plain, middle = _graphs(np.stack([rows[:, 1], columns[:, 1]], 1), xy, at)
    start = deep_pixels(at[None].astype(np.float32), 1, rng)[0, 0]
    first = _farthest(plain, int(start))
    last = _farthest(plain, first)
    way = _way(middle, first, last)
    low, high = rng.uniform(*_TRIMMED, 2)
    span = len(way) - 1
    kept = np.unique(np.linspace(low * span, (1 - high) * span, _POINTS).round().astype(int))
    chosen = way[kept]
    wobble = rng.uniform(-_WOBBLE, _WOBBLE, (_POINTS, 2))[: len(kept)]
    # A depth of one is half a pixel of room around the centre.
    return np.asarray(xy[chosen] + wobble * np.maximum(at[chosen] - 0.5, 0.5)[:, None])


def _deepest_of_cells(depth: npt.NDArray[np.float32], side: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Row and cell row, column and cell column, of the deepest pixel of each cell that holds any. Two (N, 2)."""
    height, width = depth.shape
    padded = np.pad(depth, ((0, -height % side), (0, -width % side)))
    down, across = padded.shape[0] // side, padded.shape[1] // side
    cells = padded.reshape(down, side, across, side).transpose(0, 2, 1, 3).reshape(down, across, side * side)
    deepest = cells.argmax(2)
    i, j = np.nonzero(cells.max(2) > 0)
    row, column = np.divmod(deepest[i, j], side)
    return np.stack([i * side + row, i], 1), np.stack([j * side + column, j], 1)


def _graphs(
    cells: npt.NDArray[np.int64], xy: npt.NDArray[np.float64], depth: npt.NDArray[np.float64]
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Steps between neighbouring cells, weighted by length alone, and by length over squared depth."""
    number = np.full(cells.max(0) + 2, -1)
    number[cells[:, 0], cells[:, 1]] = np.arange(len(cells))
    ends = []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        other = number[cells[:, 0] + down, cells[:, 1] + right]  # column -1 is the padding at the far end
        ends.append(np.stack([np.flatnonzero(other >= 0), other[other >= 0]]))
    a, b = np.concatenate(ends, 1)
    length = np.linalg.norm(xy[a] - xy[b], axis=1)
    square = (len(cells), len(cells))
    plain = sparse.csr_matrix((length, (a, b)), square)
    middle = sparse.csr_matrix((length / ((depth[a] + depth[b]) / 2) ** 2, (a, b)), square)
    return plain, middle


def _farthest(graph: sparse.csr_matrix, start: int) -> int:
    far = csgraph.dijkstra(graph, directed=False, indices=start)
    return int(np.argmax(np.where(np.isfinite(far), far, -1)))


def _way(graph: sparse.csr_matrix, first: int, last: int) -> npt.NDArray[np.int64]:
    before = csgraph.dijkstra(graph, directed=False, indices=first, return_predecessors=True)[1]
    way = [last]
    while way[-1] != first:
        way.append(int(before[way[-1]]))
    return np.array(way[::-1])
