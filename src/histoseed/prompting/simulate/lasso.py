"""A shaky closed line around the object, filled."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from histoseed.prompting.simulate.truth import distance_to

__all__ = ["lassoed"]

_SHAKE = 0.8
"""Largest change of the line's distance from the object, as a part of the margin."""


def lassoed(
    mask: npt.NDArray[np.bool_], margin: float, wavelength: float, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """All that lies within a line that keeps 0.2 to 1.8 margins from the object; holes are filled.

    The line is a level of the distance plus a smooth random field: it never crosses itself nor the object. Parts that
    lie closer than the line are taken together.

    Args:
        mask: (H, W) bool.
        margin: Mean distance of the line from the object, pixels.
        wavelength: Pixels between the grid points of the random field, at most.
        rng: Of the draw.
    """
    height, width = mask.shape
    rows, columns = (int(np.ceil(side / max(wavelength, 1))) + 2 for side in mask.shape)
    field = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
    shake = cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR)
    line = margin * (1 + _SHAKE * shake)
    return np.asarray(ndimage.binary_fill_holes(distance_to(mask) <= line), bool)
