"""Whether the pixels of a patch are what the tables say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from histoseed.datasets.numbering import label_ids
from histoseed.datasets.objects import measure_labels
from histoseed.datasets.paths import image_path, inside, side_file
from histoseed.errors import DatasetError
from histoseed.files import sha256_of

__all__ = ["check_hashes", "check_labels", "check_measures"]


def check_hashes(root: Path, row: Mapping[str, Any], slides: Path | None, where: str) -> None:
    """Compare the files of a row of ``patches.parquet`` with its hashes; a hash that is empty is passed over.

    Raises:
        DatasetError: a file was changed after the data set was written.
    """
    patch_id = row["patch_id"]
    files = {
        "sha256": image_path(root, row["image"], where, slides)[0],
        "mask_sha256": None if row["mask"] is None else inside(root, row["mask"], where),
        "regions_sha256": side_file(root, "regions", patch_id),
        "ignore_sha256": side_file(root, "ignore", patch_id),
    }
    for column, path in files.items():
        if row[column] is None or path is None:
            continue
        try:
            found = sha256_of(path)
        except OSError as error:
            raise DatasetError(f"{path} cannot be read ({error.strerror}).", where=where) from error
        if found != row[column]:
            what = f"The hash of {path} is {found}, {column!r} says {row[column]}: the file was changed."
            raise DatasetError(what, where=where, fix="Restore the file, or import the data set again.")


def check_labels(
    root: Path, row: Mapping[str, Any], labels: npt.NDArray[np.int32], objects: pl.DataFrame, where: str
) -> None:
    """The labels in the mask are the labels of the table, no more and no fewer.

    Args:
        root: The data set.
        row: Of ``patches.parquet``.
        labels: (H, W) label image.
        objects: The rows of ``instances.parquet`` of this patch that have a label.
        where: How messages name the row.

    Raises:
        DatasetError: a label on one side only.
    """
    in_mask = label_ids(labels)
    in_table = objects["label"].to_numpy()
    without_row = np.setdiff1d(in_mask, in_table)
    if without_row.size:
        what = f"{row['mask']} holds {_list(without_row)}, and {root / 'instances.parquet'} has no such row."
        raise DatasetError(what, where=where)
    without_pixel = np.setdiff1d(in_table, in_mask)
    if without_pixel.size:
        what = f"{root / 'instances.parquet'} has {_list(without_pixel)}, and {row['mask']} has no such pixel."
        raise DatasetError(what, where=where)


def check_measures(root: Path, labels: npt.NDArray[np.int32], objects: pl.DataFrame, patch_id: str) -> None:
    """Area, box and centroid of the objects of kind *mask* are those of their pixels.

    Raises:
        DatasetError: they are not; it names the object.
    """
    measured = pl.DataFrame(measure_labels(labels))
    columns = [name for name in measured.columns if name != "label"]
    both = objects.filter((pl.col("kind") == "mask") & (pl.col("layer") == "nucleus")).join(measured, on="label")
    for name in columns:
        wrong = both.filter((pl.col(name) - pl.col(f"{name}_right")).abs() > 1e-3)
        if wrong.height:
            label, stated, found = wrong.select("label", name, f"{name}_right").row(0)
            where = f"{root / 'instances.parquet'} (patch {patch_id!r}, label {label})"
            raise DatasetError(f"{name!r} is {stated}, the pixels say {found}.", where=where)


def _list(labels: npt.NDArray[np.integer]) -> str:
    shown = ", ".join(str(v) for v in labels[:5])
    more = "" if labels.size <= 5 else f" and {labels.size - 5} more"
    return f"label {shown}{more}"
