"""Connected components of masks, and holes."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

__all__ = ["Labels", "Mask", "components", "fill_holes", "largest_component"]

Labels = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]


def components(mask: Mask, *, connectivity: Literal[4, 8] = 4) -> tuple[Labels, Labels]:
    """Label image of the components and their areas; entry 0 is what the mask leaves out.

    The 4-connected ones are the parts of the outline that :func:`~histoseed.geometry.label_to_polygons` gives.

    Args:
        mask: (H, W) bool.
        connectivity: 4, or 8 where pixels that meet at a corner are one, too.

    Returns:
        (H, W) int32, and pixels of each label, (n + 1,) int32.

    >>> labels, areas = components(np.array([[1, 0, 1], [0, 1, 1]], dtype=bool))
    >>> sorted(areas[1:].tolist()), len(components(np.eye(2, dtype=bool), connectivity=8)[1]) - 1
    ([1, 3], 1)
    """
    _, labels, table, _ = cv2.connectedComponentsWithStats(
        np.ascontiguousarray(mask, dtype=np.uint8), connectivity=connectivity, ltype=cv2.CV_32S
    )
    return np.asarray(labels, dtype=np.int32), np.asarray(table[:, cv2.CC_STAT_AREA], dtype=np.int32)


def largest_component(mask: Mask) -> Mask:
    """The 4-connected component with most pixels; of equal ones the first in reading order. (H, W) -> (H, W).

    An empty mask has none: it stays empty.

    >>> largest_component(np.array([[1, 0, 1, 1]], dtype=bool)).astype(int).tolist()
    [[0, 0, 1, 1]]
    """
    labels, areas = components(mask)
    if len(areas) == 1:
        return np.zeros(mask.shape, dtype=bool)
    of_pixel = areas[labels] * mask
    return np.asarray(labels == labels.ravel()[int(of_pixel.argmax())], dtype=bool)


def fill_holes(mask: Mask, largest: float) -> Mask:
    """Fill holes of fewer than ``largest`` pixels. What touches the border may go on outside: it is no hole.

    >>> fill_holes(np.array([[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 1]], dtype=bool), 2).astype(int).tolist()
    [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    """
    holes, area = components(~mask, connectivity=4)
    small = area < largest
    small[0] = False
    small[np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]])] = False
    return mask | np.take(small, holes) if small.any() else mask
