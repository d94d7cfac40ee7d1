"""Seams: where tiles overlap, every nucleus stays once.

A tile owns the objects whose centroid lies in its core. Two tiles see a nucleus at their seam with different context,
so their outlines and centroids differ a little, and three things go wrong where nothing is done:

- both own it: of two owned objects that share more than half of the smaller one, the larger stays;
- neither owns it: an object that a tile saw just beyond its core is taken over where nobody's object covers it;
- neighbours overlap by a few pixels: the later tile's object loses them, so that no pixel has two owners.

Rows of tiles are resolved one after the other; two rows are in memory at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.inference.grid import TileGrid
from histoseed.inference.objects import TileObjects

__all__ = ["FieldObjects", "resolve_seams"]

SAME = 0.5
"""Two objects are one where they share more than this part of the smaller one."""
COVERED = 0.2
"""An object that nobody owns is new where at most this part of it is covered."""

Bools = npt.NDArray[np.bool_]
Pairs = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class FieldObjects:
    """Objects of one row of tiles, each once; columns as in :class:`~histoseed.inference.objects.TileObjects`."""

    geometry: npt.NDArray[np.object_]
    area: npt.NDArray[np.int64]
    score: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.geometry)


@dataclass(slots=True)
class _Row:
    """The objects of a row of tiles while its seams are open."""

    geometry: npt.NDArray[np.object_]
    area: npt.NDArray[np.int64]
    score: npt.NDArray[np.float32]
    probabilities: npt.NDArray[np.float32]
    owned: Bools
    tile: npt.NDArray[np.int64]
    near: Bools
    crossing: Bools
    alive: Bools
    covered: npt.NDArray[np.float64]
    rivals: dict[int, list[shapely.Geometry]] = field(default_factory=dict)

    @classmethod
    def of(cls, tiles: list[TileObjects], grid: TileGrid) -> _Row:
        geometry = np.concatenate([t.geometry for t in tiles])
        count = [len(t.geometry) for t in tiles]
        bounds = shapely.bounds(geometry).reshape(-1, 4)
        cores = np.repeat([grid[t.index].core for t in tiles], count, axis=0).reshape(-1, 4)
        # Another tile reaches one margin into this core; deeper inside, and on the outside of the field, it cannot.
        deep = np.repeat([_deep(grid, t.index) for t in tiles], count, axis=0).reshape(-1, 4)
        n = len(geometry)
        owned = np.concatenate([t.owned for t in tiles])
        return cls(
            geometry=geometry,
            area=np.concatenate([t.area for t in tiles]),
            score=np.concatenate([t.score for t in tiles]),
            probabilities=np.concatenate([t.probabilities for t in tiles]),
            owned=owned,
            tile=np.repeat([t.index for t in tiles], count),
            near=~_inside(bounds, deep),
            crossing=~_inside(bounds, cores),
            alive=owned.copy(),
            covered=np.zeros(n),
        )

    def final(self) -> FieldObjects:
        kept = np.flatnonzero(self.alive)
        return FieldObjects(self.geometry[kept], self.area[kept], self.score[kept], self.probabilities[kept])


def _deep(grid: TileGrid, index: int) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = grid[index].core
    row, column = divmod(index, grid.columns)
    margin = grid.margin
    return (
        x0 + margin if column > 0 else -np.inf,
        y0 + margin if row > 0 else -np.inf,
        x1 - margin if column < grid.columns - 1 else np.inf,
        y1 - margin if row < grid.rows - 1 else np.inf,
    )


def _inside(bounds: npt.NDArray[np.float64], boxes: npt.NDArray[np.float64]) -> Bools:
    return np.asarray((bounds[:, :2] >= boxes[:, :2]).all(1) & (bounds[:, 2:] <= boxes[:, 2:]).all(1))


def resolve_seams(tiles: Iterable[TileObjects], grid: TileGrid, least_area: float) -> Iterator[FieldObjects]:
    """Every object of a field once, row of tiles after row of tiles.

    Args:
        tiles: All tiles of the grid, in order.
        grid: The grid.
        least_area: Objects that lose pixels to a neighbour and fall below this many are dropped.
    """
    before: _Row | None = None
    taken: list[shapely.Geometry] = []
    for tiles_of_row in _rows(tiles, grid.columns):
        row = _Row.of(tiles_of_row, grid)
        _settle(before, row, least_area)
        if before is not None:
            taken = _take_over(before, taken, least_area)
            yield before.final()
        before = row
    if before is not None:
        _take_over(before, taken, least_area)
        yield before.final()


def _rows(tiles: Iterable[TileObjects], columns: int) -> Iterator[list[TileObjects]]:
    held: list[TileObjects] = []
    for tile in tiles:
        held.append(tile)
        if len(held) == columns:
            yield held
            held = []


class _Both:
    """Two rows seen as one table: object i is row i of the first, then of the second."""

    def __init__(self, first: _Row | None, second: _Row) -> None:
        self.rows = [second] if first is None else [first, second]
        self.split = 0 if first is None else len(first.geometry)

    def at(self, i: int) -> tuple[_Row, int]:
        """The row an object stands in, and where."""
        return (self.rows[0], i) if i < self.split else (self.rows[-1], i - self.split)

    def column(self, name: str) -> npt.NDArray[Any]:
        return np.concatenate([getattr(row, name) for row in self.rows])


def _overlaps(both: _Both) -> tuple[Pairs, npt.NDArray[np.float64]]:
    """Pairs of objects of different tiles that share pixels, one of them owned, one of them new; and how many."""
    geometry, tile = both.column("geometry"), both.column("tile")
    owned = both.column("owned")
    usable = both.column("alive") | ~owned
    pool = np.flatnonzero(both.column("near") & usable)
    asking = np.flatnonzero(both.column("crossing") & usable)
    if not len(pool) or not len(asking):
        return np.empty((0, 2), np.intp), np.empty(0)
    left, right = shapely.STRtree(geometry[pool]).query(geometry[asking], predicate="intersects")
    pairs = np.sort(np.stack([asking[left], pool[right]], 1), axis=1)
    wanted = (tile[pairs[:, 0]] != tile[pairs[:, 1]]) & owned[pairs].any(1) & (pairs[:, 1] >= both.split)
    pairs = np.unique(pairs[wanted], axis=0)
    shared = shapely.area(shapely.intersection(geometry[pairs[:, 0]], geometry[pairs[:, 1]]))
    return pairs[shared > 0], shared[shared > 0]


def _settle(first: _Row | None, second: _Row, least_area: float) -> None:
    """Between the tiles of ``second``, and between them and those of ``first``: drop doubles, part neighbours."""
    both = _Both(first, second)
    pairs, shared = _overlaps(both)
    if not len(pairs):
        return
    area, owned = both.column("area"), both.column("owned")
    mutual = owned[pairs].all(1)
    double = mutual & (shared > SAME * area[pairs].min(1))
    dropped = _smaller_ones(pairs[double], area)
    for i in dropped:
        row, k = both.at(i)
        row.alive[k] = False
    alive = both.column("alive")
    for i, j in pairs[mutual & ~double & alive[pairs].all(1)].tolist():
        row, k = both.at(j)
        other, m = both.at(i)
        _part(row, k, other.geometry[m], least_area)
    for (i, j), common in zip(pairs[~mutual].tolist(), shared[~mutual].tolist(), strict=True):
        spare, owner = (j, i) if owned[i] else (i, j)
        if alive[owner]:
            row, k = both.at(spare)
            other, m = both.at(owner)
            row.covered[k] += common
            row.rivals.setdefault(k, []).append(other.geometry[m])


def _smaller_ones(pairs: Pairs, area: npt.NDArray[Any]) -> set[int]:
    """Which objects go so that no pair is left; larger ones stay, of equal ones the earlier."""
    partners: dict[int, list[int]] = {}
    for i, j in pairs.tolist():
        partners.setdefault(i, []).append(j)
        partners.setdefault(j, []).append(i)
    gone: set[int] = set()
    for i in sorted(partners, key=lambda i: (-int(area[i]), i)):
        if i not in gone:
            gone.update(partners[i])
    return gone


def _part(row: _Row, k: int, other: shapely.Geometry, least_area: float) -> None:
    """Take the pixels of ``other`` from an object; of what is left the largest piece stays."""
    rest = shapely.get_parts(shapely.difference(row.geometry[k], other))
    rest = rest[shapely.get_type_id(rest) == shapely.GeometryType.POLYGON]
    sizes = shapely.area(rest)
    if not len(rest) or sizes.max() < least_area:
        row.alive[k] = False
        return
    row.geometry[k] = rest[int(sizes.argmax())]
    row.area[k] = round(float(sizes.max()))


def _take_over(row: _Row, taken_before: list[shapely.Geometry], least_area: float) -> list[shapely.Geometry]:
    """Take the spare objects of a row that nobody's object covers, larger ones first, and return what was taken.

    Args:
        row: A row whose seams to both neighbours are settled.
        taken_before: What was taken in the row before it.
        least_area: See :func:`resolve_seams`.
    """
    taken: list[shapely.Geometry] = []
    spare = np.flatnonzero(~row.owned & (row.covered <= COVERED * row.area))
    for k in spare[np.argsort(-row.area[spare], kind="stable")].tolist():
        others = [*taken_before, *taken]
        shared = float(shapely.area(shapely.intersection(row.geometry[k], others)).sum()) if others else 0.0
        if row.covered[k] + shared > COVERED * row.area[k]:
            continue
        row.alive[k] = True
        for other in (*row.rivals.get(k, []), *others):
            if row.alive[k]:
                _part(row, k, other, least_area)
        if row.alive[k]:
            taken.append(row.geometry[k])
    return taken
