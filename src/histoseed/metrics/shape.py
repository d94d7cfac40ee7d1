"""Shape: how far the outlines of matched objects lie apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from histoseed.metrics.contingency import Contingency, Ints, LabelImage, contingency
from histoseed.metrics.panoptic import matched_pairs

__all__ = ["hausdorff95", "hausdorff95_of_pairs"]

Floats = npt.NDArray[np.float64]

_PERCENT = 95.0


def hausdorff95_of_pairs(table: Contingency, mpp: float | None = None) -> Floats:
    """The 95 % Hausdorff distance of each pair with IoU > 0.5, in the order of :func:`matched_pairs`.

    The outline of an object are its pixels with one of four neighbours outside it (the image frame is outside).
    Of each object's outline the 95th percentile (linear interpolation) of the distances to the other outline is
    taken; the larger of the two counts.

    Args:
        table: Both label images.
        mpp: Microns per pixel; None gives pixels.

    Returns:
        (pairs,) float64, micrometres or pixels.
    """
    pairs = matched_pairs(table)
    if not len(pairs):
        return np.empty(0)
    sides = []
    used = (table.pair_truth[pairs], table.pair_predicted[pairs])
    for image, objects, chosen in zip(table.images(), (table.truth, table.predicted), used, strict=True):
        pair_of = np.full(len(objects) + 1, -1, dtype=np.int64)
        pair_of[chosen + 1] = np.arange(len(pairs))
        sides.append(_outline(image, pair_of))
    # One tree for all pairs: each lies in a plane of its own, farther from the next than any distance inside it.
    apart = 2.0 * sum(table.shape)
    points = [np.column_stack((y, x, pair * apart)) for y, x, pair in sides]
    forth = KDTree(points[1]).query(points[0])[0]
    back = KDTree(points[0]).query(points[1])[0]
    percentiles = (_percentile(forth, sides[0][2], len(pairs)), _percentile(back, sides[1][2], len(pairs)))
    return np.maximum(*percentiles) * (1.0 if mpp is None else mpp)


def _outline(image: npt.NDArray[np.int32], pair_of: Ints) -> tuple[Ints, Ints, Ints]:
    """Row, column and pair of every outline pixel of the objects that belong to a pair."""
    framed = np.pad(image, 1)
    centre = framed[1:-1, 1:-1]
    edge = np.zeros(image.shape, dtype=bool)
    for neighbour in (framed[:-2, 1:-1], framed[2:, 1:-1], framed[1:-1, :-2], framed[1:-1, 2:]):
        edge |= neighbour != centre
    y, x = np.nonzero(edge & (centre > 0))
    pair = pair_of[image[y, x]]
    kept = pair >= 0
    return y[kept], x[kept], pair[kept]


def _percentile(values: Floats, group: Ints, n_groups: int) -> Floats:
    """The percentile of each group's values; every group has some."""
    order = np.lexsort((values, group))
    ordered = values[order]
    size = np.bincount(group, minlength=n_groups)
    start = np.cumsum(size) - size
    place = (size - 1) * (_PERCENT / 100)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, size - 1)
    part = place - low
    return np.asarray(ordered[start + low] * (1 - part) + ordered[start + high] * part, dtype=np.float64)


def hausdorff95(
    truth: LabelImage, predicted: LabelImage, *, mpp: float | None = None, ignore: npt.NDArray[Any] | None = None
) -> float:
    """Mean 95 % Hausdorff distance of the pairs with IoU > 0.5; NaN when there is none.

    Args:
        truth: Label image (H, W), integers, 0 = background.
        predicted: Label image (H, W).
        mpp: Microns per pixel; None gives the distance in pixels.
        ignore: True where nothing counts, (H, W) bool.

    Raises:
        InputError: images that cannot be compared, see :func:`contingency`.

    >>> truth, predicted = np.zeros((2, 9, 9), dtype=int)
    >>> truth[1:7, 1:7], predicted[2:8, 1:7] = 1, 1
    >>> hausdorff95(truth, predicted), hausdorff95(truth, predicted, mpp=0.25)
    (1.0, 0.25)
    """
    distances = hausdorff95_of_pairs(contingency(truth, predicted, ignore=ignore), mpp)
    return float(distances.mean()) if len(distances) else float("nan")
