"""Rows of ``instances.parquet`` out of label images and outlines."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import shapely
from scipy import ndimage

from histoseed.annotations import Instances, instances_from_frame, instances_to_frame
from histoseed.datasets.numbering import compact_labels
from histoseed.datasets.schema import INSTANCE_SCHEMA
from histoseed.errors import AnnotationError, DatasetError
from histoseed.geometry import label_to_polygons

__all__ = ["label_rows", "measure_labels", "outline_rows", "read_outlines"]

# uuid5 of the DNS name space and "histoseed": every object of a label image gets the same id at every import.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "histoseed")


def measure_labels(labels: npt.NDArray[np.integer]) -> dict[str, npt.NDArray[Any]]:
    """Box, area and centre of mass of every object of a label image.

    Args:
        labels: (H, W), 0 is background; values may skip numbers.

    Returns:
        Columns of equal length N, ascending by label: ``label`` int64; ``x0, y0, x1, y1`` in pixel edges, ``area_px``
        in square pixels and ``centroid_x, centroid_y`` (a single pixel lies at +0.5), all float64.
    """
    ids, compact = compact_labels(labels)
    n = len(ids) + 1
    flat = compact.ravel()
    rows, columns = np.divmod(np.arange(labels.size), max(labels.shape[1], 1))
    area = np.bincount(flat, minlength=n)[1:].astype(np.float64)
    sum_x = np.bincount(flat, weights=columns, minlength=n)[1:]
    sum_y = np.bincount(flat, weights=rows, minlength=n)[1:]
    found = ndimage.find_objects(compact, max_label=n - 1) if n > 1 else []
    boxes = np.array([(s[1].start, s[0].start, s[1].stop, s[0].stop) for s in found], dtype=np.float64).reshape(-1, 4)
    return {
        "label": ids,
        **{name: boxes[:, i] for i, name in enumerate(("x0", "y0", "x1", "y1"))},
        "area_px": area,
        "centroid_x": sum_x / area + 0.5,
        "centroid_y": sum_y / area + 0.5,
    }


def _completed(frame: pl.DataFrame, **same: Any) -> pl.DataFrame:
    """All columns of the schema in order: those of ``frame``, those of ``same`` for every row, null otherwise."""
    values = [pl.col(name) if name in frame.columns else pl.lit(same.get(name)).alias(name) for name in INSTANCE_SCHEMA]
    return frame.select(values).cast(pl.Schema(INSTANCE_SCHEMA))


def label_rows(
    patch_id: str,
    labels: npt.NDArray[np.integer],
    dataset: str,
    class_of: Mapping[int, str | None],
    scores: Mapping[int, float],
    *,
    source: str | None,
    annotator: str | None,
) -> pl.DataFrame:
    """Rows of kind *mask*, one for each label of a label image, ascending; ``dataset`` enters the ids."""
    measured = measure_labels(labels)
    ids = measured["label"].tolist()
    frame = pl.DataFrame(
        {
            **measured,
            "instance_id": [str(uuid.uuid5(_NAMESPACE, f"{dataset}/{patch_id}/{label}")) for label in ids],
            "class_name": [class_of.get(label) for label in ids],
            "score": [scores.get(label) for label in ids],
        },
        schema_overrides={name: INSTANCE_SCHEMA[name] for name in ("instance_id", "class_name", "score")},
    )
    same = {"patch_id": patch_id, "layer": "nucleus", "kind": "mask", "locked": False}
    return _completed(frame, **same, source=source, annotator=annotator)


def outline_rows(
    patch_id: str,
    objects: Instances,
    *,
    layer: str,
    labels: Sequence[int | None],
    annotator: str | None = None,
) -> pl.DataFrame:
    """Rows of kind *polygon*, *box* or *point* with their geometry as WKB; box, area and centre are the geometry's.

    Args:
        patch_id: The patch.
        objects: In the patch's own pixels.
        layer: "nucleus", "region" or "ignore".
        labels: Label in the mask an object, None where it has no pixel there.
        annotator: Who drew them.
    """
    frame = instances_to_frame(objects).with_columns(pl.Series("label", list(labels), dtype=pl.Int64))
    return _completed(frame, patch_id=patch_id, layer=layer, annotator=annotator)


def read_outlines(
    rows: pl.DataFrame, labels: npt.NDArray[np.integer], *, where: str, colors: Mapping[str, str]
) -> Instances:
    """The objects of one patch out of their rows; those without a stored geometry get the outline of their pixels.

    Args:
        rows: Rows of ``instances.parquet``.
        labels: (H, W) label image of the patch.
        where: How messages name the patch.
        colors: Class name -> colour.

    Raises:
        DatasetError: a geometry or measurements that cannot be read, or a geometry that does not fit its kind.
    """
    ids, polygons = label_to_polygons(labels)
    drawn = pl.DataFrame(
        {"label": ids, "outline": shapely.to_wkb(polygons).tolist()}, schema={"label": pl.Int64, "outline": pl.Binary}
    )
    filled = rows.join(drawn, on="label", how="left", maintain_order="left").with_columns(
        pl.coalesce("geometry", "outline").alias("geometry"), pl.col("kind").replace("mask", "polygon")
    )
    try:
        objects = instances_from_frame(filled, colors=colors)
    except AnnotationError as error:
        what = f"An object cannot be read ({error}; rows are counted within the patch)."
        raise DatasetError(what, where=where) from error
    if shapely.is_empty(objects.geometry).any():
        name = objects.id[shapely.is_empty(objects.geometry)][0]
        raise DatasetError(f"The geometry of the object {name} is empty.", where=where)
    return objects
