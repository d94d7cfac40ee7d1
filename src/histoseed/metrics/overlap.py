"""Overlap scores: Dice of the foreground, aggregated Jaccard index (AJI) and its one-to-one form (AJI+)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from histoseed.metrics.contingency import Contingency, Ints, LabelImage, contingency
from histoseed.metrics.matching import max_weight_matching
from histoseed.metrics.panoptic import panoptic_statistics

__all__ = [
    "Overlap",
    "aji",
    "aji_plus",
    "aji_plus_statistics",
    "aji_statistics",
    "dice",
    "dice_statistics",
    "mean_matched_iou",
]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Sufficient statistics of a ratio of pixel counts; they add over images.

    Args:
        shared: Numerator in pixels.
        total: Denominator in pixels.
    """

    shared: int = 0
    total: int = 0

    def __add__(self, other: Overlap) -> Overlap:
        return Overlap(self.shared + other.shared, self.total + other.total)

    def ratio(self) -> float:
        """``shared / total``, NaN for nothing over nothing."""
        return self.shared / self.total if self.total else math.nan


def dice_statistics(table: Contingency) -> Overlap:
    """Twice the pixels that are foreground on both sides, over the sum of both foregrounds."""
    both = int(table.intersection.sum())
    return Overlap(2 * both, int(table.truth.area.sum() + table.predicted.area.sum()))


def aji_statistics(table: Contingency) -> Overlap:
    """Each truth object takes the prediction of best IoU, even one that is taken already (Kumar et al., TMI 2017).

    Truth and predicted objects that no pair uses add their whole area to the union. Of predictions with equal IoU,
    the one that comes first in raster order is taken.
    """
    best = np.lexsort((table.pair_predicted, -table.iou, table.pair_truth))
    first = np.concatenate(([True], np.diff(table.pair_truth[best]) > 0))[: len(best)]
    return _aggregate(table, best[first])


def aji_plus_statistics(table: Contingency) -> Overlap:
    """Like AJI, with the one-to-one pairing of largest total IoU (HoVer-Net, Graham et al., MedIA 2019)."""
    return _aggregate(table, max_weight_matching(table.pair_truth, table.pair_predicted, table.iou))


def _aggregate(table: Contingency, pairs: Ints) -> Overlap:
    single = [
        np.delete(side.area, used)
        for side, used in ((table.truth, table.pair_truth[pairs]), (table.predicted, table.pair_predicted[pairs]))
    ]
    union = table.union[pairs].sum() + single[0].sum() + single[1].sum()
    return Overlap(int(table.intersection[pairs].sum()), int(union))


def dice(truth: LabelImage, predicted: LabelImage, *, ignore: npt.NDArray[Any] | None = None) -> float:
    """Dice of the foregrounds of two label images (H, W); NaN when both are empty.

    Raises:
        InputError: images that cannot be compared, see :func:`contingency`.

    >>> round(dice(np.array([[1, 1, 2, 0]]), np.array([[0, 3, 3, 3]])), 4)
    0.6667
    """
    return dice_statistics(contingency(truth, predicted, ignore=ignore)).ratio()


def aji(truth: LabelImage, predicted: LabelImage, *, ignore: npt.NDArray[Any] | None = None) -> float:
    """Aggregated Jaccard index of two label images (H, W); NaN when both are empty.

    A prediction that covers two truth objects is counted for both: AJI punishes merges twice, see :func:`aji_plus`.

    Raises:
        InputError: images that cannot be compared, see :func:`contingency`.

    >>> truth, merged = np.array([[1, 1, 2, 2]]), np.array([[1, 1, 1, 1]])
    >>> aji(truth, merged), round(aji_plus(truth, merged), 4)
    (0.5, 0.3333)
    """
    return aji_statistics(contingency(truth, predicted, ignore=ignore)).ratio()


def aji_plus(truth: LabelImage, predicted: LabelImage, *, ignore: npt.NDArray[Any] | None = None) -> float:
    """AJI with a one-to-one pairing, of two label images (H, W); NaN when both are empty.

    Raises:
        InputError: images that cannot be compared, see :func:`contingency`.

    >>> round(aji_plus(np.array([[1, 1, 1, 0, 2]]), np.array([[0, 5, 5, 0, 0]])), 4)
    0.5
    """
    return aji_plus_statistics(contingency(truth, predicted, ignore=ignore)).ratio()


def mean_matched_iou(truth: LabelImage, predicted: LabelImage, *, ignore: npt.NDArray[Any] | None = None) -> float:
    """Mean IoU of the pairs with IoU > 0.5; NaN when there is none (the segmentation alone, without the detection).

    Raises:
        InputError: images that cannot be compared, see :func:`contingency`.

    >>> round(mean_matched_iou(np.array([[1, 1, 1, 0, 2]]), np.array([[0, 5, 5, 0, 0]])), 4)
    0.6667
    """
    statistics = panoptic_statistics(contingency(truth, predicted, ignore=ignore))
    return statistics.iou_sum / statistics.tp if statistics.tp else math.nan
