"""Label image -> polygons that run along the edges of the pixels, exactly.

Pixel (row i, column j) is the square [j, j + 1] x [i, i + 1], so the area of a polygon is its number of pixels and
:func:`~histoseed.geometry.polygons_to_label` gives back the same label image. No Python loop runs over objects:

1. Every pixel side between an object and something else is a directed *edge* with the object on its right (y points
   down), so outlines run counter-clockwise and holes clockwise in numeric coordinates.
2. The neighbours of a pixel tell which edge follows. Where an object meets itself at a corner, the path stays with its
   own pixel: objects are 4-connected. The successors form a permutation; its cycles are the outlines.
3. A cycle that passes a corner twice is cut there into two rings that touch, which is what the Simple Features standard
   (OGC 06-103r4, 6.1.11) asks of a valid polygon.
4. Pointer doubling (Wyllie's list ranking) puts the edges of all rings in order, in a logarithmic number of steps.
5. The sign of its area makes a ring a shell or a hole. From a hole's leftmost pixel a walk to the left reaches a ring
   that reaches farther left, until that ring is the shell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.errors import InputError

__all__ = ["label_to_polygons"]

Indices = npt.NDArray[np.int64]

_EAST, _SOUTH, _WEST, _NORTH = range(4)
"""Directions of the edge above, right of, below and left of a pixel; the next one is a right turn."""


@dataclass(frozen=True, slots=True)
class _Edges:
    """Directed pixel sides, ordered by direction and then by pixel in reading order.

    Args:
        pixel: flat index of the object's pixel in the padded image. (E,).
        direction: 0 east, 1 south, 2 west, 3 north. (E,).
        follower: the edge after this one. (E,).
        partner: where the object also ends another edge at the same corner: that edge, else -1. (E,).
    """

    pixel: Indices
    direction: Indices
    follower: Indices
    partner: Indices


@dataclass(frozen=True, slots=True)
class _Rings:
    """Directed pixel sides, ring after ring and in path order.

    Args:
        pixel: flat index of the object's pixel in the padded image. (E,).
        direction: 0 east, 1 south, 2 west, 3 north. (E,).
        x: corner where the edge begins, in pixels of the image without its padding. (E,).
        y: the same. (E,).
        ring: number of the edge's ring. (E,).
        starts: where each ring starts. (R,).
    """

    pixel: Indices
    direction: Indices
    x: Indices
    y: Indices
    ring: Indices
    starts: Indices


def label_to_polygons(
    labels: npt.NDArray[Any], *, origin: tuple[float, float] = (0.0, 0.0), scale: float = 1.0
) -> tuple[Indices, npt.NDArray[np.object_]]:
    """The exact outline of every object of a label image.

    Args:
        labels: (H, W) integers or booleans, 0 = background. Numbers may be skipped.
        origin: x, y that is added to every coordinate after scaling, so that a tile lands in its slide.
        scale: what one pixel of ``labels`` measures in the frame that is wanted.

    Returns:
        The labels in ascending order, (N,) int64, and their outlines, (N,) object array of shapely ``Polygon``, or
        ``MultiPolygon`` where an object is not 4-connected. Each is valid, without collinear vertices.

    Raises:
        InputError: ``labels`` is not two-dimensional, not integer, or has negative numbers.

    >>> ids, polygons = label_to_polygons(np.array([[0, 7, 7], [0, 7, 7]]))
    >>> ids.tolist(), polygons[0].wkt
    ([7], 'POLYGON ((1 0, 3 0, 3 2, 1 2, 1 0))')
    """
    padded, width = _pad(labels)
    edges = _find_edges(padded, width)
    if not len(edges.pixel):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=object)
    head, rank = _rank(edges.follower)
    if (edges.partner >= 0).any():
        follower = _cut_touching(edges, head)
        if follower is not None:
            head, rank = _rank(follower)
    rings = _walk(edges, head, rank, width)
    label = padded[rings.pixel[rings.starts]].astype(np.int64)
    corner = rings.direction != _previous(rings.direction, rings.starts)
    xy = np.column_stack([rings.x[corner], rings.y[corner]]) * scale + np.asarray(origin, dtype=np.float64)
    return _assemble(label, _shells(rings), xy, rings.ring[corner])


def _pad(labels: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], int]:
    """The image with one pixel of background around it, flat, and the padded width."""
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in "bui":
        what = f"A label image has two dimensions and whole numbers; this is {labels.dtype} of shape {labels.shape}."
        raise InputError(what)
    if labels.dtype.kind == "i" and labels.size and labels.min() < 0:
        raise InputError(f"A label image has no negative numbers; the smallest here is {labels.min()}.")
    height, width = labels.shape
    padded = np.zeros((height + 2, width + 2), dtype=labels.dtype)
    padded[1:-1, 1:-1] = labels
    return padded.ravel(), width + 2


def _find_edges(padded: npt.NDArray[Any], width: int) -> _Edges:
    """All edges with their successors, read off the neighbours of their pixels."""
    step = (-width, 1, width, -1)  # to the pixel on the other side of an edge of each direction
    differs_h = padded[1:] != padded[:-1]
    differs_v = padded[width:] != padded[:-width]
    border = padded != 0
    border[1:-1] &= differs_h[1:] | differs_h[:-1] | _inner(differs_v, width)
    pixels = np.flatnonzero(border)
    value = padded[pixels]
    open_side = np.stack([padded[pixels + step[d]] != value for d in range(4)])  # (4, P)

    count = open_side.sum(axis=1)
    number = np.cumsum(open_side.ravel()).reshape(open_side.shape) - 1  # (4, P): edge of a direction and border pixel
    row_of = np.empty(len(padded), dtype=np.int32)  # only read where written: at border pixels
    row_of[pixels] = np.arange(len(pixels), dtype=np.int32)

    follower = np.empty(int(count.sum()), dtype=np.int64)
    partner = np.full(len(follower), -1, dtype=np.int64)
    for d in range(4):
        rows = np.flatnonzero(open_side[d])
        right, left = (d + 1) % 4, (d + 3) % 4
        own, at = value[rows], pixels[rows]
        ahead = at + step[right]
        corner = ahead + step[d]
        meets = padded[corner] == own  # the object's pixel diagonally across the end of the edge
        turns = open_side[right, rows]
        target = np.where(turns, at, np.where(meets, corner, ahead))
        turn = np.where(turns, right, np.where(meets, left, d))
        follower[number[d, rows]] = number[turn, row_of[target]]
        saddle = np.flatnonzero(turns & meets)
        partner[number[d, rows[saddle]]] = number[(d + 2) % 4, row_of[corner[saddle]]]

    direction, row = np.nonzero(open_side)
    return _Edges(pixels[row], direction, follower, partner)


def _inner(differs_v: npt.NDArray[np.bool_], width: int) -> npt.NDArray[np.bool_]:
    """Whether the pixel above or below differs, for all but the first and the last flat index."""
    padding = np.ones(width, dtype=bool)
    either: npt.NDArray[np.bool_] = np.concatenate([padding, differs_v]) | np.concatenate([differs_v, padding])
    return either[1:-1]


def _rank(follower: Indices) -> tuple[Indices, Indices]:
    """The smallest edge of each edge's cycle, and how many steps lead there, by pointer doubling.

    After k rounds ``head`` is the minimum over the next 2^k edges. Once a round changes nothing, windows that do not
    overlap would share their minimum unless they cover the whole cycle: the head is found.
    """
    n = len(follower)
    kind = np.int32 if n < 2**31 else np.int64
    head, steps = np.arange(n, dtype=kind), np.zeros(n, dtype=kind)
    jump, window = follower.astype(kind), 1
    while True:
        other = head[jump]
        better = other < head
        if not better.any():
            return head.astype(np.int64), steps.astype(np.int64)
        steps = np.where(better, steps[jump] + kind(window), steps)
        head = np.where(better, other, head)
        jump = jump[jump]
        window *= 2


def _cut_touching(edges: _Edges, head: Indices) -> Indices | None:
    """Successors after every cycle that touches itself is cut at that corner; None where none does.

    The touching corners of one cycle are chords on the outer side of a Jordan curve. They cannot cross, so each swap
    cuts one ring in two, whatever the order.
    """
    touching = np.flatnonzero(edges.partner >= 0)
    touching = touching[head[touching] == head[edges.partner[touching]]]
    if not len(touching):
        return None
    follower = edges.follower.copy()
    follower[touching] = edges.follower[edges.partner[touching]]
    return follower


def _walk(edges: _Edges, head: Indices, rank: Indices, width: int) -> _Rings:
    """Edges ring after ring. A ring starts at its topmost, leftmost edge that runs east, so before it is a corner."""
    heads = np.flatnonzero(head == np.arange(len(head)))
    ring_at = np.empty(len(head), dtype=np.int64)
    ring_at[heads] = np.arange(len(heads))
    ring = ring_at[head]
    length = np.bincount(ring, minlength=len(heads))
    starts = np.cumsum(length) - length
    order = np.empty(len(head), dtype=np.int64)
    order[starts[ring] + np.where(rank == 0, 0, length[ring] - rank)] = np.arange(len(head))
    pixel, direction = edges.pixel[order], edges.direction[order]
    row, column = np.divmod(pixel, width)
    x = column - 1 + ((direction == _SOUTH) | (direction == _WEST))
    y = row - 1 + ((direction == _WEST) | (direction == _NORTH))
    return _Rings(pixel, direction, x, y, ring[order], starts)


def _previous(values: Indices, starts: Indices) -> Indices:
    """For every edge the value of the edge before it in its ring."""
    before = np.roll(values, 1)
    before[starts] = values[np.append(starts[1:], len(values)) - 1]
    return before


def _shells(rings: _Rings) -> Indices:
    """The shell of every ring; a shell is its own. (R,)."""
    south, north = rings.direction == _SOUTH, rings.direction == _NORTH
    area = np.add.reduceat(np.where(south, rings.x, 0) - np.where(north, rings.x, 0), rings.starts)  # sum of x dy
    parent = np.arange(len(rings.starts))
    holes = area < 0
    if not holes.any():
        return parent
    leftmost = np.minimum.reduceat(rings.x, rings.starts)
    beside = np.flatnonzero(south & holes[rings.ring] & (rings.x == leftmost[rings.ring]))
    hole, first = np.unique(rings.ring[beside], return_index=True)
    lefts = np.flatnonzero(north)
    lefts = lefts[np.argsort(rings.pixel[lefts])]  # left sides of pixels: where the runs of all rows begin
    run = np.searchsorted(rings.pixel[lefts], rings.pixel[beside[first]], side="right") - 1
    parent[hole] = rings.ring[lefts[run]]
    while holes[parent].any():
        parent = parent[parent]
    return parent


def _assemble(
    label: Indices, shell: Indices, xy: npt.NDArray[np.float64], ring: Indices
) -> tuple[Indices, npt.NDArray[np.object_]]:
    """Rings -> polygons -> one geometry a label."""
    number = np.arange(len(shell))
    rings = shapely.linearrings(xy, indices=ring)
    # A shell before its holes, the parts of an object in reading order, objects by label.
    by = np.lexsort((number, shell != number, shell, label))
    first = shell[by] == by
    polygons = shapely.polygons(rings[by], indices=np.cumsum(first) - 1)
    ids, part_of, parts = np.unique(label[by][first], return_inverse=True, return_counts=True)
    out = np.empty(len(ids), dtype=object)
    single = parts == 1
    out[single] = polygons[single[part_of]]
    if not single.all():
        index = np.cumsum(~single) - 1
        out[~single] = shapely.multipolygons(polygons[~single[part_of]], indices=index[part_of[~single[part_of]]])
    return ids, out
