"""What an import brought in: the numbers of ``import.json`` and of the table at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from histoseed.datasets.finishing import Losses
from histoseed.datasets.info import DatasetInfo

__all__ = ["import_report"]


def import_report(
    patches: pl.DataFrame, instances: pl.DataFrame, info: DatasetInfo, losses: Losses, warnings: Sequence[str]
) -> dict[str, Any]:
    """Images, objects by class and kind, empty images, losses, groups, warnings; every value can be written as JSON.

    Args:
        patches: Columns of ``patches.parquet``.
        instances: Columns of ``instances.parquet``.
        info: The final ``dataset.json``.
        losses: What overlap cost.
        warnings: Everything that was remarkable.

    Returns:
        ``objects`` has one row a class and kind, classes in the order of the data set, unclassified objects last.
    """
    nuclei = instances.filter(pl.col("layer") == "nucleus")
    order = {c.name: i for i, c in enumerate(info.classes)}
    counts = nuclei.group_by("class_name", "kind").len().iter_rows()
    rows = sorted(counts, key=lambda row: (order.get(row[0], len(order)), row[1]))
    filled = set(nuclei["patch_id"].unique())
    regions = instances.filter(pl.col("layer") != "nucleus").group_by("layer", "class_name").len()
    columns = ("group", "patient", "slide", "centre", "organ")
    return {
        "images": patches.height,
        "empty_images": sum(patch not in filled for patch in patches["patch_id"]),
        "objects": [{"class": name, "kind": kind, "objects": count} for name, kind, count in rows],
        "objects_total": nuclei.height,
        "outlines_of_regions": [
            {"layer": layer, "class": name, "outlines": count}
            for layer, name, count in sorted(regions.iter_rows(), key=str)
        ],
        "lost_to_overlaps": {"pixels": losses.pixels, "objects": losses.objects, "images": losses.patches},
        "groups": {name: int(patches[name].drop_nulls().n_unique()) for name in columns},
        "splits": dict(patches.filter(pl.col("split").is_not_null()).group_by("split").len().sort("split").iter_rows()),
        "folds": {
            str(fold): count
            for fold, count in patches.filter(pl.col("fold").is_not_null())
            .group_by("fold")
            .len()
            .sort("fold")
            .iter_rows()
        },
        "warnings": list(warnings),
    }
