"""The two tables of the common format: their columns, and the check that a file has them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import polars as pl

from histoseed.errors import DatasetError, LimitError
from histoseed.settings import Settings

__all__ = [
    "INSTANCE_SCHEMA",
    "LAYERS",
    "MPP_SOURCES",
    "OBJECT_KINDS",
    "OPTIONAL_COLUMNS",
    "PATCH_SCHEMA",
    "SPLITS",
    "read_table",
]

LAYERS = ("nucleus", "region", "ignore")
OBJECT_KINDS = ("mask", "polygon", "box", "point")
MPP_SOURCES = ("metadata", "user", "unknown")
SPLITS = ("train", "val", "test")

PATCH_SCHEMA: Mapping[str, pl.DataType] = MappingProxyType(
    {
        "patch_id": pl.String(),
        "image": pl.String(),
        "mask": pl.String(),
        "width": pl.Int32(),
        "height": pl.Int32(),
        "x": pl.Float64(),
        "y": pl.Float64(),
        "mpp": pl.Float64(),
        "mpp_source": pl.String(),
        "exhaustive": pl.Boolean(),
        "group": pl.String(),
        "patient": pl.String(),
        "slide": pl.String(),
        "centre": pl.String(),
        "organ": pl.String(),
        "split": pl.String(),
        "fold": pl.Int32(),
        "sha256": pl.String(),
        "mask_sha256": pl.String(),
        "regions_sha256": pl.String(),
        "ignore_sha256": pl.String(),
    }
)
"""Columns of ``patches.parquet``, in order; ``docs/data-format.md`` says what each means."""

OPTIONAL_COLUMNS = ("mask_sha256", "regions_sha256", "ignore_sha256")
"""Columns that the writer always writes and the reader does not ask for."""

INSTANCE_SCHEMA: Mapping[str, pl.DataType] = MappingProxyType(
    {
        "patch_id": pl.String(),
        "label": pl.Int64(),
        "instance_id": pl.String(),
        "class_name": pl.String(),
        "layer": pl.String(),
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
        "annotator": pl.String(),
        "locked": pl.Boolean(),
        "measurements": pl.String(),
    }
)
"""Columns of ``instances.parquet``, in order; ``docs/data-format.md`` says what each means."""

_TEXTS = (pl.String, pl.Categorical, pl.Enum)


def _fits(found: pl.DataType, wanted: pl.DataType) -> bool:
    """Whether a column of another width, as other languages write it, can be taken for the wanted type."""
    if found in (wanted, pl.Null):
        return True
    if wanted == pl.String:
        return isinstance(found, _TEXTS)
    if wanted.is_integer():
        return found.is_integer()
    return wanted.is_float() and found.is_numeric()


def read_table(path: Path, schema: Mapping[str, pl.DataType], settings: Settings) -> pl.DataFrame:
    """Read a parquet table and bring its columns to ``schema``; further columns are kept behind them.

    Raises:
        DatasetError: the file is missing or damaged, a column is missing or of the wrong type.
        LimitError: more rows than ``settings.max_objects``.
    """
    if not path.is_file():
        raise DatasetError("The file is missing.", where=path, fix="Import the data set again, or restore the file.")
    try:
        rows = int(pl.scan_parquet(path).select(pl.len()).collect().item())
        if rows > settings.max_objects:
            raise LimitError(
                f"The table has {rows} rows; the setting max_objects allows {settings.max_objects}.", where=path
            )
        frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DatasetError(f"Cannot be read as parquet ({error}).", where=path) from error
    for name in OPTIONAL_COLUMNS:
        if name in schema and name not in frame.columns:
            frame = frame.with_columns(pl.lit(None, dtype=pl.String).alias(name))
    missing = [name for name in schema if name not in frame.columns]
    if missing:
        raise DatasetError(f"Column {missing[0]!r} is missing.", where=path, fix="docs/data-format.md lists them all.")
    for name, wanted in schema.items():
        if not _fits(frame.schema[name], wanted):
            raise DatasetError(f"Column {name!r} has type {frame.schema[name]}, not {wanted}.", where=path)
    extra = [name for name in frame.columns if name not in schema]
    try:
        return frame.select(*schema, *extra).cast(pl.Schema(schema))
    except pl.exceptions.PolarsError as error:
        raise DatasetError(f"A column holds values that do not fit its type ({error}).", where=path) from error
