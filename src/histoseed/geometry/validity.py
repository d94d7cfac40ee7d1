"""Outlines that cross themselves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely

__all__ = ["make_outlines_valid"]


def make_outlines_valid(
    shapes: npt.NDArray[np.object_],
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Repair what crosses itself by shapely's "structure" method: everything an outline goes round counts as inside.

    Args:
        shapes: shapely geometries, None allowed. Object array (N,).

    Returns:
        The geometries, None where no area is left; which ones were repaired; which ones lost all area. (N,) each.

    >>> bow = shapely.Polygon([(0, 0), (4, 0), (0, 4), (4, 4)])
    >>> shapes, repaired, lost = make_outlines_valid(np.array([bow, shapely.box(0, 0, 1, 1)], dtype=object))
    >>> repaired.tolist(), lost.tolist(), bool(shapes[0].is_valid)
    ([True, False], [False, False], True)
    """
    out = shapes.copy()
    broken = ~shapely.is_valid(out) & ~shapely.is_missing(out)
    repaired = broken.copy()
    if broken.any():
        out[broken] = shapely.make_valid(out[broken], method="structure", keep_collapsed=False)
    lost = shapely.is_empty(out)
    out[lost] = None
    return out, repaired & ~lost, lost
