"""Outlines as somebody draws them: some points of the exact outline, and the pixels within a drawn shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.geometry import label_to_polygons, polygons_to_label

__all__ = ["filled", "outline_points"]


def outline_points(mask: npt.NDArray[np.bool_], count: int, rng: np.random.Generator) -> list[npt.NDArray[np.float64]]:
    """Points at equal distances along the outer outline of each part of an object, from a random start.

    Args:
        mask: (H, W) bool.
        count: Points of each part.
        rng: Of the draw.

    Returns:
        One (count, 2) array of x, y a part, pixels of the mask. Parts are 4-connected; holes are left out.
    """
    _, outlines = label_to_polygons(mask)
    rings = shapely.get_exterior_ring(shapely.get_parts(outlines))
    at = (np.arange(count) + rng.random()) / count
    return [shapely.get_coordinates(shapely.line_interpolate_point(ring, at, normalized=True)) for ring in rings]


def filled(shapes: Sequence[Any], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The pixels whose centre lies in one of some shapely areas; even-odd where an outline crosses itself."""
    painted: npt.NDArray[np.bool_] = polygons_to_label(shapes, shape) > 0
    return painted
