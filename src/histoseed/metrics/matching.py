"""One-to-one matching in sparse bipartite graphs, without a loop over objects."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import linear_sum_assignment
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from histoseed.errors import InputError, LimitError

__all__ = ["Matching", "match_points", "max_weight_matching"]

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Matching = Literal["most-pairs", "least-distance"]

_MOST_CELLS = 100_000_000
"""Largest dense distance table (cells, 8 bytes each) of the least-distance matching."""


def max_weight_matching(rows: Ints, columns: Ints, gain: Floats) -> Ints:
    """Edges of the one-to-one matching with the largest total gain; nodes may stay single.

    Args:
        rows: Left node of each edge, (K,) int64. Each pair of nodes at most once.
        columns: Right node of each edge, (K,) int64.
        gain: Positive gain of each edge, (K,) float64.

    Returns:
        Ascending indices of the chosen edges, int64.

    >>> max_weight_matching(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.5, 0.4, 0.3]))
    array([1, 2])
    """
    alive = np.arange(len(rows))
    chosen = []
    while len(alive):
        certain = alive[_certain(rows[alive], columns[alive], gain[alive])]
        if not len(certain):
            chosen.append(alive[_assign(rows[alive], columns[alive], gain[alive])])
            break
        chosen.append(certain)
        taken = np.isin(rows[alive], rows[certain]) | np.isin(columns[alive], columns[certain])
        alive = alive[~taken]
    return np.sort(np.concatenate(chosen)) if chosen else alive


def _certain(rows: Ints, columns: Ints, gain: Floats) -> Ints:
    """Edges that gain at least as much as the best other edge of their row and of their column *together*.

    Some best matching holds them: one without such an edge can trade at most those two for it without a loss.
    Ties are left to the solver, except where an edge has no rival at all.
    """
    rivals = _best_other(rows, gain) + _best_other(columns, gain)
    return np.flatnonzero(gain > rivals)


def _best_other(nodes: Ints, gain: Floats) -> Floats:
    """For each edge the largest gain among the *other* edges of its node; 0 where there is none."""
    order = np.lexsort((-gain, nodes))
    node, value = nodes[order], gain[order]
    leads = np.concatenate(([True], node[1:] != node[:-1]))
    start = np.flatnonzero(leads)
    size = np.diff(start, append=len(node))
    second = np.zeros(len(start))
    many = size > 1
    second[many] = value[start[many] + 1]
    group = np.cumsum(leads) - 1
    other = np.empty(len(nodes))
    other[order] = np.where(leads, second[group], value[start][group])
    return other


def _assign(rows: Ints, columns: Ints, gain: Floats) -> Ints:
    """Exact solution by LAPJVsp: each row may also take a column of its own that gains nothing."""
    row_nodes, row = np.unique(rows, return_inverse=True)
    column_nodes, column = np.unique(columns, return_inverse=True)
    n_rows, n_columns = len(row_nodes), len(column_nodes)
    top = float(gain.max())
    # Costs are shifted by one because the solver takes a zero for a missing edge.
    costs = np.concatenate((top - gain, np.full(n_rows, top))) / top + 1.0
    at = np.concatenate((row, np.arange(n_rows))), np.concatenate((column, n_columns + np.arange(n_rows)))
    graph = sparse.csr_array((costs, at), shape=(n_rows, n_columns + n_rows))
    matched_row, matched_column = min_weight_full_bipartite_matching(graph)
    partner = np.empty(n_rows, dtype=np.int64)
    partner[matched_row] = matched_column
    return np.flatnonzero(partner[row] == column)


def match_points(
    truth: npt.ArrayLike, predicted: npt.ArrayLike, radius: float, *, matching: Matching = "most-pairs"
) -> tuple[Ints, Ints]:
    """Pair points one to one at a distance of at most ``radius``.

    Args:
        truth: x, y of N points, (N, 2).
        predicted: x, y of M points, (M, 2), in the same unit.
        radius: Largest distance of a pair, in that unit; the boundary counts.
        matching: ``most-pairs`` takes as many pairs as the radius allows and among those the least total distance.
            ``least-distance`` is HoVer-Net's: the least total distance over *all* points first, then pairs that are
            too far apart are dropped (this can lose pairs, and needs a dense N x M table).

    Returns:
        Indices into ``truth`` (ascending) and into ``predicted`` of the pairs, int64.

    Raises:
        InputError: arrays of another shape, a radius that is not positive, an unknown matching.
        LimitError: too many points for the dense table of ``least-distance``.

    >>> match_points([[0, 0], [4, 0]], [[3, 0], [7, 0]], radius=3)
    (array([0, 1]), array([0, 1]))
    >>> match_points([[0, 0], [4, 0]], [[3, 0], [90, 0]], radius=3, matching="least-distance")
    (array([0]), array([0]))
    """
    points = [np.asarray(side, dtype=np.float64).reshape(-1, 2) for side in (truth, predicted)]
    if not radius > 0:
        raise InputError(f"The radius must be positive, not {radius}.", where="radius")
    if not len(points[0]) or not len(points[1]):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    if matching == "most-pairs":
        return _most_pairs(points[0], points[1], float(radius))
    if matching == "least-distance":
        return _least_distance(points[0], points[1], float(radius))
    raise InputError(f"There is no matching {matching!r}.", fix="Use most-pairs or least-distance.")


def _most_pairs(truth: Floats, predicted: Floats, radius: float) -> tuple[Ints, Ints]:
    # The tree works with squared distances: without the slack, pairs exactly at the radius come and go by rounding.
    near = KDTree(truth).sparse_distance_matrix(KDTree(predicted), radius * (1 + 1e-9), output_type="ndarray")
    rows, columns = near["i"].astype(np.int64), near["j"].astype(np.int64)
    order = np.lexsort((columns, rows))
    rows, columns, distance = rows[order], columns[order], near["v"][order]
    # One pair more outweighs any saving of distance: k pairs save at most k radii.
    gain = (min(len(truth), len(predicted)) + 2) - distance / radius
    edges = max_weight_matching(rows, columns, gain)
    return rows[edges], columns[edges]


def _least_distance(truth: Floats, predicted: Floats, radius: float) -> tuple[Ints, Ints]:
    if len(truth) * len(predicted) > _MOST_CELLS:
        what = f"{len(truth)} x {len(predicted)} objects are too many for the least-distance matching of one image."
        raise LimitError(what, fix="Score smaller patches, or use a protocol that pairs within the radius (histoseed).")
    distance = cdist(truth, predicted)
    rows, columns = linear_sum_assignment(distance)
    near = distance[rows, columns] <= radius * (1 + 1e-9)
    return rows[near].astype(np.int64), columns[near].astype(np.int64)
