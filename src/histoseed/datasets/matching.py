"""The objects of two versions of one patch as pixels, and how many pixels each pair of them shares.

Every object counts with all its own pixels, also where others lie on top of it in the label image: a polygon or box is
drawn by itself, and only an object of kind *mask* is what the label image shows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import shapely
from scipy import sparse

from histoseed.geometry import PixelSpans, pixel_spans

__all__ = ["Overlaps", "object_overlaps", "object_spans"]

Ints = npt.NDArray[np.int64]

_PIXELS_AT_ONCE = 1 << 22
"""Pixels of the image that are looked at in one step, which bounds the memory."""


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Pairs of objects that share pixels, by the first and then the second.

    Args:
        first: Row of the object in the first table, (K,) int64.
        second: Row of the object in the second table, (K,) int64.
        iou: Pixels of both through pixels of either, above 0 up to 1, (K,) float64.
    """

    first: Ints
    second: Ints
    iou: npt.NDArray[np.float64]


def object_spans(rows: pl.DataFrame, labels: npt.NDArray[np.integer]) -> PixelSpans:
    """The pixels of each object, as runs; points have none.

    Args:
        rows: Rows of ``instances.parquet`` of one patch.
        labels: (H, W) label image of the patch.

    Returns:
        Runs whose ``polygon`` is the number of the row.
    """
    shape = (labels.shape[0], labels.shape[1])
    drawn = np.flatnonzero(rows["kind"].is_in(["polygon", "box"]).to_numpy())
    spans = pixel_spans(shapely.from_wkb(rows["geometry"][drawn].to_numpy()), shape)
    row_of = np.full(int(labels.max(initial=0)) + 1, -1, dtype=np.int64)
    masks = rows.with_row_index("row").filter(pl.col("kind") == "mask").select("row", "label").to_numpy()
    row_of[masks[:, 1].astype(np.int64)] = masks[:, 0]
    flat = labels.ravel()
    change = np.ones(len(flat), dtype=bool)
    change[1:] = flat[1:] != flat[:-1]
    change[:: labels.shape[1]] = True
    start = np.flatnonzero(change)
    length = np.diff(start, append=len(flat))
    owner = row_of[flat[start]]
    kept = owner >= 0
    return PixelSpans(
        np.concatenate((drawn[spans.polygon], owner[kept])),
        np.concatenate((spans.start, start[kept])),
        np.concatenate((spans.length, length[kept])),
    )


def object_overlaps(first: PixelSpans, second: PixelSpans, counts: tuple[int, int], shape: tuple[int, int]) -> Overlaps:
    """Every pair of objects that shares a pixel, with its intersection over union.

    Args:
        first: Pixels of the objects of the first table.
        second: Pixels of those of the second.
        counts: Objects of the two tables.
        shape: Rows, columns of the image.

    >>> boxes = [pixel_spans([shapely.box(0, 0, 2, 2)], (4, 4)), pixel_spans([shapely.box(1, 0, 3, 2)], (4, 4))]
    >>> object_overlaps(*boxes, (1, 1), (4, 4)).iou.round(3).tolist()
    [0.333]
    """
    total = sparse.csr_array(counts, dtype=np.int64)
    band = max(1, _PIXELS_AT_ONCE // max(1, shape[1])) * shape[1]
    for begin in range(0, shape[0] * shape[1], band):
        sides = [_pixels(side, count, begin, band) for side, count in zip((first, second), counts, strict=True)]
        total = total + sides[0] @ sides[1].T
    pairs = sparse.coo_array(total)
    i, j = pairs.coords[0].astype(np.int64), pairs.coords[1].astype(np.int64)
    order = np.lexsort((j, i))
    i, j, shared = i[order], j[order], pairs.data[order]
    union = first.areas(counts[0])[i] + second.areas(counts[1])[j] - shared
    return Overlaps(i, j, shared / union)


def _pixels(spans: PixelSpans, count: int, begin: int, size: int) -> sparse.csr_array:
    """Objects x pixels of one band of rows, 1 where the object has the pixel."""
    # A run never goes beyond its row, and a band is made of whole rows.
    kept = (spans.start >= begin) & (spans.start < begin + size)
    owner, start, length = spans.polygon[kept], spans.start[kept] - begin, spans.length[kept]
    offset = np.repeat(start - (np.cumsum(length) - length), length)
    column = np.arange(int(length.sum())) + offset
    ones = np.ones(len(column), dtype=np.int64)
    return sparse.csr_array((ones, (np.repeat(owner, length), column)), shape=(count, size))
