"""From a candidate's logits to a mask on whole level-0 pixels, and to a polygon along their edges."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import shapely

from histoseed.geometry import label_to_polygons
from histoseed.prompting.interface import Candidate

__all__ = ["ObjectMask", "mask_of"]

_OUTSIDE = -8.0
_CELL = 4.0
"""A pixel of the mask is at most this part of a cell of the logits: finer ones would add vertices, not detail."""


@dataclass(frozen=True, slots=True, eq=False)
class ObjectMask:
    """One object's pixels.

    Args:
        mask: (h, w) bool.
        x: Left border of the array, level-0 pixels.
        y: Upper border.
        step: Level-0 pixels along a side of a pixel of the mask.
    """

    mask: npt.NDArray[np.bool_]
    x: int
    y: int
    step: int = 1

    @property
    def area(self) -> int:
        """Level-0 pixels."""
        return int(self.mask.sum()) * self.step**2

    def polygon(self) -> shapely.Polygon | shapely.MultiPolygon | None:
        """The exact outline in level-0 pixels; holes and parts are kept. None where the mask is empty."""
        _, outlines = label_to_polygons(self.mask, origin=(self.x, self.y), scale=self.step)
        return outlines[0] if len(outlines) else None

    def with_mask(self, mask: npt.NDArray[np.bool_]) -> ObjectMask:
        """Another mask at the same place."""
        return ObjectMask(mask, self.x, self.y, self.step)


def mask_of(candidate: Candidate, size: tuple[int, int], *, threshold: float = 0.0) -> ObjectMask:
    """The pixels at whose centre the logits (bilinear) exceed the threshold.

    Args:
        candidate: Of a model.
        size: Width and height of the slide; nothing lies beyond it.
        threshold: Logit; 0 is a probability of one half.

    Returns:
        Level-0 pixels where a cell of the logits spans few of them, else squares of 2, 4, ... of them on the grid of
        the slide, so that the array of a large object stays small.
    """
    region = candidate.region
    rows, columns = candidate.logits.shape
    cell = min(region.width / columns, region.height / rows)
    step = 2 ** max(0, int(np.floor(np.log2(max(cell, 1e-9) / _CELL))))
    x0, x1 = _span(region.x, region.x + region.width, size[0], step)
    y0, y1 = _span(region.y, region.y + region.height, size[1], step)
    at_x = (np.arange(x0, x1, step) + step / 2 - region.x) / region.width * columns - 0.5
    at_y = (np.arange(y0, y1, step) + step / 2 - region.y) / region.height * rows - 0.5
    grid_x, grid_y = np.meshgrid(at_x.astype(np.float32), at_y.astype(np.float32))
    if not grid_x.size:
        return ObjectMask(np.zeros((0, 0), bool), x0, y0, step)
    logits = np.ascontiguousarray(candidate.logits, np.float32)
    # The outermost cells are carried on by half a cell, to the border of the region.
    read = cv2.remap(logits, grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    beyond_x = (at_x < -0.5) | (at_x > columns - 0.5)
    beyond_y = (at_y < -0.5) | (at_y > rows - 0.5)
    read[beyond_y, :], read[:, beyond_x] = _OUTSIDE, _OUTSIDE
    return ObjectMask(read > threshold, x0, y0, step)


def _span(low: float, high: float, limit: int, step: int) -> tuple[int, int]:
    """Whole steps that touch an interval, within [0, limit]."""
    first = max(int(np.floor(low / step)) * step, 0)
    last = min(int(np.ceil(high / step)) * step, -(-limit // step) * step)
    return first, max(last, first)
