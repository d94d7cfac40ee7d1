"""Candidate crops for few-annotation experiments: "N annotated patches" means N squares of 64 micrometres."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from histoseed.datasets.dataset import Dataset
from histoseed.errors import InputError, UnknownMppError

__all__ = ["CROP_UM", "Crop", "annotated_crops", "crop_starts"]

CROP_UM = 64.0
"""Side of an annotated crop in micrometres: 256 pixels at 0.25 microns per pixel."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of a patch.

    Args:
        patch_id: The patch.
        x: Left border, pixels of the patch.
        y: Upper border, pixels of the patch.
        side: Width and height, pixels of the patch.
        side_um: The same in micrometres.
        objects: Objects of any kind whose centroid lies inside: outlines, boxes, points.
        group: The group of the patch, None where unknown.
    """

    patch_id: str
    x: int
    y: int
    side: int
    side_um: float
    objects: int
    group: str | None


def annotated_crops(
    dataset: Dataset,
    size_um: float = CROP_UM,
    *,
    mpp: float | None = None,
    stride_um: float | None = None,
    min_objects: int = 1,
) -> list[Crop]:
    """The crops of a grid over every patch, in the order of the patches and then by row and column.

    The grid is centred on the patch. Without ``stride_um`` neighbours touch and do not overlap, so that N crops are N
    crops' worth of annotation. A patch smaller than a crop gives squares of its own shorter side; ``side_um`` tells.

    Args:
        dataset: The data set, or a selection of it.
        size_um: Side of a crop, micrometres.
        mpp: Assumed where a patch states none.
        stride_um: Distance of neighbours, micrometres.
        min_objects: Crops with fewer objects are left out.

    Raises:
        UnknownMppError: a patch has no mpp and none is assumed.
        InputError: a size or stride that is not positive, or that is less than a pixel.
    """
    step_um = size_um if stride_um is None else stride_um
    for name, value in (("size_um", size_um), ("stride_um", step_um)):
        if not math.isfinite(value) or value <= 0:
            raise InputError(f"{value} is no length.", where=name, fix="Give micrometres above 0.")
    shown = pl.col("label").is_not_null() | pl.col("kind").is_in(["point", "box"])
    annotated = dataset.instances.filter((pl.col("layer") == "nucleus") & shown)
    centres = {
        key[0]: frame.select("centroid_x", "centroid_y").to_numpy()
        for key, frame in annotated.partition_by("patch_id", as_dict=True).items()
    }
    nothing = np.zeros((0, 2))
    crops = []
    for row in dataset.patches.iter_rows(named=True):
        scale = row["mpp"] if row["mpp"] is not None else mpp
        if scale is None:
            fix = "Give the microns per pixel to assume."
            raise UnknownMppError("A crop in micrometres needs the mpp.", where=f"patch {row['patch_id']!r}", fix=fix)
        side = min(round(size_um / scale), row["width"], row["height"])
        step = round(step_um / scale)
        if side < 1 or step < 1:
            raise InputError(f"At {scale} microns per pixel a crop or step has no pixel.", where="size_um")
        points = centres.get(row["patch_id"], nothing)
        xs, ys = crop_starts(row["width"], side, step), crop_starts(row["height"], side, step)
        for y, x, objects in _counts(points, xs, ys, side):
            if objects >= min_objects:
                crops.append(Crop(row["patch_id"], x, y, side, side * scale, objects, row["group"]))
    return crops


def crop_starts(extent: int, side: int, step: int) -> list[int]:
    """First pixels of the crops along one axis, centred.

    >>> crop_starts(1000, 256, 256)
    [116, 372, 628]
    """
    count = (extent - side) // step + 1
    first = (extent - side - (count - 1) * step) // 2
    return [first + i * step for i in range(count)]


def _counts(points: npt.NDArray[np.float64], xs: list[int], ys: list[int], side: int) -> list[tuple[int, int, int]]:
    """(y, x, points inside) of every crop; a point on the left or upper border is inside."""
    x, y = points[:, 0], points[:, 1]
    in_column = (x[:, None] >= xs) & (x[:, None] < np.add(xs, side))
    in_row = (y[:, None] >= ys) & (y[:, None] < np.add(ys, side))
    table = in_row.T.astype(np.int64) @ in_column.astype(np.int64)
    return [(y0, x0, int(table[i, j])) for i, y0 in enumerate(ys) for j, x0 in enumerate(xs)]
