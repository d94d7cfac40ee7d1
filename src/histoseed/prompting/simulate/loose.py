"""A loose mask: a rough outline, its convex hull, and some more."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.prompting.simulate.outline import filled, outline_points

__all__ = ["loose_hull"]

_POINTS = 32


def loose_hull(
    mask: npt.NDArray[np.bool_], noise: float, dilation: float, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Noise on the outline of each part, then its convex hull, then a dilation.

    Args:
        mask: (H, W) bool.
        noise: Each of 32 points of the outline moves by up to so many pixels along x and along y, uniformly.
        dilation: Pixels that the hull grows by.
        rng: Of the draw.
    """
    noisy = [xy + rng.uniform(-noise, noise, xy.shape) for xy in outline_points(mask, _POINTS, rng)]
    hulls = shapely.convex_hull([shapely.MultiPoint(xy) for xy in noisy])
    return filled(shapely.buffer(hulls, dilation), mask.shape)
