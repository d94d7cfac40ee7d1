"""Clicks beside an object."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from histoseed.prompting.simulate.truth import Box, box_slices, checked_mask, distance_to

__all__ = ["negative_points"]


def negative_points(
    mask: npt.NDArray[np.bool_],
    count: int,
    rng: np.random.Generator,
    *,
    box: Box | None = None,
    grow: float = 0.0,
    apart: float = 0.0,
) -> npt.NDArray[np.float64]:
    """Centres of distinct pixels outside an object, drawn uniformly.

    An object may fill its box, or the array: then there are fewer points or none, which is an answer, not an error.

    Args:
        mask: (H, W) bool.
        count: How many at most.
        rng: Of the draw.
        box: Pixels of this box alone, in pixels of the mask; None takes the whole array.
        grow: Pixels at most so far from the box count as in it.
        apart: Least distance of a centre from the object's nearest pixel centre; neighbours are at 1.

    Returns:
        (Q, 2) x, y in pixels of the mask.

    Raises:
        InputError: see :func:`checked_mask`.
    """
    checked_mask(mask)
    if not count:
        return np.empty((0, 2))
    x0, y0, x1, y1 = (0, 0, *mask.shape[::-1]) if box is None else box
    around = box_slices((x0 - grow, y0 - grow, x1 + grow, y1 + grow), mask.shape)
    allowed = ~mask[around] if apart <= 1 else distance_to(mask)[around] >= apart
    y, x = np.ogrid[around]
    if grow:  # the corners are round
        off_x = np.maximum(np.maximum(x0 - (x + 0.5), x + 0.5 - x1), 0)
        off_y = np.maximum(np.maximum(y0 - (y + 0.5), y + 0.5 - y1), 0)
        allowed &= np.hypot(off_x, off_y) <= grow
    free = np.flatnonzero(allowed)
    drawn = rng.choice(free, min(count, len(free)), replace=False) if len(free) else free
    rows, columns = np.divmod(drawn, allowed.shape[1])
    return np.stack([x[0, columns], y[rows, 0]], 1).astype(np.float64) + 0.5
