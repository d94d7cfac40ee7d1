"""The shapes of ASAP XML.

::

    ASAP_Annotations
      Annotations/Annotation @Name @Type @PartOfGroup @Color
        Coordinates/Coordinate @Order @X @Y
      AnnotationGroups/Group @Name @PartOfGroup @Color

- Types: Polygon, Rectangle (a box), Dot and PointSet (points), Spline (read as its control polygon). A Measurement is a
  line and is left out.
- Coordinates are put in the order of ``@Order``, as numbers; a comma may stand for the decimal point.
- The group "None" is no group. Groups may be parts of other groups.
- ASAP has no holes. The shapes of a group called "holes" (or "hole") are cut from the outlines around them: from those
  of the group that it is part of, else from all. Camelyon's groups for normal tissue inside tumours are left to the
  caller.
- Marks of histoseed (:class:`~.marks.OwnMarks`) stand in the files that :mod:`.asap` writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
import shapely

from histoseed.annotations.formats.marks import OwnMarks, own_marks
from histoseed.annotations.formats.outlines import Position, box_of, cut_holes, outline_of
from histoseed.annotations.formats.xml_files import position, walk_xml
from histoseed.annotations.limits import over_limit
from histoseed.annotations.notes import Notes
from histoseed.errors import AnnotationError
from histoseed.settings import Settings

__all__ = ["AsapShape", "read_asap_shapes"]

_COLOR = re.compile("#[0-9a-fA-F]{6}")
_KINDS = {"polygon": "polygon", "spline": "polygon", "rectangle": "box", "dot": "point", "pointset": "point"}
_HOLES = ("holes", "hole")


@dataclass(frozen=True, slots=True, kw_only=True)
class AsapShape:
    """One shape, holes already cut out; of a point set every point is one.

    Args:
        geometry: shapely ``Polygon``, ``MultiPolygon`` (after a repair or a hole) or ``Point``, level-0 pixels.
        name: ``Annotation@Name``, "" where absent; ASAP counts "Annotation 0", "Annotation 1", ...
        kind: "polygon", "box" or "point".
        group: ``Annotation@PartOfGroup``, None where it is "None" or absent.
        group_path: The group after the groups that it is part of, the outermost first; empty without a group.
        color: "#rrggbb" of the group, else of the shape; None where neither states one.
        own: The marks of histoseed's own files; None in files of others.
    """

    geometry: shapely.Geometry
    name: str
    kind: str
    group: str | None
    group_path: tuple[str, ...]
    color: str | None
    own: OwnMarks | None = None


def read_asap_shapes(path: Path, settings: Settings) -> tuple[list[AsapShape], list[str]]:
    """The shapes of a file in its order, and sentences about everything that was repaired, changed or left out.

    Raises:
        AnnotationError: not this format, damaged, groups that are parts of each other in a circle, or a shape that
            cannot be understood; the message names its number and name.
        LimitError: a file, an object or a number of objects above the settings.
    """
    reader = _Reader(path, settings)
    for _, element in walk_xml(path, settings, root="ASAP_Annotations", closed=["Annotation", "Group"]):
        if element.tag == "Group":
            reader.add_group(element)
        else:
            reader.add(element)
    return reader.finished(), reader.notes.sentences()


@dataclass(slots=True)
class _Reader:
    """Shapes, collected until the end of the file: the groups stand there."""

    path: Path
    settings: Settings
    notes: Notes = field(default_factory=lambda: Notes("annotation"))
    shapes: list[AsapShape] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    parent: dict[str, str | None] = field(default_factory=dict)
    color: dict[str, str | None] = field(default_factory=dict)
    count: int = 0

    def add_group(self, element: Element) -> None:
        """Note a group, the one around it and its colour."""
        name, parent = element.get("Name"), _group(element)
        if not name:
            raise AnnotationError("A group has no name.", where=self.path)
        if self.parent.setdefault(name, parent) != parent:
            raise AnnotationError(f"The group {name!r} is defined twice, in different groups.", where=self.path)
        self.color.setdefault(name, _color(element))

    def add(self, element: Element) -> None:
        """Read one annotation, without what its group says about it."""
        name, kind = element.get("Name") or "", (element.get("Type") or "").strip()
        label = f"{self.count} ({name[:60]!r})"
        where = f"{self.path}, annotation {label}"
        self.count += 1
        if kind.lower() == "measurement":
            self.notes.add("A measurement encloses nothing and was left out", label)
            return
        if kind.lower() not in _KINDS:
            raise AnnotationError(f"There is no type {kind!r}.", where=where, fix="Delete or redraw this annotation.")
        vertices = self._vertices(element, where)
        for geometry, is_kind in self._geometries(kind.lower(), vertices, label):
            shape = AsapShape(
                geometry=geometry,
                name=name,
                kind=is_kind,
                group=_group(element),
                group_path=(),
                color=_color(element),
                own=own_marks(element, where),
            )
            self.shapes.append(shape)
            self.labels.append(label)
        if len(self.shapes) > self.settings.max_objects:
            what = f"The file has more than {self.settings.max_objects} objects."
            raise over_limit("max_objects", what, where=self.path)

    def _vertices(self, element: Element, where: str) -> list[Position]:
        coordinates = element.findall("Coordinates/Coordinate")
        if len(coordinates) > self.settings.max_vertices:
            what = f"The object has {len(coordinates)} vertices; at most {self.settings.max_vertices} are read."
            raise over_limit("max_vertices", what, where=where)
        if all(c.get("Order") is None for c in coordinates):
            return [position(c, where) for c in coordinates]
        try:
            order = [float((c.get("Order") or "").replace(",", ".")) for c in coordinates]
        except ValueError as error:
            raise AnnotationError("An Order is missing or no number.", where=where) from error
        if not np.isfinite(order).all():
            raise AnnotationError("An Order is not finite.", where=where)
        return [position(coordinates[i], where) for i in sorted(range(len(order)), key=order.__getitem__)]

    def _geometries(self, kind: str, vertices: list[Position], label: str) -> Iterator[tuple[shapely.Geometry, str]]:
        if _KINDS[kind] == "point":
            if not vertices:
                self.notes.add("A shape without coordinates was left out", label)
            yield from ((shapely.Point(vertex), "point") for vertex in vertices)
            return
        box = box_of(vertices) if kind == "rectangle" else None
        if box is not None:
            yield box, "box"
            return
        geometry, repaired = outline_of(vertices)
        if geometry is None:
            self.notes.add("An outline of less than three different vertices, or without area, was left out", label)
            return
        if kind == "rectangle":
            self.notes.add("A rectangle that is none was read as the outline through its corners", label)
        elif kind == "spline":
            self.notes.add("A spline was read as the outline through its control points", label)
        if repaired:
            self.notes.add("An outline that crosses itself was repaired", label)
        yield geometry, "polygon"

    def finished(self) -> list[AsapShape]:
        """The shapes with the paths and colours of their groups, holes cut out."""
        paths = {group: self._path(group) for group in {shape.group for shape in self.shapes}}
        self.shapes = [
            replace(shape, group_path=paths[shape.group], color=self.color.get(shape.group or "") or shape.color)
            for shape in self.shapes
        ]
        holes = [i for i, shape in enumerate(self.shapes) if _is_hole(shape)]
        if not holes:
            return self.shapes
        solid = [i for i, shape in enumerate(self.shapes) if shape.kind != "point" and not _is_hole(shape)]
        geometry = [shape.geometry for shape in self.shapes]
        cut, homeless = cut_holes(
            [geometry[i] for i in solid], [geometry[i] for i in holes], self._owners(solid, holes)
        )
        lost = set(homeless)
        for i, hole in enumerate(holes):
            if i in lost:
                self.notes.add("A hole with no outline around it was left out", self.labels[hole])
            elif self.shapes[hole].own is None:
                what = f"A shape of the group {self.shapes[hole].group!r} was cut from the outlines around it"
                self.notes.add(what, self.labels[hole])
        for i, left in zip(solid, cut, strict=True):
            if left is None:
                self.notes.add("An outline that its holes cover was left out", self.labels[i])
            elif left is not geometry[i]:
                self.shapes[i] = replace(self.shapes[i], geometry=left, kind="polygon")  # a box with a hole is none
        gone = {*holes, *(i for i, left in zip(solid, cut, strict=True) if left is None)}
        return [shape for i, shape in enumerate(self.shapes) if i not in gone]

    def _owners(self, solid: list[int], holes: list[int]) -> dict[int, list[int]]:
        """Hole -> the only outlines that it may be cut from: those of its object, or of the group around its group."""
        of_id: dict[str, list[int]] = {}
        of_path: dict[tuple[str, ...], list[int]] = {}
        for place, i in enumerate(solid):
            own, path = self.shapes[i].own, self.shapes[i].group_path
            if own is not None:
                of_id.setdefault(own.id, []).append(place)
            for depth in range(1, len(path) + 1):
                of_path.setdefault(path[:depth], []).append(place)
        out = {}
        for number, i in enumerate(holes):
            own, path = self.shapes[i].own, self.shapes[i].group_path
            if own is not None:
                out[number] = of_id.get(own.id, [])
            elif len(path) > 1:
                out[number] = of_path.get(path[:-1], [])
        return out

    def _path(self, group: str | None) -> tuple[str, ...]:
        path: list[str] = []
        while group is not None:
            if group in path:
                what = f"The groups {', '.join(map(repr, path[::-1]))} are parts of each other in a circle."
                raise AnnotationError(what, where=self.path, fix="Correct PartOfGroup of one of them.")
            path.append(group)
            group = self.parent.get(group)
        return tuple(path[::-1])


def _is_hole(shape: AsapShape) -> bool:
    if shape.kind == "point":
        return False
    return (shape.group or "").casefold() in _HOLES if shape.own is None else shape.own.hole


def _group(element: Element) -> str | None:
    name = element.get("PartOfGroup")
    return None if not name or name == "None" else name


def _color(element: Element) -> str | None:
    text = element.get("Color") or ""
    return text.lower() if _COLOR.fullmatch(text) else None
