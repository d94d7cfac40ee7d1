"""QuPath GeoJSON, written as a stream.

One feature stands on one line of a ``FeatureCollection``::

    id           the UUID of the object
    geometry     Polygon, MultiPolygon or Point; level-0 pixels, origin top-left, at most two decimals
    properties   objectType, name, classification {name | names, color}, isLocked, measurements, metadata

What QuPath has no field for stands where QuPath keeps and shows it: score and quality among the measurements, the kind
(where it is a box), the source and an id that was no UUID in the metadata, which holds strings. The names start with
``histoseed: ``.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, cast

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations.classifications import classification_json
from histoseed.annotations.instances import Instances
from histoseed.annotations.json_files import collector_paused
from histoseed.errors import AnnotationError, InputError, OutputError
from histoseed.files import atomic_path

__all__ = ["KIND", "QUALITY", "SCORE", "SOURCE", "SOURCE_ID", "GeoJsonWriter", "ObjectType", "write_geojson"]

ObjectType = Literal["annotation", "detection", "cell"]

SCORE = "histoseed: score"
QUALITY = "histoseed: quality"
KIND = "histoseed: kind"
SOURCE = "histoseed: source"
SOURCE_ID = "histoseed: source id"

_ROWS_AT_ONCE = 8192


class GeoJsonWriter:
    """Writes objects as they come; the file appears under its name only when all of them are written.

    Args:
        path: ``.geojson`` or ``.json``; compressed when it ends in ``.gz``. Equal objects give equal bytes.
        object_type: what QuPath makes of the objects: annotations can be edited, detections are light.
        overwrite: replace a file of that name.

    Raises:
        InputError: ``object_type`` does not exist.
        OutputError: the file exists and ``overwrite`` is false, or the place cannot be written.
    """

    def __init__(self, path: Path | str, *, object_type: ObjectType = "annotation", overwrite: bool = False) -> None:
        if object_type not in ("annotation", "detection", "cell"):
            fix = "Use one of annotation, detection, cell."
            raise InputError(f"There is no object type {object_type!r}.", fix=fix)
        self.path = Path(path)
        self.count = 0
        self._object_type = object_type
        self._overwrite = overwrite
        self._stream: io.BufferedIOBase | None = None
        self._failure: OSError | None = None

    def __enter__(self) -> Self:
        if self.path.exists() and not self._overwrite:
            raise OutputError("The file exists.", where=self.path, fix="Choose another name, or add --overwrite.")
        self._file = contextlib.ExitStack()
        temporary = self._file.enter_context(atomic_path(self.path))
        try:
            self._stream = self._open(temporary)
            self._stream.write(b'{"type":"FeatureCollection","features":[')
        except OSError as error:
            self._file.__exit__(type(error), error, error.__traceback__)
            raise  # not reached: the line above raises an OutputError
        return self

    def _open(self, temporary: Path) -> io.BufferedIOBase:
        raw = self._file.enter_context(temporary.open("wb"))
        if self.path.suffix.lower() != ".gz":
            return raw
        # Neither name nor time in the header: equal objects give equal bytes.
        packed = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0)
        return cast("io.BufferedIOBase", self._file.enter_context(packed))

    def write(self, instances: Instances) -> None:
        """Append objects, in level-0 pixels.

        Raises:
            AnnotationError: an empty geometry or a coordinate that is not finite.
        """
        if self._stream is None:
            raise OutputError("The file is not open.", where=self.path, fix="Use the writer in a with statement.")
        for first in range(0, len(instances), _ROWS_AT_ONCE):
            chunk = instances.select(np.arange(first, min(first + _ROWS_AT_ONCE, len(instances))))
            with collector_paused():
                text = ",\n".join(_features(chunk, self._object_type))
            try:
                self._stream.write((",\n" if self.count else "\n").encode())
                self._stream.write(text.encode("utf-8", "replace"))
            except OSError as error:
                self._failure = error
                raise
            self.count += len(chunk)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stream, self._stream = self._stream, None
        if error is None:
            try:
                if stream is not None:
                    stream.write(b"\n]}\n")
            except OSError as failure:
                self._failure = failure
            else:
                self._file.close()
                return
        # Only a failure of our own may be told as "writing failed"; any other error passes through as it is.
        told = self._failure or _AbandonedError()
        with contextlib.suppress(_AbandonedError):
            self._file.__exit__(type(told), told, told.__traceback__)


class _AbandonedError(Exception):
    """Makes :func:`atomic_path` throw the temporary file away."""


def write_geojson(
    path: Path | str, instances: Instances, *, object_type: ObjectType = "annotation", overwrite: bool = False
) -> None:
    """Write objects as QuPath GeoJSON; see :class:`GeoJsonWriter` for arguments and errors."""
    with GeoJsonWriter(path, object_type=object_type, overwrite=overwrite) as writer:
        writer.write(instances)


def _features(instances: Instances, object_type: str) -> Iterator[str]:
    """The JSON text of every object."""
    geometry = _geometry_texts(instances.geometry)
    classes = {
        name: '"classification":' + _dumps(classification_json(name, instances.colors.get(name))) + ","
        for name in instances.classes()
    }
    columns = zip(
        instances.id,
        geometry,
        instances.class_name,
        instances.locked.tolist(),
        instances.measurements,
        instances.score.tolist(),
        instances.quality.tolist(),
        instances.kind,
        instances.source,
        instances.texts,
        strict=True,
    )
    for object_id, shape, name, locked, measurements, score, quality, kind, source, texts in columns:
        numbers = {key: value for key, value in measurements.items() if math.isfinite(value)}
        numbers.update((key, value) for key, value in ((SCORE, score), (QUALITY, quality)) if math.isfinite(value))
        strings = {} if kind != "box" else {KIND: kind}
        if source is not None:
            strings[SOURCE] = source
        called = ""
        if texts:
            strings |= {SOURCE_ID: texts["id"]} if "id" in texts else {}
            called = f'"name":{_dumps(texts["name"])},' if "name" in texts else ""
        metadata = f',"metadata":{_dumps(strings)}' if strings else ""
        yield (
            f'{{"type":"Feature","id":{_dumps(object_id)},"geometry":{shape},"properties":{{"objectType":"{object_type}",'
            f'{called}{classes.get(name, "")}"isLocked":{"true" if locked else "false"},'
            f'"measurements":{_dumps(numbers) if numbers else "{}"}{metadata}}}}}'
        )


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _geometry_texts(geometry: npt.NDArray[np.object_]) -> list[str]:
    """GeoJSON geometries, as text."""
    parts, row_of = shapely.get_parts(geometry, return_index=True)
    points = shapely.get_type_id(parts) == 0
    bounds = shapely.bounds(geometry)
    if not np.isfinite(bounds).all():  # NaN also where a geometry is empty
        row = int(np.flatnonzero(~np.isfinite(bounds).all(axis=1))[0])
        raise AnnotationError("An object is empty or has a coordinate that is not finite.", where=f"object {row}")
    rings, part_of = shapely.get_rings(parts[~points], return_index=True)
    texts = _ring_texts(rings)
    polygons: list[list[str]] = [[] for _ in range(int((~points).sum()))]
    for part, text in zip(part_of.tolist(), texts, strict=True):
        polygons[part].append(text)
    rows: list[list[str]] = [[] for _ in range(len(geometry))]
    for row, polygon in zip(row_of[~points].tolist(), polygons, strict=True):
        rows[row].append(f"[{','.join(polygon)}]")
    out = [
        f'{{"type":"Polygon","coordinates":{row[0]}}}'
        if len(row) == 1
        else f'{{"type":"MultiPolygon","coordinates":[{",".join(row)}]}}'
        for row in rows
    ]
    for row, xy in zip(row_of[points].tolist(), _position_texts(shapely.get_coordinates(parts[points])), strict=True):
        out[row] = f'{{"type":"Point","coordinates":{xy}}}'
    return out


def _ring_texts(rings: npt.NDArray[np.object_]) -> list[str]:
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    starts = np.searchsorted(ring, np.arange(len(rings) + 1)).tolist()
    positions = _rounded(xy)
    return [_compact(positions[a:b]) for a, b in itertools.pairwise(starts)]


def _position_texts(xy: npt.NDArray[np.float64]) -> list[str]:
    return [_compact(position) for position in _rounded(xy)]


def _rounded(xy: npt.NDArray[np.float64]) -> list[Any]:
    """Coordinates with at most two decimals; Python integers where all of them are whole."""
    rounded = np.round(xy, 2) + 0.0  # + 0.0 turns -0.0 into 0.0
    whole = bool((rounded == np.floor(rounded)).all()) and bool((np.abs(rounded) < 2**53).all())
    return list((rounded.astype(np.int64) if whole else rounded).tolist())


def _compact(value: list[Any]) -> str:
    """``repr`` of nested lists of numbers as JSON: it is the fastest formatter at hand, and shortest digits."""
    return repr(value).replace(" ", "").replace(".0,", ",").replace(".0]", "]")
