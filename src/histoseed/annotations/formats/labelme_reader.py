"""labelme JSON, read: the shapes of one image.

- ``polygon``, ``rectangle`` (two corners in any order, or four), ``oriented_rectangle`` (four corners) and ``circle``
  (centre and a point on it) are outlines and boxes, ``point`` is a point, ``mask`` an outline along pixel edges. Lines
  enclose nothing and are left out.
- Outlines of one label and one ``group_id`` are the parts of one object, as labelme's own converters take them.
- A mask lies at its upper left corner and has the size of its picture; the other corner, which may count the last row
  and column in or not, only has to fit.
"""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations.formats.base import AnnotatedImage, ReadOptions, stem_of
from histoseed.annotations.formats.beside import read_image_fields
from histoseed.annotations.formats.outlines import box_of, ellipse_of
from histoseed.annotations.formats.rows import OWN_KEY, Own, Rows, coordinates, is_number, polygon_of, read_own
from histoseed.annotations.json_files import collector_paused, read_json
from histoseed.annotations.limits import over_limit
from histoseed.annotations.notes import Notes
from histoseed.errors import AnnotationError
from histoseed.geometry import label_to_polygons, polygons_to_label
from histoseed.settings import Settings

__all__ = ["LOCKED", "UNCLASSIFIED", "Mask", "mask_of", "read_labelme"]

LOCKED = "locked"
"""The flag of a shape that is protected from edits."""

UNCLASSIFIED = "unclassified"
"""The label of an object without a class, and the mark, under the key ``histoseed``, that it has none."""

_FIELDS = frozenset(
    {"label", "points", "group_id", "description", "shape_type", "flags", "mask", "line_color", "fill_color", OWN_KEY}
)
_OUTLINES = frozenset({"polygon", "rectangle", "oriented_rectangle", "circle", "mask"})
_LINES = frozenset({"line", "linestrip"})
_PNG = b"\x89PNG\r\n\x1a\n"

Group = tuple[str, object]


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """Pixels of an object.

    Args:
        x: Column of the first of them in the image.
        y: Row of the first of them in the image.
        pixels: (H, W) bool.
    """

    x: int
    y: int
    pixels: npt.NDArray[np.bool_]

    def fields(self) -> dict[str, Any]:
        """``points`` and ``mask`` of a shape; the last row and column count in."""
        height, width = self.pixels.shape
        packed = base64.b64encode(imagecodecs.png_encode(self.pixels.astype(np.uint8)))
        corners = [[self.x, self.y], [self.x + width - 1, self.y + height - 1]]
        return {"points": corners, "mask": packed.decode("ascii")}

    def outline(self) -> shapely.Geometry:
        """The outline along pixel edges, empty where there is no pixel."""
        _, outlines = label_to_polygons(self.pixels, origin=(self.x, self.y))
        return outlines[0] if len(outlines) else shapely.Polygon()

    def same(self, other: Mask) -> bool:
        """Whether two masks have the same place and pixels."""
        return (self.x, self.y) == (other.x, other.y) and np.array_equal(self.pixels, other.pixels)


def mask_of(outline: shapely.Geometry, size: tuple[int, int] | None, settings: Settings, where: str) -> Mask:
    """The pixels whose centre an outline holds, in the box around it; what lies outside the image is cut off.

    Raises:
        LimitError: the box has more than ``max_pixels`` pixels.
    """
    limit = (math.inf, math.inf) if size is None else size
    x0, y0, x1, y1 = outline.bounds
    left, top = (int(min(max(math.floor(edge), 0), most - 1)) for edge, most in zip((x0, y0), limit, strict=True))
    right, bottom = (int(min(math.ceil(edge), most)) for edge, most in zip((x1, y1), limit, strict=True))
    shape = (max(bottom - top, 1), max(right - left, 1))
    if shape[0] * shape[1] > settings.max_pixels:
        what = f"The object spans {shape[1]} x {shape[0]} pixels; at most {settings.max_pixels} are drawn."
        raise over_limit("max_pixels", what, where=where)
    shifted = shapely.transform(outline, lambda xy: xy - (left, top))
    return Mask(left, top, polygons_to_label([shifted], shape, dtype=np.uint8) > 0)


