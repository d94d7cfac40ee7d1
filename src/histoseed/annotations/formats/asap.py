"""ASAP XML: one group a class.

The class of an object is its group, the innermost where groups are parts of groups. Written are polygons, rectangles
and dots. ASAP knows neither holes nor objects of several parts: a hole is a polygon of a group called "holes", which is
read as a hole again, here and by those who know the custom; each part is a polygon of its own. Id, place and lock of an
object, and that a polygon is a hole, stand in attributes that other software does not know
(:class:`~.marks.OwnMarks`). What is read and how: :mod:`.asap_shapes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import shapely

from histoseed.annotations.class_colors import palette
from histoseed.annotations.formats.asap_shapes import AsapShape, read_asap_shapes
from histoseed.annotations.formats.base import (
    AnnotatedImage,
    Feature,
    Format,
    ReadOptions,
    WriteOptions,
    losses,
    single,
)
from histoseed.annotations.formats.marks import Drawn, OwnMarks, put_together
from histoseed.annotations.formats.outlines import check_written
from histoseed.annotations.formats.xml_files import attributes, decimals, first_tag, write_xml
from histoseed.annotations.instances import Instances
from histoseed.annotations.notes import Notes
from histoseed.errors import AnnotationError

__all__ = ["FORMAT", "AsapShape", "read_asap_shapes"]

_NAME = "asap"
_HOLDS: frozenset[Feature] = frozenset(
    {"polygon", "box", "point", "holes", "parts", "overlap", "class", "color", "id", "locked"}
)
_HOLES = "holes"
_UNCLASSIFIED = "#f4fa58"
"""What ASAP itself paints a shape without a group."""


def _sniff(path: Path) -> bool:
    return path.is_file() and first_tag(path) == "ASAP_Annotations"


def _read(path: Path, options: ReadOptions) -> tuple[list[AnnotatedImage], list[str]]:
    shapes, sentences = read_asap_shapes(path, options.settings)
    notes = Notes("shape")
    colors: dict[str, str] = {}
    for shape in shapes:
        if shape.group is not None and shape.color is not None:
            colors.setdefault(shape.group, shape.color)
        if len(shape.group_path) > 1:
            notes.add(f"The class is {shape.group!r}; the groups around it were not read", shape.name)
    drawn = [Drawn(geometry=s.geometry, kind=s.kind, class_name=s.group, name=s.name, own=s.own) for s in shapes]
    image = AnnotatedImage(path.stem, None, put_together(drawn, colors))
    return [image], sentences + notes.sentences()


def _write(path: Path, images: Sequence[AnnotatedImage], options: WriteOptions) -> list[str]:
    table = single(_NAME, path, images).instances
    check_written(table, path)
    if "None" in table.classes():
        what = "A class called 'None' cannot be written: in ASAP it means that there is no class."
        raise AnnotationError(what, where=path, fix="Rename the class first.")
    write_xml(path, _lines(table), overwrite=options.overwrite)
    return losses(_NAME, _HOLDS, images)


def _lines(table: Instances) -> Iterator[str]:
    colors = palette(table.classes(), table.colors)
    with_holes = shapely.get_num_interior_rings(shapely.get_parts(table.geometry)).any()
    groups = {**({_HOLES: "#000000"} if with_holes else {}), **colors}
    yield "<ASAP_Annotations>"
    yield "  <Annotations>"
    for number, (row, kind, ring, is_hole) in enumerate(_rings(table)):
        name = table.class_name[row]
        marks = OwnMarks(id=table.id[row], row=row, locked=bool(table.locked[row]), hole=is_hole)
        stated = {
            "Name": f"Annotation {number}",
            "Type": {"polygon": "Polygon", "box": "Rectangle", "point": "Dot"}[kind],
            "PartOfGroup": _HOLES if is_hole else name or "None",
            "Color": groups[_HOLES] if is_hole else colors.get(name, _UNCLASSIFIED),
            **marks.attributes(),
        }
        yield f"    <Annotation {attributes(stated, where='class or id')}>"
        yield "      <Coordinates>"
        for order, (x, y) in enumerate(shapely.get_coordinates(ring)[: -1 if kind != "point" else None].tolist()):
            yield f'        <Coordinate Order="{order}" X="{decimals(x)}" Y="{decimals(y)}"/>'
        yield "      </Coordinates>"
        yield "    </Annotation>"
    yield "  </Annotations>"
    yield "  <AnnotationGroups>"
    for name, color in groups.items():
        stated = {"Name": name, "PartOfGroup": "None", "Color": color}
        yield f"    <Group {attributes(stated, where='class')}><Attributes/></Group>"
    yield "  </AnnotationGroups>"
    yield "</ASAP_Annotations>"


def _rings(table: Instances) -> Iterator[tuple[int, str, shapely.Geometry, bool]]:
    """Row, kind, ring (or point), whether it is a hole: what is drawn, one after the other."""
    for row, (geometry, kind) in enumerate(zip(table.geometry, table.kind, strict=True)):
        if kind == "point":
            yield row, kind, geometry, False
            continue
        for part in shapely.get_parts(geometry):
            yield row, kind, part.exterior, False
            yield from ((row, "polygon", hole, True) for hole in part.interiors)


FORMAT = Format(
    name=_NAME,
    about="ASAP XML: shapes in groups",
    suffixes=(".xml",),
    holds=_HOLDS,
    many=False,
    sniff=_sniff,
    read=_read,
    write=_write,
)
