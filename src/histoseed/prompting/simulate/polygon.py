"""A polygon of a few clicks on the outline."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.prompting.simulate.outline import filled, outline_points

__all__ = ["clicked_polygon"]


def clicked_polygon(
    mask: npt.NDArray[np.bool_], vertices: int, noise: float, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """The inside of a polygon whose corners lie on the outline, or near it; one for each part of the object.

    Args:
        mask: (H, W) bool.
        vertices: Corners of each polygon, at equal distances along the outline; at least 3.
        noise: Each corner is off by up to so many pixels along x and along y, uniformly.
        rng: Of the draw.
    """
    clicked = [xy + rng.uniform(-noise, noise, xy.shape) for xy in outline_points(mask, vertices, rng)]
    return filled([shapely.Polygon(xy) for xy in clicked], mask.shape)