def read_labelme(path: Path, options: ReadOptions) -> tuple[AnnotatedImage, list[str]]:
    """The image of one labelme file, and sentences about everything that was changed or left out.

    Raises:
        AnnotationError: not labelme, or a shape that makes no sense; the message names its number and label.
        LimitError: a file, a mask, an object or a number of objects above the settings.
    """
    with collector_paused():
        document = read_json(path, max_bytes=options.settings.max_geojson_bytes)
    if not isinstance(document, dict) or not isinstance(document.get("shapes"), list):
        raise AnnotationError("The file has no list of shapes, so it is no labelme file.", where=path)
    shapes = document["shapes"]
    if len(shapes) > options.settings.max_objects:
        what = f"The file has more than {options.settings.max_objects} objects."
        raise over_limit("max_objects", what, where=path)
    name, size = _image(document, path)
    beside = read_image_fields(document.get(OWN_KEY), path)
    notes = Notes("shape")
    reader = _Shapes(path, size, notes, options.settings)
    objects: dict[Group, list[_Found]] = {}
    for index, shape in enumerate(shapes):
        found = reader.read(index, shape)
        if found is not None:
            objects.setdefault(found.group, []).append(found)
    rows = Rows(path, notes, options.settings)
    for parts in objects.values():
        _add(rows, parts, notes)
    return AnnotatedImage(name, size, rows.instances(beside.colors), beside.mpp), notes.sentences()


def _image(document: Mapping[str, Any], path: Path) -> tuple[str, tuple[int, int] | None]:
    """Name, and width and height where they are stated."""
    name = document.get("imagePath") or stem_of(path, ())
    if not isinstance(name, str):
        raise AnnotationError(f"The imagePath is {str(name)[:60]!r}.", where=path)
    sides = document.get("imageWidth"), document.get("imageHeight")
    if sides == (None, None):
        return name.replace("\\", "/"), None
    if not all(type(side) is int and 0 < side < 2**31 for side in sides):
        raise AnnotationError(f"imageWidth and imageHeight are {sides[0]!r} and {sides[1]!r}.", where=path)
    return name.replace("\\", "/"), (int(sides[0] or 0), int(sides[1] or 0))


@dataclass(frozen=True, slots=True)
class _Found:
    """One shape: what it is a part of, and what it says."""

    group: Group
    label: str
    geometry: shapely.Geometry | None
    kind: str
    class_name: str | None
    own: Own


def _add(rows: Rows, parts: list[_Found], notes: Notes) -> None:
    first = parts[0]
    kind = "box" if first.own.kind == "box" else first.kind if len(parts) == 1 else "polygon"
    geometry = first.geometry
    if len(parts) > 1:
        if first.own.id is None:
            for part in parts:
                notes.add("Outlines of one label and group_id were read as parts of one object", part.label)
        given = [part.geometry for part in parts if part.geometry is not None]
        polygons = [polygon for shape in given for polygon in shapely.get_parts(shape) if not polygon.is_empty]
        geometry = shapely.MultiPolygon(polygons) if polygons else None
    rows.add(first.label, geometry, kind, first.class_name, first.own)


