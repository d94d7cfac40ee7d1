"""GeoParquet 1.1: a table with outlines that geopandas, QGIS, DuckDB and others open.

The columns are those of ``nuclei.parquet`` (:data:`~histoseed.annotations.frames.FRAME_SCHEMA`), so nothing is lost.
The file metadata hold ``geo`` as GeoParquet asks for (well-known binary; no coordinate reference system: these are
pixels, y points down) and ``histoseed`` (:mod:`.beside`).

Of tables that others wrote, the geometry is read, and the columns of the same names; the class may be called
``class_name``, ``class`` or ``classification``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from histoseed.annotations.formats.base import (
    AnnotatedImage,
    Feature,
    Format,
    ReadOptions,
    WriteOptions,
    check_free,
    losses,
    single,
)
from histoseed.annotations.formats.beside import image_fields, read_image_fields
from histoseed.annotations.formats.outlines import check_written
from histoseed.annotations.formats.parquet_tables import KEPT, objects_of, unpacked
from histoseed.annotations.formats.rows import OWN_KEY
from histoseed.annotations.frames import FRAME_SCHEMA, instances_to_frame
from histoseed.annotations.notes import Notes
from histoseed.errors import AnnotationError
from histoseed.files import atomic_path

__all__ = ["FORMAT"]

_NAME = "geoparquet"
_HOLDS: frozenset[Feature] = frozenset(
    {
        "polygon", "box", "point", "holes", "parts", "overlap", "class", "color", "id", "score", "quality", "source",
        "locked", "measurements",
    }
)  # fmt: skip

_CLASS = ("class_name", "class", "classification")
_ID = ("instance_id", "id")


def _sniff(path: Path) -> bool:
    try:
        return path.is_file() and b"geo" in (pq.read_metadata(path).metadata or {})
    except (OSError, ValueError, pa.ArrowException):
        return False


def _read(path: Path, options: ReadOptions) -> tuple[list[AnnotatedImage], list[str]]:
    sentences: list[str] = []
    try:
        with pq.ParquetFile(path) as file:
            geometry, own = _metadata(path, file.metadata.metadata or {}, sentences)
            columns = _columns(file.schema_arrow, geometry, is_own=own is not None)
            derived = FRAME_SCHEMA if own is not None else {}  # boxes, areas and centroids are computed anew
            left = [name for name in file.schema_arrow.names if name not in columns and name not in derived]
            frame = unpacked(path, file, list(columns), options.settings).rename(columns)
    except FileNotFoundError as error:
        raise AnnotationError("There is no such file.", where=path) from error
    except (OSError, ValueError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        raise AnnotationError(f"This is no Parquet file, or it is damaged ({error}).", where=path) from error
    if left:
        sentences.append(f"Columns that were not read: {', '.join(left)}.")
    beside = read_image_fields(own, path)
    notes = Notes("row")
    table = objects_of(path, frame, notes, options.settings, beside.colors)
    image = AnnotatedImage(beside.name or path.stem, beside.size, table, beside.mpp)
    return [image], sentences + notes.sentences()


def _metadata(path: Path, metadata: Mapping[bytes, bytes], sentences: list[str]) -> tuple[str, object]:
    """The column with the outlines, and what histoseed says about the image (None where it did not write the file)."""
    if b"geo" not in metadata:
        what = "The Parquet file has no 'geo' in its metadata: it is no GeoParquet."
        raise AnnotationError(what, where=path, fix="Write it with geopandas, or convert it from another format.")
    try:
        geo = json.loads(metadata[b"geo"])
        name = geo["primary_column"]
        about = geo["columns"][name]
        encoding = about["encoding"]
        own = json.loads(metadata[OWN_KEY.encode()]) if OWN_KEY.encode() in metadata else None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise AnnotationError("The metadata of GeoParquet are damaged.", where=path) from error
    if encoding != "WKB":
        what = f"The outlines are encoded as {encoding!r}; only WKB is read."
        raise AnnotationError(what, where=path, fix='In geopandas: to_parquet(..., geometry_encoding="WKB").')
    _check_reference(path, about, sentences)
    return str(name), own


def _check_reference(path: Path, about: Mapping[str, Any], sentences: list[str]) -> None:
    """Pixels have no coordinate reference system."""
    if "crs" not in about:
        sentences.append("The file does not say that its coordinates are no degrees; they were read as pixels.")
        return
    crs = about["crs"]
    if crs is None:
        return
    kind, name = (crs.get("type"), crs.get("name")) if isinstance(crs, dict) else (None, crs)
    if kind != "EngineeringCRS":
        what = f"The coordinates are of the reference system {str(name)[:80]!r}, no pixels."
        raise AnnotationError(what, where=path, fix="Transform them to pixels, and write the file without one.")
    sentences.append(f"The reference system {str(name)[:80]!r} was not read; the coordinates were read as pixels.")


def _columns(schema: pa.Schema, geometry: str, *, is_own: bool) -> dict[str, str]:
    """Column of the file -> column of ours; of files of others only what cannot be mistaken."""
    columns = {geometry: "geometry"}
    if is_own:
        return columns | {name: name for name in KEPT if name in schema.names}
    for wanted, name in (("class_name", _CLASS), ("instance_id", _ID), ("score", ("score",))):
        found = next((one for one in name if one in schema.names), None)
        if found is not None and _is_readable(schema.field(found).type, number=wanted == "score"):
            columns[found] = wanted
    return columns


def _is_readable(kind: pa.DataType, *, number: bool) -> bool:
    if number:
        return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind))


def _write(path: Path, images: Sequence[AnnotatedImage], options: WriteOptions) -> list[str]:
    image = single(_NAME, path, images)
    table = image.instances
    check_written(table, path)
    check_free(path, overwrite=options.overwrite)
    about: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": sorted({shape.geom_type for shape in table.geometry}),
        "crs": None,
    }
    if len(table):
        bounds = table.bounds()
        about["bbox"] = [*bounds[:, :2].min(axis=0).tolist(), *bounds[:, 2:].max(axis=0).tolist()]
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": about}}
    arrow = instances_to_frame(table).to_arrow()
    # Without pyarrow's own schema readers see plain texts and bytes, not the large ones of polars.
    with atomic_path(path) as temporary, pq.ParquetWriter(temporary, arrow.schema, store_schema=False) as writer:
        writer.write_table(arrow)
        writer.add_key_value_metadata({"geo": json.dumps(geo), OWN_KEY: json.dumps(image_fields(image))})
    return losses(_NAME, _HOLDS, images)


FORMAT = Format(
    name=_NAME,
    about="GeoParquet 1.1: a table with outlines and all columns",
    suffixes=(".geoparquet", ".parquet"),
    holds=_HOLDS,
    many=False,
    sniff=_sniff,
    read=_read,
    write=_write,
    states=frozenset({"name", "size", "mpp"}),
)
