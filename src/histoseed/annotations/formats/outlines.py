"""From the vertices of a file to outlines: rings, boxes, ellipses, holes, and ids that stay the same."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence

import numpy as np
import shapely

from histoseed.annotations.instances import Instances
from histoseed.errors import AnnotationError
from histoseed.geometry import make_outlines_valid

__all__ = [
    "FARTHEST",
    "Position",
    "box_of",
    "check_written",
    "cut_holes",
    "ellipse_of",
    "has_area",
    "outline_of",
    "stable_ids",
]

Position = tuple[float, float]


_NAMESPACE = uuid.UUID("5b1f4b6e-4c0e-5d9c-9a51-0d6a0a6f2f11")
"""Of the UUIDs that stand in for other ids, the same as for GeoJSON; changing it changes them all."""

FARTHEST = 1e9
"""No image is that large, in pixels; areas of much larger coordinates overflow."""

_SAGITTA = 0.05
"""How far, in pixels, the edges of a polygon may lie inside the ellipse that it stands for."""


def outline_of(vertices: Sequence[Position]) -> tuple[shapely.Geometry | None, bool]:
    """The outline through vertices, closed or not, and whether it had to be repaired.

    None where there are less than three different vertices, or where they enclose no area.

    >>> outline_of([(0, 0), (4, 0), (4, 4)])[0].area
    8.0
    >>> outline_of([(0, 0), (4, 0), (0, 0)])
    (None, False)
    """
    if len(set(vertices)) < 3:
        return None, False
    shapes, repaired, _ = make_outlines_valid(np.array([shapely.Polygon(vertices)], dtype=object))
    shape: shapely.Geometry | None = shapes[0]
    return shape, bool(repaired[0])


def box_of(vertices: Sequence[Position]) -> shapely.Polygon | None:
    """The box of two opposite corners, or of four corners in any order; None where they are something else.

    >>> box_of([(4, 4), (0, 0)]).bounds
    (0.0, 0.0, 4.0, 4.0)
    >>> box_of([(0, 0), (4, 1), (4, 4), (0, 4)])
    """
    distinct = set(vertices)
    xs, ys = {x for x, _ in distinct}, {y for _, y in distinct}
    if len(distinct) not in (2, 4) or len(xs) != 2 or len(ys) != 2:
        return None
    return shapely.box(min(xs), min(ys), max(xs), max(ys))


def ellipse_of(box: shapely.Polygon) -> shapely.Polygon:
    """The ellipse inside a box, as a polygon whose vertices lie on it and whose edges are at most 0.05 pixels inside.

    >>> round(ellipse_of(shapely.box(0, 0, 200, 100)).area / (math.pi * 100 * 50), 2)
    1.0
    """
    x0, y0, x1, y1 = box.bounds
    a, b = (x1 - x0) / 2, (y1 - y0) / 2
    count = max(16, math.ceil(math.pi / math.sqrt(2 * _SAGITTA / max(a, b, 1.0))))
    angle = np.linspace(0.0, 2 * math.pi, count, endpoint=False)
    return shapely.Polygon(np.column_stack([x0 + a + a * np.cos(angle), y0 + b + b * np.sin(angle)]))


def cut_holes(
    outlines: Sequence[shapely.Geometry],
    holes: Sequence[shapely.Geometry],
    owners: Mapping[int, Sequence[int]] | None = None,
) -> tuple[list[shapely.Geometry | None], list[int]]:
    """Subtract every hole from the outlines around it.

    An outline is around a hole when it is the larger of the two and holds at least half of the hole: a hole drawn over
    the edge is still a hole, an island inside a hole is not cut.

    Args:
        outlines: Valid outlines.
        holes: Valid outlines of holes.
        owners: Hole -> the only outlines it may be cut from, where the file says so.

    Returns:
        The outlines, in order, None where nothing is left; the indices of holes with no outline around them.

    >>> cut, homeless = cut_holes([shapely.box(0, 0, 9, 9)], [shapely.box(2, 2, 5, 5), shapely.box(20, 20, 22, 22)])
    >>> cut[0].area, homeless
    (72.0, [1])
    """
    shapes = np.array([None, *outlines], dtype=object)[1:]  # None in front: an array of objects, whatever they are
    areas = shapely.area(shapes)
    tree = shapely.STRtree(shapes)
    around: dict[int, list[int]] = {}
    homeless = []
    for number, hole in enumerate(holes):
        near = np.sort(tree.query(hole, predicate="intersects"))
        if owners is not None and number in owners:
            near = np.intersect1d(near, np.asarray(owners[number], dtype=near.dtype))
        inside = shapely.area(shapely.intersection(shapes[near], hole))
        found = near[(inside >= hole.area / 2) & (areas[near] > hole.area)]
        for row in found.tolist():
            around.setdefault(row, []).append(number)
        if not len(found):
            homeless.append(number)
    out: list[shapely.Geometry | None] = list(outlines)
    for row, numbers in around.items():
        out[row] = has_area(shapely.difference(outlines[row], shapely.union_all([holes[n] for n in numbers])))
    return out, homeless


def check_written(table: Instances, where: object) -> None:
    """What no format can hold is refused before anything is written.

    Raises:
        AnnotationError: an empty geometry or a coordinate that is not finite.
    """
    wrong = shapely.is_empty(table.geometry)
    xy, row_of = shapely.get_coordinates(table.geometry, return_index=True)
    wrong[row_of[~np.isfinite(xy).all(axis=1)]] = True
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        what = f"Object {row} (id {table.id[row]}) is empty or has a coordinate that is not finite."
        raise AnnotationError(what, where=where)


def has_area(shape: shapely.Geometry) -> shapely.Geometry | None:
    """The polygons of what an operation on polygons left; None where there are none.

    >>> has_area(shapely.GeometryCollection([shapely.Point(0, 0), shapely.box(0, 0, 2, 2)])).area
    4.0
    """
    polygons = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon" and not part.is_empty]
    if not polygons:
        return None
    return polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)


def stable_ids(given: Sequence[str | None], geometry: Sequence[shapely.Geometry]) -> list[str]:
    """One UUID an object: the given one, or one made from what was given and the geometry, the same at every reading.

    >>> ids = stable_ids(["7", "7"], [shapely.Point(0, 0), shapely.Point(0, 0)])
    >>> len(set(ids)), ids == stable_ids(["7", "7"], [shapely.Point(0, 0), shapely.Point(0, 0)])
    (2, True)
    """
    ids: list[str] = []
    taken: set[str] = set()
    copies: dict[str, int] = {}  # of the same outline, so that many equal ones are not tried again and again
    for text, shape in zip(given, geometry, strict=True):
        canonical = _canonical_uuid(text)
        if canonical is None or canonical in taken:
            name = f"{text!r} {shapely.to_wkb(shape, hex=True, byte_order=1)}"
            copy = copies.get(name, 0)
            copies[name] = copy + 1
            canonical = str(uuid.uuid5(_NAMESPACE, f"{name} {copy}" if copy else name))
        taken.add(canonical)
        ids.append(canonical)
    return ids


def _canonical_uuid(text: str | None) -> str | None:
    if text is None or len(text) != 36:
        return None
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None
