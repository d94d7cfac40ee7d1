"""The box that somebody draws around an object."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from histoseed.prompting.simulate.truth import Box, box_slices, checked_mask, tight_box

__all__ = ["jittered_box"]

_INWARD = 0.4
"""A side moves inward by at most this part of the extent, so that a fifth of it is left at least."""
_TRIES = 16


def jittered_box(
    mask: npt.NDArray[np.bool_], reach: float, rng: np.random.Generator, *, limits: Box | None = None
) -> Box:
    """The tight box with each side moved on its own, uniformly in [-reach, +reach].

    No box is reversed or without extent: a move inward ends at 0.4 of the extent, and a box that shows no pixel of the
    object (a thin ring, seen from its hole) is drawn again. The same generator with another reach gives the same moves,
    scaled, so that series over the reach are paired.

    Args:
        mask: (H, W) bool.
        reach: Pixels of the mask; 0 gives the tight box.
        rng: Of the draw.
        limits: What the box is cut to, such as the slide.

    Returns:
        x0, y0, x1, y1 in pixels of the mask.

    Raises:
        InputError: see :func:`checked_mask`.
    """
    tight = np.array(tight_box(checked_mask(mask)), float)
    extent = np.tile(tight[2:] - tight[:2], 2)
    for _ in range(_TRIES):
        outward = np.maximum(reach * rng.uniform(-1, 1, 4), -_INWARD * extent)
        drawn = _cut(tight + outward * (-1, -1, 1, 1), limits)
        if mask[box_slices(drawn, mask.shape)].any():
            return drawn
    return _cut(tight, limits)


def _cut(box: npt.NDArray[np.float64], limits: Box | None) -> Box:
    if limits is not None:
        box = np.clip(box, np.tile(limits[:2], 2), np.tile(limits[2:], 2))
    x0, y0, x1, y1 = box.tolist()
    return x0, y0, x1, y1
