"""The annotated object that a simulated user looks at."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError

__all__ = ["Box", "box_slices", "checked_mask", "depth_inside", "distance_to", "tight_box"]

Bools = npt.NDArray[np.bool_]
Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels of the mask; pixel (row i, column j) covers [j, j + 1] x [i, i + 1]."""


def checked_mask(mask: Bools, *, where: str = "mask") -> Bools:
    """The mask itself, if it shows an object.

    Raises:
        InputError: not two-dimensional, not boolean (a label image would make one object of all), or empty.
    """
    if mask.ndim != 2 or mask.dtype != np.bool_:
        what = f"An object's mask is (rows, columns) of bool; this is {mask.dtype} of shape {mask.shape}."
        raise InputError(what, where=where, fix="Of a label image take `labels == number`.")
    if not mask.any():
        raise InputError("The mask is empty: nobody can point at the object.", where=where)
    return mask


def tight_box(mask: Bools) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of the smallest box around the pixels that are True.

    >>> tight_box(np.array([[False, False, False], [False, True, True]]))
    (1, 1, 3, 2)
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def box_slices(box: Box, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the pixels whose centre lies in a box."""
    x0, y0, x1, y1 = box
    spans = []
    for low, high, size in ((y0, y1, shape[0]), (x0, x1, shape[1])):
        first = min(max(int(np.ceil(low - 0.5)), 0), size)
        spans.append(slice(first, max(first, min(int(np.floor(high - 0.5)) + 1, size))))
    return spans[0], spans[1]


def depth_inside(mask: Bools) -> npt.NDArray[np.float32]:
    """Distance of each pixel's centre from the nearest centre outside the mask, 0 outside. (H, W) float32.

    What lies beyond the array is outside, so that the distance is exact for objects at its border and for a mask
    without any background.
    """
    return _distance(np.pad(mask, 1))[1:-1, 1:-1]


def distance_to(mask: Bools) -> npt.NDArray[np.float32]:
    """Distance of each pixel's centre from the nearest centre in the mask, 0 in it. (H, W) float32; one must be."""
    return _distance(~mask)


def _distance(inside: Bools) -> npt.NDArray[np.float32]:
    found = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(found, np.float32)
