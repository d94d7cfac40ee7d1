"""QuPath GeoJSON, read into :class:`Instances`.

What is accepted: a ``FeatureCollection``, a bare array of features or one feature, plain, gzip or zip; files of QuPath
0.2 to 0.6 and of tools that write the same; hierarchical exports (``childObjects``). Features are numbered from 0 in
reading order, children after their parent. What is left out or changed is said in the warnings, with these numbers.

- ``Polygon`` and ``MultiPolygon`` are outlines; a ``GeometryCollection`` gives its polygons. ``Point`` and every
  position of a ``MultiPoint`` are points. Lines enclose nothing and are left out.
- A QuPath *cell* has a cell boundary (``geometry``) and often a nucleus (``nucleusGeometry``): the boundary is read,
  with ``nucleus=True`` the nucleus where there is one.
- An outline that crosses itself is repaired by shapely's "structure" method: everything it goes round counts as inside.
- An ``id`` that is no UUID is replaced by one made from its text and the outline, the same at every reading; the one
  that was given stands in ``texts``, as does the name.
"""

from __future__ import annotations

import math
import re
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations.classifications import parse_classification
from histoseed.annotations.geojson_geometry import Shapes
from histoseed.annotations.geojson_writer import KIND, QUALITY, SCORE, SOURCE, SOURCE_ID
from histoseed.annotations.instances import Instances
from histoseed.annotations.json_files import collector_paused, read_json
from histoseed.annotations.limits import over_limit
from histoseed.annotations.notes import Notes
from histoseed.errors import AnnotationError
from histoseed.settings import Settings, read_settings

__all__ = ["read_geojson"]

_NAMESPACE = uuid.UUID("5b1f4b6e-4c0e-5d9c-9a51-0d6a0a6f2f11")
"""Of the UUIDs that stand in for other ids; changing it changes them all."""

_NOT_OBJECTS = ("root", "PathRootObject", "tmaCore", "tma_core", "TMACoreObject")
"""QuPath object types that frame other objects: the whole image and the cores of a tissue microarray."""

_OBJECT_TYPE = re.compile(r"Path\w+Object|TMACoreObject")


def read_geojson(
    path: Path | str,
    *,
    settings: Settings | None = None,
    size: tuple[int, int] | None = None,
    allow_outside: bool = False,
    nucleus: bool = False,
) -> tuple[Instances, list[str]]:
    """Read the objects of a QuPath GeoJSON file, in level-0 pixels.

    Args:
        path: the file; ``.gz`` and ``.zip`` are unpacked.
        settings: limits; from the environment by default.
        size: width, height of the image; coordinates beyond it are an error.
        allow_outside: accept negative coordinates, and such beyond ``size``.
        nucleus: of cells read the nucleus where there is one, instead of the cell boundary.

    Returns:
        The objects in the order of the file, and sentences about everything that was repaired, renamed or left out.

    Raises:
        AnnotationError: no GeoJSON features, or a feature that cannot be understood; the message names its number and
            id. Among these are coordinates that are not finite, negative or outside the image.
        LimitError: a file, an object or a number of objects above the settings.
    """
    path = Path(path)
    settings = read_settings() if settings is None else settings
    warnings = Notes("feature")
    with collector_paused():
        rows = _read_rows(path, settings, warnings, nucleus=nucleus)
        instances = rows.instances(None if allow_outside else size or (math.inf, math.inf))
    return instances, warnings.sentences()


def _read_rows(path: Path, settings: Settings, warnings: Notes, *, nucleus: bool) -> _Rows:
    document = read_json(path, max_bytes=settings.max_geojson_bytes)
    features = _flatten(_top_level(document, path), path, settings.max_objects)
    rows = _Rows(Shapes(path, settings, warnings), warnings)
    for index, feature in enumerate(features):
        try:
            rows.add(index, feature, nucleus=nucleus)
        except AnnotationError as error:
            raise AnnotationError(error.what, where=_where(path, index, feature), fix=error.fix) from error
    return rows


