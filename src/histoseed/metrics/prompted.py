"""Promptable models: one prompt an object, so the answer belongs to its object and nothing has to be matched."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from histoseed.metrics.contingency import Contingency, LabelImage, contingency

__all__ = ["PromptedOverlap", "prompted_overlap", "prompted_statistics"]


class PromptedOverlap(NamedTuple):
    """Means over the truth objects; NaN when there is none."""

    iou: float
    dice: float
    precision: float
    recall: float


def prompted_statistics(table: Contingency) -> npt.NDArray[np.float64]:
    """Sums of IoU, Dice, precision and recall over the truth objects, (4,) float64.

    The object with label k on the predicted side is the answer to the prompt for truth object k. An empty answer
    scores 0 in all four. Predictions whose label no truth object has are not looked at.
    """
    own = table.truth.labels[table.pair_truth] == table.predicted.labels[table.pair_predicted]
    shared = table.intersection[own].astype(np.float64)
    true = table.truth.area[table.pair_truth[own]]
    pred = table.predicted.area[table.pair_predicted[own]]
    scores = (shared / (true + pred - shared), 2 * shared / (true + pred), shared / pred, shared / true)
    return np.array([score.sum() for score in scores])


def prompted_overlap(
    truth: LabelImage, predicted: LabelImage, *, ignore: npt.NDArray[Any] | None = None
) -> PromptedOverlap:
    """IoU, Dice, precision and recall of a promptable model, averaged over the objects of one image.

    Outlines of different prompts may overlap and a label image cannot hold that: score such answers one by one.

    Args:
        truth: Label image (H, W), integers, 0 = background.
        predicted: Label image (H, W); label k is the answer to the prompt for object k.
        ignore: True where nothing counts, (H, W) bool.

    Raises:
        InputError: images that cannot be compared, see :func:`contingency`.

    >>> prompted_overlap(np.array([[1, 1, 0, 2, 2]]), np.array([[1, 1, 1, 0, 0]]))
    PromptedOverlap(iou=0.3333333333333333, dice=0.4, precision=0.3333333333333333, recall=0.5)
    """
    table = contingency(truth, predicted, ignore=ignore)
    if not len(table.truth):
        return PromptedOverlap(*(float("nan"),) * 4)
    return PromptedOverlap(*(float(total) / len(table.truth) for total in prompted_statistics(table)))
