"""COCO JSON, read: what each image, category and annotation says.

- Ids are numbers or texts of any kind; they only lead from one table to the other. Classes are category *names*.
- ``segmentation``: a list of polygons is one object, of several parts where there are several; run lengths, as a list
  or compressed, become outlines along pixel edges. Without it, a ``keypoints`` of one point is a point, and a ``bbox``
  is a box.
- ``iscrowd = 1`` marks what counts for nothing: the class is QuPath's ``Ignore*``, whatever the category.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from histoseed.annotations.classifications import parse_classification
from histoseed.annotations.formats.base import IGNORE_CLASS, AnnotatedImage, ReadOptions
from histoseed.annotations.formats.coco_rle import outline_to_runs, runs_to_outline, unpack_runs
from histoseed.annotations.formats.rows import OWN_KEY, Own, Rows, coordinates, is_number, read_own
from histoseed.annotations.json_files import collector_paused, read_json
from histoseed.annotations.limits import over_limit
from histoseed.annotations.notes import Notes
from histoseed.errors import AnnotationError
from histoseed.settings import Settings

__all__ = ["UNCLASSIFIED", "read_coco"]

UNCLASSIFIED = "unclassified"
"""The mark, under the key ``histoseed``, of the category that stands for having none."""

_FIELDS = frozenset(
    {"id", "image_id", "category_id", "bbox", "area", "iscrowd", "segmentation", "keypoints", "num_keypoints", "score"}
)
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")

Key = str | int | float


@dataclass(frozen=True, slots=True)
class _Image:
    name: str
    size: tuple[int, int] | None
    mpp: float | None
    rows: Rows


def read_coco(path: Path, options: ReadOptions) -> tuple[list[AnnotatedImage], list[str]]:
    """The images of a COCO file with their objects, and sentences about everything that was changed or left out.

    Args:
        path: The file; gzip and zip are unpacked.
        options: ``classes`` names category ids that the file has no category for.

    Raises:
        AnnotationError: not COCO, or an image, category or annotation that makes no sense; the message names it.
        LimitError: a file, an object or a number of objects above the settings.
    """
    with collector_paused():
        document = read_json(path, max_bytes=options.settings.max_geojson_bytes)
        if not isinstance(document, dict) or not isinstance(document.get("images"), list):
            fix = "Give the file that lists images, annotations and categories; a list of results alone names no image."
            raise AnnotationError("The file has no list of images, so it is no COCO file.", where=path, fix=fix)
        notes = Notes("annotation")
        images = _images(document["images"], path, notes, options.settings)
        names, colors = _categories(_table(document, "categories", path), path)
        reader = _Annotations(path, images, dict(options.classes), names, notes, options.settings)
        annotations = _table(document, "annotations", path)
        if len(annotations) > options.settings.max_objects:
            what = f"The file has more than {options.settings.max_objects} objects."
            raise over_limit("max_objects", what, where=path)
        for index, annotation in enumerate(annotations):
            reader.add(index, annotation)
        found = [AnnotatedImage(one.name, one.size, one.rows.instances(colors), one.mpp) for one in images.values()]
    return found, notes.sentences()


def _table(document: Mapping[str, Any], name: str, path: Path) -> list[Any]:
    value = document.get(name, [])
    if not isinstance(value, list):
        raise AnnotationError(f"{name!r} is no list.", where=path)
    return value


def _key(value: Any, where: str) -> Key:
    if not isinstance(value, str) and not is_number(value):
        raise AnnotationError(f"An id is a number or a text, not {str(value)[:60]!r}.", where=where)
    key: Key = value
    return key


def _entries(table: list[Any], what: str, path: Path) -> dict[Key, tuple[dict[str, Any], str]]:
    """Id -> entry of ``images`` or ``categories``, and how messages name it."""
    out: dict[Key, tuple[dict[str, Any], str]] = {}
    for index, entry in enumerate(table):
        where = f"{path}, {what} {index}"
        if not isinstance(entry, dict):
            raise AnnotationError("The entry is no object.", where=where)
        key = _key(entry.get("id"), where)
        if key in out:
            raise AnnotationError(f"The id {key!r} stands on an earlier {what} too.", where=where)
        out[key] = (entry, f"{path}, {what} {key!r}")
    return out


def _images(table: list[Any], path: Path, notes: Notes, settings: Settings) -> dict[Key, _Image]:
    images = {}
    for key, (entry, where) in _entries(table, "image", path).items():
        name = entry.get("file_name", str(key))
        size = (entry.get("width"), entry.get("height"))
        if not isinstance(name, str) or not name:
            raise AnnotationError(f"The file name of the image is {name!r}.", where=where)
        if size != (None, None) and not all(type(side) is int and 0 < side < 2**31 for side in size):
            raise AnnotationError(f"Width and height of the image are {size[0]!r} and {size[1]!r}.", where=where)
        own = entry.get(OWN_KEY)
        mpp = own.get("mpp") if isinstance(own, dict) else None
        if mpp is not None and not (is_number(mpp) and 0 < mpp < np.inf):
            raise AnnotationError(f"The microns per pixel are {mpp!r}.", where=where)
        rows = Rows(path, notes, settings)
        known = None if size == (None, None) else (int(size[0] or 0), int(size[1] or 0))
        images[key] = _Image(name, known, mpp, rows)
    return images


def _categories(table: list[Any], path: Path) -> tuple[dict[Key, str | None], dict[str, str]]:
    """Id -> class name (None for the category of objects without a class); class name -> colour."""
    names: dict[Key, str | None] = {}
    colors: dict[str, str] = {}
    for key, (entry, where) in _entries(table, "category", path).items():
        own, value = entry.get(OWN_KEY), entry.get("color")
        if isinstance(own, dict) and own.get(UNCLASSIFIED) is True:
            names[key] = None
            continue
        if not isinstance(entry.get("name"), str) or not entry["name"]:
            raise AnnotationError(f"The name of the category is {entry.get('name')!r}.", where=where)
        name, color = parse_classification({"name": entry["name"], "color": value})
        names[key] = name
        if isinstance(value, str) and _COLOR.fullmatch(value):
            color = value.lower()
        if name is not None and color is not None:
            colors.setdefault(name, color)
    return names, colors


@dataclass(frozen=True, slots=True)
class _Annotations:
    """Brings annotations into the tables of their images, one after the other."""

    path: Path
    images: Mapping[Key, _Image]
    given: Mapping[str, str]
    names: Mapping[Key, str | None]
    notes: Notes
    settings: Settings

    def add(self, index: int, value: object) -> None:
        """Read one annotation; raises an AnnotationError that names it where it makes no sense."""
        if not isinstance(value, dict):
            raise AnnotationError("This is no object.", where=f"{self.path}, annotation number {index}")
        label = str(_key(value.get("id", f"number {index}"), f"{self.path}, annotation number {index}"))
        where = f"{self.path}, annotation {label}"
        image = self.images.get(_key(value.get("image_id"), where))
        if image is None:
            raise AnnotationError(f"There is no image with the id {value['image_id']!r}.", where=where)
        for name in sorted(value.keys() - _FIELDS - {OWN_KEY}):
            if value[name] not in (None, "", [], {}):
                self.notes.add(f"The field {name!r} was left out", label)
        own = read_own(value.get(OWN_KEY), where)
        geometry, kind = self._geometry(value, own, image, label, where)
        score = value.get("score")
        if score is not None:
            if not is_number(score):
                raise AnnotationError(f"The score is {str(score)[:60]!r}, which is no number.", where=where)
            own = Own(**{name: getattr(own, name) for name in Own.__slots__} | {"score": float(score)})
        image.rows.add(label, geometry, kind, self._class(value, label, where), own)

    def _class(self, value: Mapping[str, Any], label: str, where: str) -> str | None:
        name: str | None = None
        if value.get("category_id") is not None:
            key = _key(value["category_id"], where)
            if key not in self.names and str(key) not in self.given:
                fix = "Add it to the categories of the file, or name it with --classes FILE.json."
                raise AnnotationError(f"There is no category with the id {key!r}.", where=where, fix=fix)
            name = self.names[key] if key in self.names else self.given[str(key)]
        crowd = value.get("iscrowd", 0)
        if crowd not in (0, 1, None):
            raise AnnotationError(f"iscrowd is {str(crowd)[:60]!r}; 0 or 1 is expected.", where=where)
        if crowd != 1:
            return name
        instead = "" if name in (None, IGNORE_CLASS) else f", not as {name!r}"
        what = f"iscrowd = 1 marks what counts for nothing; it was read as class {IGNORE_CLASS!r}{instead}"
        self.notes.add(what, label)
        return IGNORE_CLASS

    def _geometry(
        self, value: Mapping[str, Any], own: Own, image: _Image, label: str, where: str
    ) -> tuple[shapely.Geometry | None, str]:
        """The geometry as the file states it, and its kind."""
        segmentation, points = value.get("segmentation"), value.get("keypoints")
        if segmentation:
            if points:
                self.notes.add("The key points of an outline were left out", label)
            kind = "box" if own.kind == "box" else "polygon"
            if isinstance(segmentation, dict):
                return self._runs(segmentation, own, image, label, where), kind
            return self._polygons(segmentation, label, where), kind
        bbox = value.get("bbox")
        flat = not isinstance(bbox, list) or not any(bbox[2:])
        if points and (flat or own.kind == "point"):
            return self._point(points, where), "point"
        if points:
            self.notes.add("The key points of a box were left out", label)
        if not isinstance(bbox, list) or len(bbox) != 4 or not all(map(is_number, bbox)):
            what = "There is neither a segmentation, nor one key point, nor a bbox [x, y, width, height]."
            raise AnnotationError(what, where=where)
        (x, y), (width, height) = coordinates(bbox, where).tolist()
        if width < 0 or height < 0:
            raise AnnotationError(f"The box is {width:g} x {height:g} pixels.", where=where)
        return shapely.box(x, y, x + width, y + height) if width and height else shapely.Polygon(), "box"

    def _polygons(self, value: object, label: str, where: str) -> shapely.Geometry | None:
        rings = [value] if isinstance(value, list) and all(map(is_number, value)) else value
        if not isinstance(rings, list) or not all(isinstance(r, list) and all(map(is_number, r)) for r in rings):
            what = "A segmentation is a list of polygons [x, y, x, y, ...], or run lengths."
            raise AnnotationError(what, where=where)
        parts = []
        for ring in rings:
            xy = coordinates(ring, where)
            if len(np.unique(xy, axis=0)) >= 3:
                parts.append(shapely.Polygon(xy))
            elif len(rings) > 1:
                self.notes.add("A part of less than three vertices was left out", label)
        return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts) if parts else None

    def _runs(
        self, value: Mapping[str, Any], own: Own, image: _Image, label: str, where: str
    ) -> shapely.Geometry | None:
        size = value.get("size")
        if not (isinstance(size, list) and len(size) == 2 and all(type(n) is int and 0 < n < 2**31 for n in size)):
            raise AnnotationError(f"The size of run lengths is [height, width], not {str(size)[:60]}.", where=where)
        if image.size is not None and image.size != (size[1], size[0]):
            what = (
                f"The run lengths are of {size[1]} x {size[0]} pixels, the image has {image.size[0]} x {image.size[1]}."
            )
            raise AnnotationError(what, where=where)
        runs = unpack_runs(value.get("counts"), (size[0], size[1]), where)
        if own.outline is not None:
            drawn = outline_to_runs(own.outline, (size[0], size[1]), where, self.settings)
            if np.array_equal(drawn, runs):
                return own.outline
            self.notes.add("The run lengths were changed since; the exact outline beside them was passed over", label)
        outline = runs_to_outline(runs, (size[0], size[1]), where, self.settings)
        return shapely.Polygon() if outline is None else outline

    def _point(self, value: object, where: str) -> shapely.Point:
        if not isinstance(value, list) or len(value) != 3 or not all(map(is_number, value)):
            raise AnnotationError("The key points are not one [x, y, visibility], and there is no box.", where=where)
        return shapely.Point(coordinates(value[:2], where)[0])
