"""Objects drawn as several shapes: the marks by which histoseed finds its own ones together again.

Formats made for drawing have one outline a shape and no ids. What histoseed writes in them bears a few attributes that
other software does not know, and passes over: the id of the object, on all its parts and holes, and its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np
import shapely

from histoseed.annotations.formats.outlines import has_area, stable_ids
from histoseed.annotations.formats.xml_files import flag
from histoseed.annotations.instances import Instances
from histoseed.errors import AnnotationError

__all__ = ["Drawn", "OwnMarks", "own_marks", "put_together"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnMarks:
    """What the XML that histoseed writes says where the format has no place for it; other software does not know it.

    Args:
        id: ``histoseed_id``: of the object; its parts and holes bear the same.
        row: ``histoseed_row``: place of the object in the table, from 0.
        locked: ``histoseed_locked``.
        hole: ``histoseed_hole``: a hole of the object, in formats without holes.
    """

    id: str
    row: int
    locked: bool = False
    hole: bool = False

    def attributes(self) -> dict[str, str]:
        """The attributes of an element; what is false is not written."""
        flags = {f"histoseed_{name}": "1" for name, on in (("locked", self.locked), ("hole", self.hole)) if on}
        return {"histoseed_id": self.id, "histoseed_row": str(self.row), **flags}


def own_marks(element: Element, where: str) -> OwnMarks | None:
    """The marks that :meth:`OwnMarks.attributes` made; None where there are none.

    Raises:
        AnnotationError: marks that histoseed does not write.
    """
    object_id, row = element.get("histoseed_id"), element.get("histoseed_row")
    if object_id is None or row is None:
        return None
    if not re.fullmatch("[0-9]{1,15}", row):
        raise AnnotationError(f"histoseed_row={row[:40]!r} is no number.", where=where)
    locked, hole = flag(element, "histoseed_locked", where), flag(element, "histoseed_hole", where)
    return OwnMarks(id=object_id, row=int(row), locked=locked, hole=hole)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One shape of a file, holes cut out.

    Args:
        geometry: shapely ``Polygon``, ``MultiPolygon`` or ``Point``, level-0 pixels.
        kind: "polygon", "box" or "point".
        class_name: None where unclassified.
        name: What the file calls it; ids are made from this and the geometry.
        own: The marks of histoseed, None in files of others.
    """

    geometry: shapely.Geometry
    kind: str
    class_name: str | None
    name: str
    own: OwnMarks | None


def put_together(shapes: Sequence[Drawn], colors: Mapping[str, str]) -> Instances:
    """The table of the objects that shapes are, or are parts of.

    Shapes with marks come first, in the order of the table that was written, parts of an object as one; the others
    follow in the order of the file.
    """
    objects: list[list[Drawn]] = []
    place: dict[tuple[int, str, str | None], int] = {}
    for shape in shapes:
        key = (shape.own.row, shape.own.id, shape.class_name) if shape.own is not None else None
        if key is not None and shape.kind == "polygon" and key in place:
            objects[place[key]].append(shape)
            continue
        if key is not None and shape.kind == "polygon":
            place[key] = len(objects)
        objects.append([shape])
    objects.sort(key=lambda parts: (parts[0].own is None, parts[0].own.row if parts[0].own else 0))
    geometry = [_joined([shape.geometry for shape in parts]) for parts in objects]
    first = [parts[0] for parts in objects]
    return Instances.build(
        geometry,
        id=stable_ids([s.name if s.own is None else s.own.id for s in first], geometry),
        kind=[shape.kind for shape in first],
        class_name=[shape.class_name for shape in first],
        locked=np.array([shape.own is not None and shape.own.locked for shape in first], dtype=bool),
        colors=colors,
    )


def _joined(parts: Sequence[shapely.Geometry]) -> shapely.Geometry:
    if len(parts) == 1:
        return parts[0]
    joined = shapely.MultiPolygon([polygon for part in parts for polygon in shapely.get_parts(part)])
    return joined if joined.is_valid else has_area(shapely.union_all(parts))  # moved over each other in between
