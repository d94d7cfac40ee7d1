"""Detection: truth and predicted objects paired by their centroids within a radius in micrometres."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from histoseed.errors import UnknownMppError
from histoseed.geometry.regions import known_mpp
from histoseed.metrics.contingency import Contingency, Ints, LabelImage, contingency
from histoseed.metrics.matching import Matching, match_points

__all__ = [
    "DEFAULT_RADIUS_UM",
    "Centres",
    "DetectionScore",
    "DetectionStatistics",
    "detection_f1",
    "detection_pairs",
    "detection_statistics",
]

Floats = npt.NDArray[np.float64]

DEFAULT_RADIUS_UM = 3.0
"""HoVer-Net's 12 pixels at 0.25 microns per pixel."""


@dataclass(frozen=True, slots=True)
class Centres:
    """Both sides of one image as places with classes: what detection is scored by.

    Args:
        truth: x, y in pixels. (T, 2) float64.
        truth_classes: Class id 0..C of each. (T,) int64.
        predicted: x, y in pixels. (P, 2) float64.
        predicted_classes: Class id 0..C of each. (P,) int64.
    """

    truth: Floats
    truth_classes: Ints
    predicted: Floats
    predicted_classes: Ints


class DetectionScore(NamedTuple):
    """F1, precision and recall; NaN where their denominator is zero."""

    f1: float
    precision: float
    recall: float


@dataclass(frozen=True, slots=True)
class DetectionStatistics:
    """Sufficient statistics; they add over images.

    Args:
        tp: Pairs within the radius.
        fp: Predicted objects without a partner.
        fn: Truth objects without a partner.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: DetectionStatistics) -> DetectionStatistics:
        return DetectionStatistics(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    def score(self) -> DetectionScore:
        """``f1 = 2 tp / (2 tp + fp + fn)``.

        >>> DetectionStatistics(tp=3, fp=1, fn=2).score()
        DetectionScore(f1=0.6666666666666666, precision=0.75, recall=0.6)
        """
        return DetectionScore(
            *(
                part / whole if whole else math.nan
                for part, whole in (
                    (2 * self.tp, 2 * self.tp + self.fp + self.fn),
                    (self.tp, self.tp + self.fp),
                    (self.tp, self.tp + self.fn),
                )
            )
        )


def detection_pairs(
    table: Contingency, *, mpp: float | None, radius_um: float = DEFAULT_RADIUS_UM, matching: Matching = "most-pairs"
) -> tuple[Ints, Ints]:
    """Objects of a contingency table paired by centroid: indices into its truth and its predicted objects.

    Args:
        table: Both sides; centroids are taken of the pixels outside the ignore area.
        mpp: Microns per pixel of the label images.
        radius_um: Largest distance of a pair, in micrometres.
        matching: See :func:`match_points`.

    Raises:
        UnknownMppError: ``mpp`` is None, or outside 0.05 to 100.
    """
    scale = known_mpp(mpp)
    if scale is None:
        fix = "State the microns per pixel of the images; a radius in pixels means another size in every data set."
        raise UnknownMppError("Detection is scored within a radius in micrometres.", where=f"mpp {mpp}", fix=fix)
    return match_points(table.truth.centroid, table.predicted.centroid, radius_um / scale, matching=matching)


def detection_statistics(
    table: Contingency, *, mpp: float | None, radius_um: float = DEFAULT_RADIUS_UM, matching: Matching = "most-pairs"
) -> DetectionStatistics:
    """Fold a contingency table into the statistics of detection; arguments of :func:`detection_pairs`."""
    tp = len(detection_pairs(table, mpp=mpp, radius_um=radius_um, matching=matching)[0])
    return DetectionStatistics(tp=tp, fp=len(table.predicted) - tp, fn=len(table.truth) - tp)


def detection_f1(
    truth: LabelImage,
    predicted: LabelImage,
    *,
    mpp: float | None,
    radius_um: float = DEFAULT_RADIUS_UM,
    ignore: npt.NDArray[Any] | None = None,
    matching: Matching = "most-pairs",
) -> DetectionScore:
    """F1, precision and recall of detection in one image.

    Args:
        truth: Label image (H, W), integers, 0 = background.
        predicted: Label image (H, W).
        mpp: Microns per pixel of both.
        radius_um: Largest distance of two centroids of a pair, in micrometres.
        ignore: True where nothing counts, (H, W) bool.
        matching: ``most-pairs`` or ``least-distance`` (HoVer-Net), see :func:`match_points`.

    Raises:
        UnknownMppError: ``mpp`` is None, or outside 0.05 to 100.
        InputError: images that cannot be compared, see :func:`contingency`.

    >>> import numpy as np
    >>> truth = np.array([[1, 1, 0, 0, 0, 0, 2]])
    >>> predicted = np.array([[0, 5, 5, 0, 0, 0, 0]])
    >>> detection_f1(truth, predicted, mpp=1.0, radius_um=1.0)
    DetectionScore(f1=0.6666666666666666, precision=1.0, recall=0.5)
    """
    table = contingency(truth, predicted, ignore=ignore)
    return detection_statistics(table, mpp=mpp, radius_um=radius_um, matching=matching).score()
