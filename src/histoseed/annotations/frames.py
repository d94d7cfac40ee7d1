"""Objects <-> polars table, the columns that ``nuclei.parquet`` and the common data-set format share."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import shapely

from histoseed.annotations.instances import Instances
from histoseed.annotations.wkb import shapes_from_wkb
from histoseed.errors import AnnotationError

__all__ = ["FRAME_SCHEMA", "instances_from_frame", "instances_to_frame"]

FRAME_SCHEMA: Mapping[str, pl.DataType] = {
    "instance_id": pl.String(),
    "class_name": pl.String(),
    "kind": pl.String(),
    "x0": pl.Float64(),
    "y0": pl.Float64(),
    "x1": pl.Float64(),
    "y1": pl.Float64(),
    "area_px": pl.Float64(),
    "centroid_x": pl.Float64(),
    "centroid_y": pl.Float64(),
    "geometry": pl.Binary(),
    "score": pl.Float64(),
    "quality": pl.Float64(),
    "source": pl.String(),
    "locked": pl.Boolean(),
    "measurements": pl.String(),
}
"""Columns and types; ``geometry`` is WKB, ``measurements`` a JSON object. What is unknown is null."""


def instances_to_frame(instances: Instances) -> pl.DataFrame:
    """A table of :data:`FRAME_SCHEMA`, in the frame of ``instances`` (pixels, origin top-left). Points have no area."""
    bounds, centre = instances.bounds(), instances.centroids()
    area = np.where(instances.kind == "point", np.nan, shapely.area(instances.geometry).astype(np.float64))
    columns: dict[str, Any] = {
        "instance_id": instances.id.tolist(),
        "class_name": instances.class_name.tolist(),
        "kind": instances.kind.tolist(),
        **dict(zip(("x0", "y0", "x1", "y1"), bounds.T, strict=True)),
        "area_px": area,
        "centroid_x": centre[:, 0],
        "centroid_y": centre[:, 1],
        "geometry": shapely.to_wkb(instances.geometry).tolist(),
        "score": instances.score,
        "quality": instances.quality,
        "source": instances.source.tolist(),
        "locked": instances.locked,
        "measurements": [_to_json(values) for values in instances.measurements],
    }
    frame = pl.DataFrame(columns, schema=dict(FRAME_SCHEMA))
    return frame.with_columns(pl.col("area_px", "score", "quality").fill_nan(None))


def instances_from_frame(frame: pl.DataFrame, *, colors: Mapping[str, str] | None = None) -> Instances:
    """The objects of a table made by :func:`instances_to_frame`; boxes, areas and centroids are computed anew.

    Columns beside ``instance_id`` and ``geometry`` may be absent.

    Raises:
        AnnotationError: a column is missing or of another type, a geometry is no WKB, an id stands twice.
    """
    for name in ("instance_id", "geometry"):
        if name not in frame.columns:
            raise AnnotationError("The column is missing.", where=name)
    try:
        columns = frame.select(pl.col(name).cast(kind) for name, kind in FRAME_SCHEMA.items() if name in frame.columns)
    except pl.exceptions.PolarsError as error:
        raise AnnotationError(f"A column has the wrong type ({error}).") from error
    geometry = shapes_from_wkb(columns["geometry"].to_list(), "column geometry")

    def column(name: str) -> list[Any] | None:
        return columns[name].to_list() if name in columns.columns else None

    def numbers(name: str) -> npt.NDArray[np.float64] | None:
        return columns[name].fill_null(math.nan).to_numpy() if name in columns.columns else None

    locked, measurements = column("locked"), column("measurements")
    return Instances.build(
        geometry,
        id=columns["instance_id"].to_list(),
        class_name=column("class_name"),
        kind=column("kind") or ["polygon"] * len(frame),
        score=numbers("score"),
        quality=numbers("quality"),
        source=column("source"),
        locked=False if locked is None else np.array([bool(value) for value in locked], dtype=bool),
        measurements=None if measurements is None else [_from_json(text, row) for row, text in enumerate(measurements)],
        colors=colors,
    )


def _to_json(values: Mapping[str, float]) -> str | None:
    if not values:
        return None
    finite = {name: float(value) if math.isfinite(value) else None for name, value in values.items()}
    return json.dumps(finite, ensure_ascii=False, allow_nan=False)


def _from_json(text: str | None, row: int) -> dict[str, float]:
    if text is None:
        return {}
    try:
        return {str(name): math.nan if value is None else float(value) for name, value in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise AnnotationError("The measurements are no JSON object of numbers.", where=f"row {row}") from error
