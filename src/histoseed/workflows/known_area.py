"""What the annotations of a patch say about its pixels, by the kind of annotation.

========  ====================================================================================================
outlines  every pixel is known: of an object, or background
boxes     outside of all boxes is background; which pixels of a box are the object's is not known
points    farther than 8 um from every point is background; what lies nearer is not known
========  ====================================================================================================

Background is only known where every object is annotated. On a patch that is not annotated exhaustively it is a ring of
2 um around outlines and boxes, and nothing around points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from histoseed.datasets import Marks, Patch

__all__ = ["KnownArea", "known_area"]

RING_UM = 2.0
"""Partly annotated patches: background is what lies within this distance of an outline or box."""

FAR_UM = 8.0
"""No nucleus reaches farther than this from the point that marks it; large tumour nuclei have a diameter of 16 um."""

MARGIN_UM = 1.0
"""Boxes are drawn by hand: a nucleus may reach so far out of its own."""

Area = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class KnownArea:
    """The pixels of one patch.

    Args:
        ignore: (H, W) bool, where nothing counts, not even that an object is there; None where everything does.
        unlabelled: (H, W) bool, where no outline can be right or wrong: ``ignore``, and the surroundings of points and
            boxes. All of a patch that has marks and no outline. None where everything counts.
        background: (H, W) bool, of a patch that has marks and no outline: where no nucleus is. None for other patches:
            there the label image says so.
    """

    ignore: Area | None
    unlabelled: Area | None
    background: Area | None


def known_area(patch: Patch, mpp: float, *, partly: bool) -> KnownArea:
    """What is known of a patch.

    Args:
        patch: The annotated patch.
        mpp: Microns per pixel.
        partly: Not every object is annotated.
    """
    ignore = patch.ignore
    outlined = patch.labels > 0
    marked = _marked(patch.marks, outlined.shape, mpp)
    if partly:
        near = _grown(outlined, RING_UM / mpp) | marked
        if len(patch.marks.boxes):
            near |= _grown(_boxed(patch.marks, outlined.shape, mpp), RING_UM / mpp)
        ignore = ~near if ignore is None else ignore | ~near
    if not len(patch.marks):
        return KnownArea(ignore, ignore, None)
    if not outlined.any():
        background = ~marked if ignore is None else ~(marked | ignore)
        return KnownArea(ignore, np.ones(outlined.shape, bool), background)
    open_ = marked & ~outlined
    return KnownArea(ignore, open_ if ignore is None else ignore | open_, None)


def _marked(marks: Marks, shape: tuple[int, ...], mpp: float) -> Area:
    """Where the object of a point or box may lie. (H, W) bool."""
    dots = np.zeros(shape, bool)
    seen = marks.inside(shape[1], shape[0]).points
    dots[seen[:, 1].astype(int), seen[:, 0].astype(int)] = True
    return _grown(dots, FAR_UM / mpp) | _boxed(marks, shape, mpp)


def _boxed(marks: Marks, shape: tuple[int, ...], mpp: float) -> Area:
    """The boxes with their margin. (H, W) bool."""
    area = np.zeros(shape, bool)
    reach = MARGIN_UM / mpp
    for x0, y0, x1, y1 in marks.boxes.tolist():
        rows = slice(max(0, math.floor(y0 - reach)), max(0, math.ceil(y1 + reach)))
        area[rows, max(0, math.floor(x0 - reach)) : max(0, math.ceil(x1 + reach))] = True
    return area


def _grown(area: Area, reach: float) -> Area:
    """What lies within ``reach`` pixels of an area. (H, W) bool."""
    from scipy.ndimage import distance_transform_edt

    if not area.any():
        return np.zeros(area.shape, bool)
    distance: npt.NDArray[Any] = distance_transform_edt(~area)
    near: Area = distance <= reach
    return near
