"""What a data set holds, in numbers for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from histoseed.datasets.info import DatasetInfo

__all__ = ["describe"]


def describe(path: Path, info: DatasetInfo, patches: pl.DataFrame, instances: pl.DataFrame) -> dict[str, Any]:
    """Counts and quartiles of a data set or of a selection; every value can be written as JSON.

    Args:
        path: The folder.
        info: The contents of ``dataset.json``.
        patches: Rows of ``patches.parquet``.
        instances: Rows of ``instances.parquet`` of these patches.

    Returns:
        ``objects`` and ``classes`` count the layer *nucleus* alone, ``region_classes`` outlines of the layer *region*.
        ``diameter_um`` and ``diameter_px`` are quartiles of the diameter of the circle of equal area over outlined
        objects (micrometres where the mpp is known, pixels where it is not).
        ``leakage`` lists patients, slides and objects that stand in more than one split.
    """
    objects = instances.filter(pl.col("layer") == "nucleus")
    named = objects["class_name"].drop_nulls()
    outlines = instances.filter(pl.col("layer") == "region")["class_name"].drop_nulls()
    outlined = objects.filter(pl.col("kind").is_in(["mask", "polygon"])).join(
        patches.select("patch_id", "mpp"), on="patch_id", how="left"
    )
    diameter = 2 * (pl.col("area_px") / np.pi).sqrt()
    known = outlined.filter(pl.col("mpp").is_not_null())
    unknown = outlined.filter(pl.col("mpp").is_null())
    sizes = patches.select((pl.col("width").cast(str) + "x" + pl.col("height").cast(str)).alias("size"))["size"]
    per_patch = objects.group_by("patch_id").len()
    split_of = patches.select("patch_id", "split").join(per_patch, on="patch_id", how="left")
    splits = split_of.group_by("split").agg(pl.len().alias("patches"), pl.col("len").sum().alias("objects"))
    return {
        "path": str(path),
        "name": info.name,
        "version": info.version,
        "format_version": info.format_version,
        "licence": info.licence,
        "stain": info.stain,
        "patches": patches.height,
        "patch_sizes": _counts(sizes),
        "exhaustive": int(patches["exhaustive"].sum()),
        "with_ignore": int(patches["ignore_sha256"].count()),
        "with_regions": int(patches["regions_sha256"].count()),
        "objects": objects.height,
        "objects_outlined": outlined.height,
        "classes": {c.name: int((named == c.name).sum()) for c in info.classes},
        "region_classes": {c.name: int((outlines == c.name).sum()) for c in info.region_classes},
        "unclassified": objects.height - len(named),
        "kinds": _counts(objects["kind"]),
        "layers": _counts(instances["layer"]),
        "objects_per_patch": _quartiles(split_of["len"].fill_null(0)),
        "diameter_um": _quartiles(known.select(diameter * pl.col("mpp")).to_series()),
        "diameter_px": _quartiles(unknown.select(diameter).to_series()),
        "mpp": _counts(patches["mpp"].round(4).cast(str)),
        "mpp_sources": _counts(patches["mpp_source"]),
        "groups": {
            name: int(patches[name].drop_nulls().n_unique()) for name in ("group", "patient", "slide", "centre")
        },
        "ungrouped": int(patches["group"].null_count()),
        "organs": _counts(patches["organ"]),
        "splits": {
            row["split"] or "none": {"patches": row["patches"], "objects": row["objects"]}
            for row in splits.sort("split", nulls_last=True).iter_rows(named=True)
        },
        "leakage": _leakage(patches, instances),
        "known_problems": list(info.known_problems),
        "leakage_notes": list(info.leakage_notes),
        "notes": list(info.notes),
    }


def _counts(values: pl.Series) -> dict[str, int]:
    """How often each value occurs, most frequent first; empty ones count as "unknown"."""
    texts = values.cast(pl.String).fill_null("unknown").alias("value")
    rows = texts.to_frame().group_by("value").len().sort(["len", "value"], descending=[True, False])
    return dict(rows.iter_rows())


def _quartiles(values: pl.Series) -> list[float] | None:
    """Quarter, half and three quarters, rounded; None where there is no value."""
    clean = values.drop_nulls().to_numpy()
    return None if not clean.size else [round(float(v), 2) for v in np.quantile(clean, [0.25, 0.5, 0.75])]


def _leakage(patches: pl.DataFrame, instances: pl.DataFrame) -> dict[str, list[str]]:
    """What stands on both sides of a split: names of patients, slides and groups, ids of objects."""
    placed = patches.filter(pl.col("split").is_not_null())
    objects = instances.select("patch_id", pl.col("instance_id").alias("object")).join(placed, on="patch_id")
    found = {}
    for column, table in (("patient", placed), ("slide", placed), ("group", placed), ("object", objects)):
        rows = table.filter(pl.col(column).is_not_null()).group_by(column).agg(pl.col("split").n_unique().alias("n"))
        found[column] = sorted(rows.filter(pl.col("n") > 1)[column])
    return found
