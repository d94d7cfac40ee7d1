"""Polygons -> label image: even-odd scanlines through the centres of the pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.errors import InputError

__all__ = ["PixelSpans", "paint_spans", "pixel_spans", "polygons_to_label"]

Indices = npt.NDArray[np.int64]
Geometries = Sequence[Any] | npt.NDArray[np.object_]

_PIXELS_AT_ONCE = 1 << 22
"""Pixels painted in one step, which bounds the memory however large an outline is."""


@dataclass(frozen=True, slots=True)
class PixelSpans:
    """Horizontal runs of pixels, ordered by polygon, row and column.

    Args:
        polygon: index of the polygon. (S,) int64.
        start: flat index ``row * width + column`` of the first pixel. (S,) int64.
        length: number of pixels, at least one. (S,) int64.
    """

    polygon: Indices
    start: Indices
    length: Indices

    def areas(self, count: int) -> Indices:
        """Pixels of each of the first ``count`` polygons. (count,) int64."""
        return np.bincount(self.polygon, weights=self.length, minlength=count).astype(np.int64)


def pixel_spans(polygons: Geometries, shape: tuple[int, int]) -> PixelSpans:
    """The pixels whose centre is inside each polygon, as runs. Outlines may overlap and may leave the image.

    Inside is even-odd over all rings of an object. A centre that lies exactly on an outline belongs to the side to the
    right of it or below, so that two polygons that share an edge never share a pixel nor leave one out.

    Args:
        polygons: (N,) shapely ``Polygon``, ``MultiPolygon`` or collections; points and lines have no inside.
        shape: rows, columns of the image.

    Raises:
        InputError: a coordinate that is not finite.
    """
    height, width = shape
    x0, y0, x1, y1, owner = _segments(polygons)
    # Scanline r + 0.5 crosses a segment where min(y) <= r + 0.5 < max(y): every ring is crossed evenly often.
    top = np.clip(np.ceil(y0 - 0.5), 0, height).astype(np.int64)
    rows = np.clip(np.ceil(y1 - 0.5), 0, height).astype(np.int64) - top
    used = np.flatnonzero(rows > 0)
    rows, top = rows[used], top[used]
    which = np.repeat(used, rows)
    row = np.arange(len(which)) - np.repeat(np.cumsum(rows) - rows, rows) + np.repeat(top, rows)
    slope = (x1[used] - x0[used]) / (y1[used] - y0[used])
    x = x0[which] + (row + 0.5 - y0[which]) * np.repeat(slope, rows)
    column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
    # One integer per crossing sorts faster than three keys; crossings pair up within their polygon and row.
    key = np.sort((owner[which] * height + row) * (width + 1) + column)
    line, column = np.divmod(key, width + 1)
    begin, end = column[0::2], column[1::2]
    polygon, row = np.divmod(line[0::2], max(height, 1))
    kept = end > begin
    return PixelSpans(polygon[kept], (row * width + begin)[kept], (end - begin)[kept])


def polygons_to_label(
    polygons: Geometries,
    shape: tuple[int, int],
    ids: npt.ArrayLike | None = None,
    dtype: npt.DTypeLike = np.int32,
) -> npt.NDArray[Any]:
    """A label image: a pixel is inside when its centre is; later polygons are drawn over earlier ones.

    Args:
        polygons: (N,) shapely geometries in the pixels of the image.
        shape: rows, columns.
        ids: (N,) label of each polygon; 1, 2, ... N by default.
        dtype: integer type of the result.

    Raises:
        InputError: a label that ``dtype`` cannot hold, ids and polygons of different number, a coordinate not finite.

    >>> polygons_to_label([shapely.box(0, 0, 2, 1)], (2, 3), ids=[9]).tolist()
    [[9, 9, 0], [0, 0, 0]]
    """
    labels = np.arange(1, len(polygons) + 1) if ids is None else np.asarray(ids)
    if labels.shape != (len(polygons),):
        raise InputError(f"There are {len(polygons)} polygons and ids of shape {labels.shape}.")
    limits = np.iinfo(dtype)
    if len(labels) and (labels.min() < limits.min or labels.max() > limits.max):
        fix = "Use a wider integer type."
        raise InputError(f"Labels {labels.min()} to {labels.max()} do not fit {np.dtype(dtype)}.", fix=fix)
    return paint_spans(pixel_spans(polygons, shape), labels.astype(dtype), shape)


def paint_spans(spans: PixelSpans, values: npt.NDArray[Any], shape: tuple[int, int]) -> npt.NDArray[Any]:
    """An image of the type of ``values`` with ``values[i]`` on the pixels of polygon i, later ones over earlier ones.

    Args:
        spans: of :func:`pixel_spans` with the same ``shape``.
        values: (N,) one value a polygon; what no polygon covers is 0.
        shape: rows, columns.
    """
    out = np.zeros(shape[0] * shape[1], dtype=values.dtype)
    value = values[spans.polygon]
    ends = np.cumsum(spans.length)
    first = 0
    while first < len(ends):
        done = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + _PIXELS_AT_ONCE, side="right")))
        length = spans.length[first:last]
        offset = spans.start[first:last] - (ends[first:last] - length - done)
        at = np.arange(int(length.sum())) + np.repeat(offset, length)
        out[at] = np.repeat(value[first:last], length)  # of equal indices numpy keeps the last: drawn over
        first = last
    return out.reshape(shape)


def _segments(polygons: Geometries) -> tuple[npt.NDArray[np.float64], ...]:
    """x0, y0, x1, y1 and polygon index of every ring segment that is not level, lower y first."""
    shapes = np.empty(len(polygons), dtype=object)
    shapes[:] = polygons
    parts, owner = shapely.get_parts(shapes, return_index=True)
    while (shapely.get_type_id(parts) > 3).any():  # a collection may hold multipolygons
        parts, index = shapely.get_parts(parts, return_index=True)
        owner = owner[index]
    rings, part = shapely.get_rings(parts, return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    if not np.isfinite(xy).all():
        bad = int(owner[part[ring[~np.isfinite(xy).all(axis=1)][0]]])
        raise InputError("A coordinate is not a finite number.", where=f"polygon {bad}")
    kept = np.flatnonzero((ring[1:] == ring[:-1]) & (xy[1:, 1] != xy[:-1, 1]))
    a, b = xy[kept], xy[kept + 1]
    # Both polygons at a shared edge compute the same crossings once its ends are in a fixed order.
    low, high = np.where((a[:, 1] < b[:, 1])[:, None], (a, b), (b, a))
    return low[:, 0], low[:, 1], high[:, 0], high[:, 1], owner[part[ring[kept]]].astype(np.int64)
