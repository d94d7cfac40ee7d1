"""Which square of the window a prompt's grid covers; one function for training and for service."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["square_of_box", "square_of_points"]

Floats = npt.NDArray[np.float64]

_MARGIN = 1.6
_RIM = 0.375
"""Over the diameter of the object that is expected: 3 um. A box may be drawn too small on each side."""
_TYPICAL = 2.0
"""Side of a point's square over the diameter of the object that is expected."""


def square_of_box(box: Floats, diameter: float) -> Floats:
    """The square around a box: (3,) x and y of its corner, and its side.

    Args:
        box: (4,) x0, y0, x1, y1 in pixels of the window.
        diameter: Of the object that is expected, pixels of the window.
    """
    side = _MARGIN * float(max(box[2] - box[0], box[3] - box[1])) + _RIM * diameter
    return np.array([(box[0] + box[2] - side) / 2, (box[1] + box[3] - side) / 2, side])


def square_of_points(points: Floats, diameter: float) -> Floats:
    """The square around positive points.

    Args:
        points: (P, 2) x, y in pixels of the window.
        diameter: Of the object that is expected, pixels of the window.
    """
    low, high = points.min(0), points.max(0)
    side = max(_TYPICAL * diameter, _MARGIN * 1.25 * float((high - low).max()) + _RIM * diameter)
    centre = (low + high) / 2
    return np.array([*(centre - side / 2), side])