def _where(path: Path, index: int, feature: object) -> str:
    return f"{path}, feature {_label(index, feature.get('id') if isinstance(feature, dict) else None)}"


def _label(index: int, given_id: object) -> str:
    """How messages name a feature: its number, and its id where it has one."""
    return f"{index} ({given_id[:60]!r})" if isinstance(given_id, str) else str(index)


def _top_level(document: object, path: Path) -> list[Any]:
    if isinstance(document, list):
        return document
    kind = document.get("type") if isinstance(document, dict) else None
    if isinstance(document, dict):
        if kind == "Feature":
            return [document]
        if kind == "FeatureCollection" and isinstance(document.get("features"), list):
            return list(document["features"])
    found = type(document).__name__ if kind is None else repr(kind)
    fix = "Export from QuPath with File > Export objects as GeoJSON."
    what = f"The file holds {found}, not a FeatureCollection, a list of features or one Feature."
    raise AnnotationError(what, where=path, fix=fix)


def _flatten(features: list[Any], path: Path, max_objects: int) -> list[Any]:
    """Features with the children of hierarchical exports behind their parents."""
    out: list[Any] = []
    waiting = features[::-1]
    while waiting:
        feature = waiting.pop()
        out.append(feature)
        if len(out) + len(waiting) > max_objects:
            raise over_limit("max_objects", f"The file has more than {max_objects} objects.", where=path)
        properties = feature.get("properties") if isinstance(feature, dict) else None
        if isinstance(properties, dict):
            children = properties.get("childObjects", properties.get("children"))
            if isinstance(children, list):
                waiting.extend(children[::-1])
    return out


