"""Well-known binary from anywhere, read safely.

The library below shapely reads collections inside collections by calling itself: some megabytes of them end the whole
process, without any exception. So what is nested deeper than a polygon in a multi-polygon is refused before.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.errors import AnnotationError

__all__ = ["shapes_from_wkb"]

_POINT, _LINE, _POLYGON = 1, 2, 3
_MULTI = (4, 5, 6)
_Z, _M, _SRID = 0x80000000, 0x40000000, 0x20000000


def shapes_from_wkb(blobs: Sequence[bytes | None], where: object) -> npt.NDArray[np.object_]:
    """One shapely geometry a blob, z dropped; None stays None. Coordinates may be NaN.

    Raises:
        AnnotationError: no well-known binary, or geometries nested deeper than any outline is; the row is named.

    >>> shapes_from_wkb([shapely.to_wkb(shapely.Point(1, 2)), None], "a.parquet").tolist()
    [<POINT (1 2)>, None]
    """
    for row, blob in enumerate(blobs):
        if blob is not None and not _is_flat(blob):
            what = "The geometry is damaged, or nested deeper than any outline is."
            raise AnnotationError(what, where=f"{where}, row {row}")
    try:
        with np.errstate(invalid="ignore"):  # NaN is the caller's to refuse
            shapes = shapely.force_2d(shapely.from_wkb(np.array([None, *blobs], dtype=object)[1:]))
    except shapely.errors.ShapelyError as error:
        raise AnnotationError(f"A geometry is no well-known binary ({error}).", where=where) from error
    return np.asarray(shapes, dtype=object)


def _is_flat(blob: bytes) -> bool:
    """Whether it is a point, line or polygon, or a collection of such alone."""
    try:
        kind, size, order, at = _header(blob, 0)
        if kind not in _MULTI:
            return kind in (_POINT, _LINE, _POLYGON)
        (count,) = struct.unpack_from(order + "I", blob, at)
        at += 4
        for _ in range(count):
            kind, size, order, at = _header(blob, at)
            if kind not in (_POINT, _LINE, _POLYGON):
                return False
            at = _end(blob, kind, size, order, at)
    except (struct.error, IndexError, KeyError):
        return False
    return True


def _header(blob: bytes, at: int) -> tuple[int, int, str, int]:
    """Type, bytes of a position, byte order, and where the rest begins."""
    order = {0: ">", 1: "<"}[blob[at]]
    (code,) = struct.unpack_from(order + "I", blob, at + 1)
    iso, kind = divmod(code & 0xFFFF, 1000)
    dimensions = 2 + (bool(code & _Z) or iso in (1, 3)) + (bool(code & _M) or iso in (2, 3))
    return kind, 8 * dimensions, order, at + (9 if code & _SRID else 5)


def _end(blob: bytes, kind: int, size: int, order: str, at: int) -> int:
    """Where a point, line or polygon ends."""
    if kind == _POINT:
        return at + size
    rings = 1
    if kind == _POLYGON:
        (rings,) = struct.unpack_from(order + "I", blob, at)
        at += 4
    for _ in range(rings):
        (vertices,) = struct.unpack_from(order + "I", blob, at)
        at += 4 + vertices * size
    return at
