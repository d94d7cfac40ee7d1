"""Objects in Parquet files: unpacked within limits, checked, repaired."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import shapely

from histoseed.annotations.formats.outlines import FARTHEST, stable_ids
from histoseed.annotations.frames import instances_from_frame
from histoseed.annotations.instances import Instances
from histoseed.annotations.limits import over_limit
from histoseed.annotations.notes import Notes
from histoseed.annotations.wkb import shapes_from_wkb
from histoseed.errors import AnnotationError
from histoseed.geometry import make_outlines_valid
from histoseed.settings import Settings

__all__ = ["KEPT", "objects_of", "unpacked"]

KEPT = ("instance_id", "class_name", "kind", "score", "quality", "source", "locked", "measurements")
"""Columns of an object beside its geometry; boxes, areas and centroids are computed anew."""

_OUTLINES = ("Point", "Polygon", "MultiPolygon")

_BATCH = 1024
"""Most rows that are unpacked at once: a small file may repeat one large outline many times."""


def unpacked(path: Path, file: pq.ParquetFile, columns: list[str], settings: Settings) -> pl.DataFrame:
    """The columns, while they stay below the limits.

    Raises:
        ArrowInvalid: damaged; other errors of pyarrow and of the operating system too.
        LimitError: too many rows, or too many bytes once unpacked.
    """
    if file.metadata.num_rows > settings.max_objects:
        raise over_limit("max_objects", f"The file has more than {settings.max_objects} objects.", where=path)
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    largest = max((group.total_byte_size for group in groups), default=0)
    rows = max(1, min(_BATCH, settings.max_geojson_bytes // max(1, largest)))  # even if each is as large as all of them
    batches, size = [], 0
    for batch in file.iter_batches(batch_size=rows, columns=columns):
        size += sum(_plain_size(array) for array in batch.columns)
        if size > settings.max_geojson_bytes:
            what = f"Unpacked, the file holds more than {settings.max_geojson_bytes} bytes."
            raise over_limit("max_geojson_bytes", what, where=path)
        batch.validate(full=True)  # polars trusts that texts are UTF-8
        arrays = [_plain(array) for array in batch.columns]
        batches.append(pa.RecordBatch.from_arrays(arrays, names=batch.schema.names))
    frame = pl.from_arrow(pa.Table.from_batches(batches)) if batches else None
    return frame if isinstance(frame, pl.DataFrame) else pl.DataFrame(schema=dict.fromkeys(columns, pl.Null()))


def _plain(array: pa.Array) -> pa.Array:
    """Without what only marks it: geopandas marks bytes as an extension type, which polars would not take for bytes."""
    array = array.storage if isinstance(array, pa.ExtensionArray) else array
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def _plain_size(array: pa.Array) -> int:
    """Bytes of the column once values that stand in it many times are written out."""
    if not pa.types.is_dictionary(array.type):
        return int(array.nbytes)
    values = array.dictionary
    if not (pa.types.is_string(values.type) or pa.types.is_binary(values.type)):
        return int(len(array) * max(1, values.nbytes))
    return int(pc.sum(pc.binary_length(values).take(array.indices)).as_py() or 0)


def objects_of(
    path: Path, frame: pl.DataFrame, notes: Notes, settings: Settings, colors: Mapping[str, str]
) -> Instances:
    """The objects, once what is no outline is gone and the others are valid.

    Args:
        path: The file, for messages.
        frame: ``geometry`` as well-known binary, level-0 pixels; other columns of ``FRAME_SCHEMA`` may be absent.
        notes: Where repairs and what was left out are told.
        settings: Limits.
        colors: Class name -> "#rrggbb".

    Raises:
        AnnotationError: a geometry that cannot be read, a coordinate that no image has, a column of another type.
        LimitError: too many vertices.
    """
    shapes = shapes_from_wkb(frame["geometry"].to_list(), path)
    _check_coordinates(path, shapes, settings)
    shapes, repaired, _ = make_outlines_valid(shapes)
    for row, shape in enumerate(shapes):
        if shape is None:
            notes.add("A row without an outline, or with one without area, was left out", str(row))
        elif shape.geom_type not in _OUTLINES:
            notes.add(f"A {shape.geom_type} is no object and was left out", str(row))
            shapes[row] = None
        elif repaired[row]:
            notes.add("An outline that crosses itself was repaired", str(row))
    kept = np.flatnonzero(~shapely.is_missing(shapes))
    shapes, frame = shapes[kept], frame[kept]
    given = frame["instance_id"].cast(pl.String).to_list() if "instance_id" in frame.columns else [None] * len(kept)
    frame = frame.with_columns(
        pl.Series("geometry", shapely.to_wkb(shapes).tolist(), dtype=pl.Binary),
        pl.Series("instance_id", stable_ids(given, shapes.tolist()), dtype=pl.String),
        pl.Series("kind", _kinds(frame, shapes, notes), dtype=pl.String),
    )
    try:
        return instances_from_frame(frame, colors=colors)
    except AnnotationError as error:
        where = path if error.where is None else f"{path}, {error.where}"
        raise AnnotationError(error.what, where=where, fix=error.fix) from error


def _check_coordinates(path: Path, shapes: npt.NDArray[np.object_], settings: Settings) -> None:
    counts = shapely.get_num_coordinates(shapes)
    if counts.max(initial=0) > settings.max_vertices:
        row = int(counts.argmax())
        what = f"The object has {counts[row]} vertices; at most {settings.max_vertices} are read."
        raise over_limit("max_vertices", what, where=f"{path}, row {row}")
    xy, row_of = shapely.get_coordinates(shapes, return_index=True)
    wrong = ~(np.abs(xy) <= FARTHEST).all(axis=1)  # true for NaN
    if wrong.any():
        raise AnnotationError("A coordinate is no place in an image.", where=f"{path}, row {row_of[wrong][0]}")


def _kinds(frame: pl.DataFrame, shapes: npt.NDArray[np.object_], notes: Notes) -> list[str]:
    """Points are points; a box that somebody has reshaped is an outline now."""
    stated = frame["kind"].to_list() if "kind" in frame.columns else [None] * len(shapes)
    kinds = []
    for row, (shape, kind) in enumerate(zip(shapes, stated, strict=True)):
        is_box = kind == "box" and shape.equals(shape.envelope)
        if kind == "box" and not is_box:
            notes.add("A box was reshaped since and is read as an outline", str(row))
        kinds.append("point" if shape.geom_type == "Point" else "box" if is_box else "polygon")
    return kinds
