"""Panoptic quality: detection quality times segmentation quality (Kirillov et al., CVPR 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from histoseed.metrics.contingency import Contingency, Ints, LabelImage, contingency

__all__ = ["PanopticQuality", "PanopticStatistics", "matched_pairs", "panoptic_quality", "panoptic_statistics"]

IOU_THRESHOLD = 0.5
"""Strictly above it a pair is unique, so no assignment problem has to be solved."""


class PanopticQuality(NamedTuple):
    """The three numbers; each is NaN when there is no object on either side."""

    pq: float
    dq: float
    sq: float


@dataclass(frozen=True, slots=True)
class PanopticStatistics:
    """Sufficient statistics; sums of them over images give the pooled quality.

    Args:
        tp: Pairs with IoU > 0.5.
        fp: Predicted objects without a partner.
        fn: Truth objects without a partner.
        iou_sum: Sum of the IoU of the pairs.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    iou_sum: float = 0.0

    def __add__(self, other: PanopticStatistics) -> PanopticStatistics:
        return PanopticStatistics(
            self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.iou_sum + other.iou_sum
        )

    def quality(self) -> PanopticQuality:
        """``dq = tp / (tp + fp/2 + fn/2)``, ``sq = iou_sum / tp`` (0 without a pair), ``pq = dq * sq``.

        >>> PanopticStatistics(tp=1, fp=1, fn=1, iou_sum=0.8).quality()
        PanopticQuality(pq=0.4, dq=0.5, sq=0.8)
        >>> PanopticStatistics().quality()
        PanopticQuality(pq=nan, dq=nan, sq=nan)
        """
        weight = self.tp + (self.fp + self.fn) / 2
        if weight == 0:
            return PanopticQuality(math.nan, math.nan, math.nan)
        return PanopticQuality(self.iou_sum / weight, self.tp / weight, self.iou_sum / self.tp if self.tp else 0.0)


def matched_pairs(table: Contingency) -> Ints:
    """Indices of the table's pairs with IoU strictly above 0.5; no object is in two of them. Ascending, int64.

    Compared in whole pixels, so that exactly one half is never rounded upwards.
    """
    return np.flatnonzero(2 * table.intersection > table.union)


def panoptic_statistics(table: Contingency) -> PanopticStatistics:
    """Fold a contingency table into the statistics of the panoptic quality."""
    pairs = matched_pairs(table)
    tp = len(pairs)
    return PanopticStatistics(
        tp=tp, fp=len(table.predicted) - tp, fn=len(table.truth) - tp, iou_sum=float(table.iou[pairs].sum())
    )


def panoptic_quality(
    truth: LabelImage, predicted: LabelImage, *, ignore: npt.NDArray[Any] | None = None
) -> PanopticQuality:
    """Panoptic quality of one image, whatever the classes.

    Args:
        truth: Label image (H, W), integers, 0 = background.
        predicted: Label image (H, W).
        ignore: True where nothing counts, (H, W) bool.

    Raises:
        InputError: images that cannot be compared, see :func:`contingency`.

    >>> truth = np.array([[1, 1, 1, 0, 2]])
    >>> predicted = np.array([[0, 5, 5, 0, 0]])
    >>> [round(value, 4) for value in panoptic_quality(truth, predicted)]
    [0.4444, 0.6667, 0.6667]
    """
    return panoptic_statistics(contingency(truth, predicted, ignore=ignore)).quality()