@dataclass(slots=True)
class _Rows:
    """Columns that grow by one feature after the other."""

    shapes: Shapes
    warnings: Notes
    given_id: list[Any] = field(default_factory=list)
    class_name: list[str | None] = field(default_factory=list)
    kind: list[str] = field(default_factory=list)
    locked: list[bool] = field(default_factory=list)
    measurements: list[dict[str, float]] = field(default_factory=list)
    source: list[str | None] = field(default_factory=list)
    texts: list[dict[str, str] | None] = field(default_factory=list)
    colors: dict[str, str] = field(default_factory=dict)

    def add(self, index: int, feature: object, *, nucleus: bool) -> None:
        """Read one feature; raises an AnnotationError, still without its place, where it makes no sense."""
        if not isinstance(feature, dict) or feature.get("type") != "Feature":
            raise AnnotationError("This is no object of type Feature.")
        properties = feature.get("properties") or {}
        if not isinstance(properties, dict):
            raise AnnotationError(f"The properties are no object but {type(properties).__name__}.")
        given_id = feature.get("id")
        label = _label(index, given_id)
        object_type = properties.get("objectType", properties.get("object_type", properties.get("type", given_id)))
        if object_type in _NOT_OBJECTS:
            self.warnings.add(f"A frame of type {object_type!r} is no object and was left out", label)
            return
        geometry = feature.get("geometry")
        if nucleus:
            geometry = feature.get("nucleusGeometry") or geometry
        count = self.shapes.add(label, geometry)
        if not count:
            return
        name, color = parse_classification(properties.get("classification"))
        if name is not None and color is not None:
            self.colors.setdefault(name, color)
        metadata = properties.get("metadata")
        metadata = metadata if isinstance(metadata, dict) else {}
        source = metadata.get(SOURCE)
        texts = _texts(given_id, properties.get("name"), metadata.get(SOURCE_ID))
        for _ in range(count):
            self.given_id.append(given_id)
            self.class_name.append(name)
            self.kind.append("box" if metadata.get(KIND) == "box" else "polygon")
            self.locked.append(properties.get("isLocked") is True)
            self.measurements.append(self._measurements(properties.get("measurements"), label))
            self.source.append(source if isinstance(source, str) else None)
            self.texts.append(texts)

    def _measurements(self, value: object, label: str) -> dict[str, float]:
        """Numbers by name, from an object (QuPath 0.4 and later) or a list of {name, value}."""
        if not value:
            return {}
        if isinstance(value, dict):
            pairs = list(value.items())
        elif isinstance(value, list) and all(isinstance(entry, dict) for entry in value):
            pairs = [(entry.get("name"), entry.get("value")) for entry in value]
        else:
            raise AnnotationError("The measurements are neither an object nor a list of {name, value}.")
        out: dict[str, float] = {}
        for name, number in pairs:
            try:
                out[str(name)] = float(number)
            except (TypeError, ValueError, OverflowError):
                self.warnings.add(f"The measurement {str(name)!r} is no number and was left out", label)
        return out

    def instances(self, size: tuple[float, float] | None) -> Instances:
        """The table, once all geometries are built and the ones without area are gone."""
        geometry, labels = self.shapes.build(size)
        kept = np.flatnonzero(~shapely.is_missing(geometry))
        geometry = geometry[kept]
        rows = kept.tolist()
        kind = np.array([self.kind[row] for row in rows], dtype=object)
        kind[shapely.get_type_id(geometry) == 0] = "point"
        self._check_boxes(geometry, kind, [labels[row] for row in rows])
        measurements = [self.measurements[row] for row in rows]
        return Instances.build(
            geometry,
            class_name=[self.class_name[row] for row in rows],
            id=self._ids(geometry, rows, labels),
            kind=kind,
            score=[values.pop(SCORE, math.nan) for values in measurements],
            quality=[values.pop(QUALITY, math.nan) for values in measurements],
            source=[self.source[row] for row in rows],
            locked=np.array([self.locked[row] for row in rows], dtype=bool),
            measurements=measurements,
            texts=[self.texts[row] for row in rows],
            colors=self.colors,
        )

    def _check_boxes(self, geometry: npt.NDArray[np.object_], kind: npt.NDArray[np.object_], labels: list[str]) -> None:
        """A box that somebody has reshaped is an outline now."""
        boxes = np.flatnonzero(kind == "box")
        changed = boxes[~shapely.equals(geometry[boxes], shapely.envelope(geometry[boxes]))]
        kind[changed] = "polygon"
        for row in changed.tolist():
            self.warnings.add("A box was reshaped since and is read as an outline", labels[row])

    def _ids(self, geometry: npt.NDArray[np.object_], rows: list[int], labels: list[str]) -> list[str]:
        ids: list[str] = []
        taken: set[str] = set()
        for place, row in enumerate(rows):
            given = self.given_id[row]
            canonical = _canonical_uuid(given)
            if canonical is None or canonical in taken:
                if given is None:
                    self.warnings.add("There is no id; one was made from the outline", labels[row])
                elif canonical is None:
                    self.warnings.add("The id is no UUID; a new one was made from it and the outline", labels[row])
                elif shapely.get_type_id(geometry[place]) != 0:
                    self.warnings.add("The id stands on an earlier object too; a new one was made", labels[row])
                name = f"{given!r} {geometry[place].wkb_hex}"
                canonical, copy = str(uuid.uuid5(_NAMESPACE, name)), 0
                while canonical in taken:  # the same outline again
                    copy += 1
                    canonical = str(uuid.uuid5(_NAMESPACE, f"{name} {copy}"))
            taken.add(canonical)
            ids.append(canonical)
        return ids


def _texts(given_id: object, name: object, kept_id: object) -> dict[str, str] | None:
    """The name of an object, and its id where that is no UUID; QuPath 0.2 wrote the type of the object in its place."""
    texts = {"name": name} if isinstance(name, str) and name else {}
    numbered = isinstance(given_id, int) and not isinstance(given_id, bool)
    foreign = isinstance(given_id, str) and given_id and _canonical_uuid(given_id) is None
    if isinstance(kept_id, str):
        texts["id"] = kept_id
    elif numbered or (foreign and not _OBJECT_TYPE.fullmatch(str(given_id))):
        texts["id"] = str(given_id)
    return texts or None


def _canonical_uuid(value: object) -> str | None:
    if not isinstance(value, str) or len(value) != 36:
        return None
    try:
        return str(uuid.UUID(value))
    except ValueError:
        return None
