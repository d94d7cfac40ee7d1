"""Simple rules that see the same box as a model: what its answers must be clearly better than."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from skimage.color import rgb2hed
from skimage.filters import threshold_otsu

from histoseed.prompting.masks import ObjectMask

__all__ = ["RULES", "ellipse_in_box", "haematoxylin", "otsu_in_box"]

Box = tuple[float, float, float, float]

RULES = ("ellipse", "otsu")
"""Names of the rules."""


def haematoxylin(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """How strongly each pixel is stained, after Ruifrok and Johnston. (H, W, 3) uint8 RGB -> (H, W) float64."""
    return np.asarray(rgb2hed(image)[..., 0], np.float64)


def ellipse_in_box(box: Box, size: tuple[int, int]) -> ObjectMask:
    """The ellipse inscribed in a box: pixels whose centre it covers.

    Args:
        box: x0, y0, x1, y1, level-0 pixels.
        size: Width and height of the slide.
    """
    x0, y0, x1, y1 = box
    left, top, right, bottom = _whole(box, size)
    y, x = np.mgrid[top:bottom, left:right] + 0.5
    inside = ((x - (x0 + x1) / 2) / ((x1 - x0) / 2)) ** 2 + ((y - (y0 + y1) / 2) / ((y1 - y0) / 2)) ** 2 <= 1
    return ObjectMask(np.asarray(inside, bool), left, top)


def otsu_in_box(box: Box, stain: npt.NDArray[np.float64]) -> ObjectMask:
    """What is stained more than Otsu's threshold of the pixels in the box.

    Args:
        box: x0, y0, x1, y1, level-0 pixels.
        stain: (H, W), see :func:`haematoxylin`.
    """
    left, top, right, bottom = _whole(box, (stain.shape[1], stain.shape[0]))
    part = stain[top:bottom, left:right]
    even = part.size < 4 or part.min() == part.max()  # nothing that a threshold could tell apart
    above: float = np.inf if even else threshold_otsu(part)  # type: ignore[no-untyped-call]  # of scikit-image
    return ObjectMask(np.asarray(part > above, bool), left, top)


def _whole(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Whole pixels that a box touches, within the slide."""
    x0, y0, x1, y1 = box
    left, top = max(0, int(np.floor(x0))), max(0, int(np.floor(y0)))
    return left, top, min(size[0], int(np.ceil(x1))), min(size[1], int(np.ceil(y1)))
