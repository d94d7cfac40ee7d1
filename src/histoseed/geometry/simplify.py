"""Fewer vertices for an outline, with a tolerance that is kept and a budget that is met where it can be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import shapely

from histoseed.errors import InputError

__all__ = ["Simplified", "simplify_outline", "vertex_count"]

Outline: TypeAlias = shapely.Polygon | shapely.MultiPolygon

_SHRINK = 0.7
_TRIES = 12
_PRECISION = 0.01
_LEAST_VERTICES = 3


@dataclass(frozen=True, slots=True, eq=False)
class Simplified:
    """An outline with fewer vertices and what that cost. Lengths are micrometres where mpp was given, else coordinates.

    Args:
        outline: Valid, with the parts and holes of the original.
        tolerance: No vertex of the original lies farther from the new outline.
        vertices: Vertices of all rings, each counted once.
        vertices_before: Those of the original.
        hausdorff: Farthest that a vertex of the original lies from the new outline; at most ``tolerance``.
        area_ratio: Area over the original's area.
        met: The budget holds. False where parts and holes need more vertices than the budget has.
    """

    outline: Outline
    tolerance: float
    vertices: int
    vertices_before: int
    hausdorff: float
    area_ratio: float
    met: bool = True


def vertex_count(outline: Outline) -> int:
    """Vertices of all rings of an outline, each counted once: what a user can drag.

    >>> vertex_count(shapely.box(0, 0, 2, 2))
    4
    """
    rings = shapely.get_rings(shapely.get_parts(outline))
    return int(shapely.get_num_coordinates(rings).sum()) - len(rings)


def simplify_outline(
    outline: Outline, *, tolerance: float | None = None, budget: int | None = None, mpp: float | None = None
) -> Simplified:
    """Leave vertices out: as many as a tolerance allows, or as few as a budget asks for.

    Douglas and Peucker (1973) ring by ring in the topology-preserving form of GEOS. That form can still break an
    outline whose rings touch, or leave the tolerance at the seam of a ring. Every result is therefore looked at, and a
    smaller tolerance is tried until outline, parts, holes and distance are right; the original is the last resort.

    Args:
        outline: A valid polygon or multipolygon.
        tolerance: Farthest a vertex may lie from the new outline.
        budget: Most vertices, all rings together. The smallest tolerance that meets it is searched by bisection, to
            1 %, but never one below ``tolerance``. A ring needs three vertices.
        mpp: Microns per unit of the coordinates; tolerance and costs are then micrometres.

    Raises:
        InputError: neither tolerance nor budget, one out of range, or what is no valid outline.

    >>> notched = shapely.Polygon([(0, 0), (4, 0), (4, 1), (5, 1), (5, 0), (9, 0), (9, 9), (0, 9)])
    >>> found = simplify_outline(notched, tolerance=1)
    >>> found.vertices_before, found.vertices, found.hausdorff
    (8, 4, 1.0)
    """
    _check(outline, tolerance, budget, mpp)
    unit = 1.0 if mpp is None else mpp
    least = 0.0 if tolerance is None else tolerance / unit
    found, met = _within(outline, least), True
    if budget is not None and vertex_count(found) > budget:
        least, found = _bisected(outline, least, budget)
        met = vertex_count(found) <= budget
    return Simplified(
        outline=found,
        tolerance=least * unit,
        vertices=vertex_count(found),
        vertices_before=vertex_count(outline),
        hausdorff=_distance(outline, found) * unit,
        area_ratio=found.area / outline.area,
        met=met,
    )


def _bisected(outline: Outline, low: float, budget: int) -> tuple[float, Outline]:
    """The smallest tolerance above ``low`` that meets the budget, and its outline; else the shortest outline found."""
    x0, y0, x1, y1 = outline.bounds
    longest = math.hypot(x1 - x0, y1 - y0)
    high = max(2 * low, longest / 1024)
    found = _within(outline, high)
    while vertex_count(found) > budget and high < longest:
        low, high = high, min(2 * high, longest)
        found = _within(outline, high)
    if vertex_count(found) > budget:
        return high, found
    while high - low > _PRECISION * high:
        middle = (low + high) / 2
        shorter = _within(outline, middle)
        if vertex_count(shorter) <= budget:
            high, found = middle, shorter
        else:
            low = middle
    return high, found


def _within(outline: Outline, tolerance: float) -> Outline:
    """The simplified outline if it is right, else that of a smaller tolerance, else the original."""
    used = tolerance
    for _ in range(_TRIES):
        found = shapely.simplify(outline, used, preserve_topology=True)
        if _same_topology(outline, found) and _distance(outline, found) <= tolerance * (1 + 1e-9):
            return found
        used *= _SHRINK
    return outline


def _same_topology(outline: Outline, found: Outline) -> bool:
    if not found.is_valid or shapely.get_num_geometries(found) != shapely.get_num_geometries(outline):
        return False
    holes = [shapely.get_num_interior_rings(shapely.get_parts(shape)) for shape in (outline, found)]
    return bool(np.array_equal(*holes))


def _distance(outline: Outline, found: Outline) -> float:
    """Farthest that a vertex of the original lies from the new outline; those of the result are vertices of it."""
    rings = shapely.get_rings(shapely.get_parts(found))
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    inner = np.flatnonzero(ring[1:] == ring[:-1])
    sides = shapely.STRtree(shapely.linestrings(np.stack([xy[inner], xy[inner + 1]], axis=1)))
    points = shapely.points(shapely.get_coordinates(outline))
    return float(sides.query_nearest(points, all_matches=False, return_distance=True)[1].max())


def _check(outline: Outline, tolerance: float | None, budget: int | None, mpp: float | None) -> None:
    if not isinstance(outline, shapely.Polygon | shapely.MultiPolygon) or outline.is_empty:
        raise InputError("Only a polygon or multipolygon with an area can be simplified.", where="outline")
    if not outline.is_valid:
        what = f"The outline is not valid: {shapely.is_valid_reason(outline)}."
        raise InputError(what, where="outline", fix="Repair it first with make_outlines_valid.")
    if tolerance is None and budget is None:
        raise InputError("Simplification needs a tolerance or a budget.", where="simplify")
    if tolerance is not None and not 0 <= tolerance < math.inf:
        raise InputError(f"A tolerance is a number from 0 on, not {tolerance}.", where="tolerance")
    if budget is not None and budget < _LEAST_VERTICES:
        raise InputError(f"A polygon has at least {_LEAST_VERTICES} vertices; the budget is {budget}.", where="budget")
    if mpp is not None and not 0 < mpp < math.inf:
        raise InputError(f"Microns per pixel must be positive, not {mpp}.", where="mpp")