@dataclass(frozen=True, slots=True)
class _Shapes:
    """Reads one shape after the other."""

    path: Path
    size: tuple[int, int] | None
    notes: Notes
    settings: Settings

    def read(self, index: int, shape: object) -> _Found | None:
        """One shape, None where it is left out; raises an AnnotationError that names it where it makes no sense."""
        if not isinstance(shape, dict):
            raise AnnotationError("This is no object.", where=f"{self.path}, shape {index}")
        name = shape.get("label")
        label = f"{index} ({str(name)[:60]!r})"
        where = f"{self.path}, shape {label}"
        if name is not None and not isinstance(name, str):
            raise AnnotationError("The label is no text.", where=where)
        kind = shape.get("shape_type", "polygon")
        if not isinstance(kind, str):
            raise AnnotationError("The shape_type is no text.", where=where)
        if kind in _LINES:
            self.notes.add("A line encloses nothing and was left out", label)
            return None
        if kind not in _OUTLINES and kind != "point":
            self.notes.add(f"A shape of type {kind[:60]!r} was left out", label)
            return None
        locked = self._remarks(shape, label, where)
        value = shape.get(OWN_KEY)
        own = read_own(value, where)
        unclassified = isinstance(value, dict) and value.get(UNCLASSIFIED) is True and name == UNCLASSIFIED
        geometry, kind = self._geometry(kind, shape, own, label, where)
        own = Own(**{field: getattr(own, field) for field in Own.__slots__} | {"locked": own.locked or locked})
        group_id = shape.get("group_id")
        if group_id is not None and not isinstance(group_id, str) and not is_number(group_id):
            raise AnnotationError("The group_id is neither a number nor a text.", where=where)
        alone = group_id is None or kind == "point"
        group = ("", index) if alone else (f"group {name}", group_id)
        return _Found(group, label, geometry, kind, None if unclassified else name, own)

    def _remarks(self, shape: Mapping[str, Any], label: str, where: str) -> bool:
        """Whether the shape is locked; what is not kept is noted."""
        flags = shape.get("flags") or {}
        if not isinstance(flags, dict):
            raise AnnotationError("The flags are no object.", where=where)
        for flag, value in flags.items():
            if value and flag != LOCKED:
                self.notes.add(f"The flag {flag!r} was left out", label)
        if shape.get("description"):
            self.notes.add("A description was left out", label)
        for name in sorted(shape.keys() - _FIELDS):
            if shape[name] not in (None, "", [], {}, False):
                self.notes.add(f"The field {name!r} was left out", label)
        return bool(flags.get(LOCKED))

    def _geometry(
        self, kind: str, shape: Mapping[str, Any], own: Own, label: str, where: str
    ) -> tuple[shapely.Geometry | None, str]:
        """The geometry as the shape states it, and the kind of the object."""
        points = shape.get("points")
        if kind == "polygon":
            return polygon_of(points, where), "box" if own.kind == "box" else "polygon"
        good = isinstance(points, list) and all(
            isinstance(point, list) and len(point) == 2 and all(map(is_number, point)) for point in points
        )
        wanted = {"point": (1,), "rectangle": (2, 4), "oriented_rectangle": (4,), "circle": (2,), "mask": (2,)}[kind]
        if not good or points is None or len(points) not in wanted:
            number = " or ".join(map(str, wanted))
            raise AnnotationError(f"A shape of type {kind} has {number} points [x, y].", where=where)
        xy = coordinates(points, where)
        if kind == "point":
            return shapely.Point(xy[0]), "point"
        if kind == "mask":
            return self._mask(shape.get("mask"), xy, own, label, where), "polygon"
        if kind == "circle":
            self.notes.add("A circle was read as a polygon", label)
            radius = float(np.hypot(*(xy[1] - xy[0])))
            square = shapely.box(*(xy[0] - radius), *(xy[0] + radius))
            return ellipse_of(square) if radius else shapely.Polygon(), "polygon"
        box = box_of([(x, y) for x, y in xy.tolist()])
        if box is None and len(xy) == 4:
            self.notes.add("A turned rectangle was read as an outline", label)
            return shapely.Polygon(xy), "polygon"
        return box or shapely.Polygon(), "box"

    def _mask(
        self, text: object, corners: npt.NDArray[np.float64], own: Own, label: str, where: str
    ) -> shapely.Geometry:
        pixels = self._decode(text, where)
        x, y = np.round(corners.min(axis=0)).astype(int).tolist()
        span, size = np.ptp(corners, axis=0), np.array(pixels.shape[::-1])
        if (size < np.floor(span)).any() or (size > np.ceil(span) + 1).any():
            what = f"The mask has {pixels.shape[1]} x {pixels.shape[0]} pixels, which do not fit its corners."
            raise AnnotationError(what, where=where)
        mask = Mask(x, y, pixels)
        if own.outline is not None:
            if mask_of(own.outline, self.size, self.settings, where).same(mask):
                return own.outline
            self.notes.add("The mask was changed since; the exact outline beside it was passed over", label)
        return mask.outline()

    def _decode(self, text: object, where: str) -> npt.NDArray[np.bool_]:
        """The pixels of a PNG in base64 that are not 0."""
        try:
            data = base64.b64decode(text if isinstance(text, str) else "", validate=True)
        except ValueError as error:
            raise AnnotationError(f"The mask is no base64 ({error}).", where=where) from error
        if not data.startswith(_PNG) or len(data) < 33:
            raise AnnotationError("The mask is no PNG.", where=where)
        width, height = struct.unpack(">II", data[16:24])
        if width * height > self.settings.max_pixels:
            what = f"The mask has {width} x {height} pixels; at most {self.settings.max_pixels} are read."
            raise over_limit("max_pixels", what, where=where)
        try:
            array = np.asarray(imagecodecs.png_decode(data))
        except (RuntimeError, ValueError, zlib.error) as error:
            raise AnnotationError(f"The mask is damaged ({error}).", where=where) from error
        if array.ndim != 2:
            raise AnnotationError("The mask is a colour picture, not one plane.", where=where)
        return array > 0
