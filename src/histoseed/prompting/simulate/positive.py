"""Clicks on an object."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.prompting.simulate.truth import Box, box_slices, checked_mask, depth_inside, tight_box

__all__ = ["POWER", "deep_pixels", "positive_points"]

POWER = 4.0
"""Of the distance to the background: people click near the middle. As in the published experiments."""


def positive_points(
    mask: npt.NDArray[np.bool_],
    count: int,
    rng: np.random.Generator,
    *,
    power: float = POWER,
    box: Box | None = None,
) -> npt.NDArray[np.float64]:
    """Centres of distinct pixels of an object, drawn with probability ~ (distance to the background) ** power.

    Args:
        mask: (H, W) bool.
        count: How many; an object of fewer pixels gives as many as it has.
        rng: Of the draw.
        power: 0 draws uniformly.
        box: Pixels of this box alone; None takes all.

    Returns:
        (P, 2) x, y in pixels of the mask, in the order of the draw.

    Raises:
        InputError: see :func:`checked_mask`; a power that is negative or not finite.
    """
    x0, y0, x1, y1 = tight_box(checked_mask(mask))
    if not count:
        return np.empty((0, 2))
    depth = depth_inside(mask[y0:y1, x0:x1])
    if box is not None:
        shown = np.zeros_like(depth)
        within = box_slices((box[0] - x0, box[1] - y0, box[2] - x0, box[3] - y0), depth.shape)
        shown[within] = depth[within]
        depth = shown
    return np.add(deep_pixels(depth, count, rng, power=power), (x0, y0))


def deep_pixels(
    depth: npt.NDArray[np.float32], count: int, rng: np.random.Generator, *, power: float = POWER
) -> npt.NDArray[np.float64]:
    """Centres of distinct pixels, drawn one after the other with probability ~ depth ** power.

    Drawn by adding Gumbel noise to the logarithms (Yellott, 1977): nothing is divided by a sum, nothing under- or
    overflows.

    Args:
        depth: (H, W); pixels of depth 0 are never drawn.
        count: How many; fewer where there are fewer.
        rng: Of the draw.
        power: Not negative.

    Raises:
        InputError: a power that is negative or not finite.
    """
    if not (np.isfinite(power) and power >= 0):
        raise InputError(f"The power of the distance is {power}; it is a finite number, not below 0.", where="power")
    rows, columns = np.nonzero(depth)
    keys = power * np.log(depth[rows, columns].astype(float)) + rng.gumbel(size=len(rows))
    first = np.argpartition(-keys, count)[:count] if count < len(keys) else np.arange(len(keys))
    drawn = first[np.argsort(-keys[first], kind="stable")]
    return np.stack([columns[drawn], rows[drawn]], 1).astype(np.float64) + 0.5
