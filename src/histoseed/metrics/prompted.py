"""Promptable models: one prompt an object, so the answer belongs to its object and nothing has to be matched."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.metrics.contingency import Contingency, LabelImage, contingency

__all__ = ["PromptedOverlap", "mask_overlap", "prompted_overlap", "prompted_statistics"]


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
    return np.array([score.sum() for score in _ratios(shared, true, pred)])


def mask_overlap(truth: npt.NDArray[np.bool_], answer: npt.NDArray[np.bool_]) -> PromptedOverlap:
    """IoU, Dice, precision and recall of one answer; an empty one scores 0 in all four.

    Args:
        truth: (h, w) bool, not empty.
        answer: (h, w) bool.

    Raises:
        InputError: masks that are not boolean or differ in shape, or an empty truth.

    >>> mask_overlap(np.array([[True, True, False]]), np.array([[False, True, True]]))
    PromptedOverlap(iou=0.3333333333333333, dice=0.5, precision=0.5, recall=0.5)
    """
    if truth.dtype != bool or answer.dtype != bool or truth.shape != answer.shape:
        what = f"Truth ({truth.dtype}, {truth.shape}) and answer ({answer.dtype}, {answer.shape}) are not two masks."
        raise InputError(what, where="prompted scores", fix="Give boolean arrays of one shape.")
    true, pred = int(truth.sum()), int(answer.sum())
    if not true:
        raise InputError("An object without a pixel cannot be scored.", where="prompted scores")
    shared = int((truth & answer).sum())
    return PromptedOverlap(*_ratios(shared, true, pred)) if shared else PromptedOverlap(0.0, 0.0, 0.0, 0.0)


def _ratios(shared: Any, true: Any, pred: Any) -> tuple[Any, Any, Any, Any]:
    """IoU, Dice, precision and recall of pixel counts that are not 0."""
    return shared / (true + pred - shared), 2 * shared / (true + pred), shared / pred, shared / true


def prompted_overlap(
    truth: LabelImage, predicted: LabelImage, *, ignore: npt.NDArray[Any] | None = None
) -> PromptedOverlap:
    """IoU, Dice, precision and recall of a promptable model, averaged over the objects of one image.

    Outlines of different prompts may overlap and a label image cannot hold that: score such answers one by one
    with a :class:`~histoseed.metrics.PromptAccumulator`.

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
