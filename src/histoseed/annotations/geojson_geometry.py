"""GeoJSON geometries -> shapely, all of a file at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations.limits import over_limit
from histoseed.annotations.notes import Notes
from histoseed.errors import AnnotationError
from histoseed.geometry import make_outlines_valid
from histoseed.settings import Settings

__all__ = ["Shapes"]

Coordinates = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]


_FARTHEST = 1e9
"""No image is that large, in pixels; areas of much larger coordinates overflow."""


@dataclass(slots=True)
class Shapes:
    """Collects rings and points feature by feature, and makes geometries of all of them in a few array operations."""

    path: Path
    settings: Settings
    warnings: Notes
    _labels: list[str] = field(default_factory=list)
    _rings: list[list[Any]] = field(default_factory=list)
    _ring_polygon: list[int] = field(default_factory=list)
    _polygon_row: list[int] = field(default_factory=list)
    _points: list[list[Any]] = field(default_factory=list)
    _point_row: list[int] = field(default_factory=list)

    def add(self, label: str, geometry: object) -> int:
        """Take one geometry and say how many rows it gives: 0 where it is no object.

        Raises:
            AnnotationError: no GeoJSON geometry; the caller knows where.
            LimitError: too many vertices.
        """
        polygons, points = self._split(label, geometry)
        vertices = sum(len(ring) for polygon in polygons for ring in polygon)
        if vertices > self.settings.max_vertices:
            what = f"The object has {vertices} vertices; at most {self.settings.max_vertices} are read."
            raise over_limit("max_vertices", what, where=self._where(label))
        if polygons:
            for polygon in polygons:
                self._rings.extend(polygon)
                self._ring_polygon.extend([len(self._polygon_row)] * len(polygon))
                self._polygon_row.append(len(self._labels))
            self._labels.append(label)
        for point in points:
            self._points.append([point])
            self._point_row.append(len(self._labels))
            self._labels.append(label)
        return bool(polygons) + len(points)

    def _split(self, label: str, geometry: object) -> tuple[list[list[list[Any]]], list[Any]]:
        """The polygons (lists of rings) and points of a geometry."""
        if geometry is None:
            self.warnings.add("A feature without geometry was left out", label)
            return [], []
        if not isinstance(geometry, dict):
            raise AnnotationError("The geometry is no object.")
        kind = geometry.get("type")
        if kind == "GeometryCollection":
            return self._split_collection(label, geometry.get("geometries")), []
        at = geometry.get("coordinates")
        if not isinstance(at, list):
            raise AnnotationError(f"The geometry of type {kind!r} has no list of coordinates.")
        plane = geometry.get("plane")
        if isinstance(plane, dict) and (plane.get("z") or plane.get("t")):
            self.warnings.add("An object of another focal plane or time point was read like the others", label)
        if kind in ("Point", "MultiPoint"):
            return [], ([at] if kind == "Point" else at) if at else self._nothing(label)
        if kind in ("LineString", "MultiLineString"):
            self.warnings.add(f"A {kind} encloses nothing and was left out", label)
            return [], []
        if kind not in ("Polygon", "MultiPolygon"):
            raise AnnotationError(f"There is no geometry type {kind!r}.")
        polygons = [polygon for polygon in ([at] if kind == "Polygon" else at) if polygon != []]
        if not all(isinstance(p, list) and all(isinstance(ring, list) for ring in p) for p in polygons):
            raise AnnotationError(f"The coordinates of the {kind} are not nested as they should be.")
        return polygons or self._nothing(label), []

    def _split_collection(self, label: str, members: object) -> list[list[list[Any]]]:
        """The polygons of a collection; a collection inside a collection is left out, so nothing is nested deeply."""
        if not isinstance(members, list):
            raise AnnotationError("The GeometryCollection has no list of geometries.")
        polygons: list[list[list[Any]]] = []
        for member in members:
            kind = member.get("type") if isinstance(member, dict) else None
            if kind in ("Polygon", "MultiPolygon"):
                polygons += self._split(label, member)[0]
            else:
                self.warnings.add(f"A {kind} inside a GeometryCollection was left out", label)
        return polygons

    def _nothing(self, label: str) -> list[Any]:
        self.warnings.add("A feature with an empty geometry was left out", label)
        return []

    def build(self, size: tuple[float, float] | None) -> tuple[npt.NDArray[np.object_], list[str]]:
        """Geometry and label of every row; the geometry is None where it has no area.

        Args:
            size: width and height that no coordinate may leave; None allows any finite coordinate.
        """
        out = np.empty(len(self._labels), dtype=object)
        ring_row = np.array(self._polygon_row, dtype=np.int64)[np.array(self._ring_polygon, dtype=np.int64)]
        point_row = np.array(self._point_row, dtype=np.int64)
        xy, ring = self._positions(self._rings, ring_row, size)
        point_xy, _ = self._positions(self._points, point_row, size)
        if len(point_xy):
            out[point_row] = shapely.points(point_xy)
        polygons, row = self._polygons(xy, ring)
        counts = np.bincount(row, minlength=len(out))
        single = counts[row] == 1
        out[row[single]] = polygons[single]
        if not single.all():
            rows, part = np.unique(row[~single], return_inverse=True)
            out[rows] = shapely.multipolygons(polygons[~single], indices=part)
        self._repair(out)
        return out, self._labels

    def _polygons(self, xy: Coordinates, ring: Indices) -> tuple[npt.NDArray[np.object_], Indices]:
        """Polygons with holes and the row of each; rings of less than three different vertices are left out."""
        polygon_of = np.array(self._ring_polygon, dtype=np.int64)
        row_of = np.array(self._polygon_row, dtype=np.int64)
        length = np.bincount(ring, minlength=len(polygon_of))
        first = np.cumsum(length) - length
        usable = length > 0
        last = np.maximum(first + length - 1, 0)
        usable[usable] &= length[usable] - (xy[first[usable]] == xy[last[usable]]).all(axis=1) >= 3
        is_shell = np.diff(polygon_of, prepend=-1) > 0
        has_shell = usable[is_shell][polygon_of] if len(polygon_of) else usable
        for lost in np.flatnonzero(~usable & (is_shell | has_shell)).tolist():
            what = f"{'An outline' if is_shell[lost] else 'A hole'} of less than three vertices was left out"
            self.warnings.add(what, self._labels[row_of[polygon_of[lost]]])
        used = usable & has_shell
        renumbered = np.cumsum(used) - 1
        kept = used[ring]
        rings = shapely.linearrings(xy[kept], indices=renumbered[ring[kept]])
        numbers, polygon = np.unique(polygon_of[used], return_inverse=True)
        return shapely.polygons(rings, indices=polygon), row_of[numbers]

    def _repair(self, out: npt.NDArray[np.object_]) -> None:
        """Make every geometry valid, in place; those without any area become None."""
        valid, repaired, lost = make_outlines_valid(out)
        out[:] = valid
        for row in np.flatnonzero(repaired | lost).tolist():
            what = (
                "An outline without area was left out" if lost[row] else "An outline that crosses itself was repaired"
            )
            self.warnings.add(what, self._labels[row])

    def _positions(
        self, rings: list[list[Any]], row_of: Indices, size: tuple[float, float] | None
    ) -> tuple[Coordinates, Indices]:
        """x, y of all positions and the ring of each."""
        ring = np.repeat(np.arange(len(rings)), [len(positions) for positions in rings]).astype(np.int64)
        positions = list(chain.from_iterable(rings))
        xy = _as_numbers(positions)
        if xy is None:
            bad = next(i for i, position in enumerate(positions) if _as_numbers([position]) is None)
            what = f"A position is two numbers, not {str(positions[bad])[:60]}."
            raise AnnotationError(what, where=self._where(self._labels[row_of[ring[bad]]]))
        if len(xy):
            self._check_inside(xy, row_of[ring], size)
        return xy, ring

    def _check_inside(self, xy: Coordinates, row: Indices, size: tuple[float, float] | None) -> None:
        wrong = ~(np.abs(xy) <= _FARTHEST).all(axis=1)  # true for NaN
        what, fix = "is no place in an image", "Correct or delete this object."
        if not wrong.any() and size is not None:
            wrong = (xy < 0).any(axis=1) | (xy > np.asarray(size)).any(axis=1)
            extent = "" if np.isinf(size).any() else f" of {size[0]} x {size[1]} pixels"
            what, fix = f"is outside the image{extent}", f"{fix[:-1]}, or allow coordinates outside (--allow-outside)."
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            text = f"The position ({xy[at, 0]:g}, {xy[at, 1]:g}) {what}."
            raise AnnotationError(text, where=self._where(self._labels[row[at]]), fix=fix)

    def _where(self, label: str) -> str:
        return f"{self.path}, feature {label}"


def _as_numbers(positions: list[Any]) -> Coordinates | None:
    """(N, 2) numbers, a third coordinate dropped; None where something is no position.

    Types are looked at because numpy would also take "1" and True for numbers.
    """
    try:
        if not set(map(len, positions)) <= {2}:
            positions = [position[:2] for position in positions if len(position) >= 2 or _fail()]
        flat = list(chain.from_iterable(positions))
        if not set(map(type, flat)) <= {int, float}:
            return None
        return np.array(flat, dtype=np.float64).reshape(-1, 2)
    except (TypeError, ValueError, OverflowError, KeyError):
        return None


def _fail() -> bool:
    raise ValueError
