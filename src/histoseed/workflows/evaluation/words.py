"""The words of an evaluation report: what each score and each outcome means."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["LOWER_IS_BETTER", "PREDICTED_WORDS", "SCORE_WORDS", "TRUTH_WORDS", "class_score_name"]

SCORE_WORDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "pq": ("PQ", "panoptic quality: detection times outline"),
        "dq": ("DQ", "detection quality: F1 of the pairs with IoU above 0.5"),
        "sq": ("SQ", "segmentation quality: mean IoU of those pairs"),
        "pq_pooled": ("PQ, pooled", "the same formula on the sums over all patches"),
        "aji": ("AJI", "aggregated Jaccard index"),
        "aji_plus": ("AJI+", "the same with one-to-one pairs"),
        "dice": ("Dice", "overlap of the foregrounds"),
        "mean_iou_matched": ("IoU of matches", "mean IoU of all pairs with IoU above 0.5"),
        "hausdorff95_um": ("Hausdorff 95 %, µm", "distance of the outlines of matched pairs; lower is better"),
        "f1_detection": ("F1, detection", "centroids within the radius"),
        "precision_detection": ("Precision, detection", "share of predicted objects that are true"),
        "recall_detection": ("Recall, detection", "share of true objects that are found"),
        "r2": ("R² of counts", "agreement of the number of objects in each patch"),
        "mpq": ("mPQ", "PQ of each class, averaged within a patch first"),
        "mpq_plus": ("mPQ+", "PQ of each class from sums over all patches, averaged"),
        "mf1": ("mF1", "detection F1 of each class, averaged"),
        "accuracy_classes": ("Class accuracy", "share of found objects with the right class"),
        "r2_classes": ("R² of class counts", "mean over the classes"),
        "iou": ("IoU", "of the answer to each prompt"),
        "precision": ("Precision", "of the pixels of each answer"),
        "recall": ("Recall", "of the pixels of each object"),
    }
)
"""Key -> name and meaning, in the order in which they are shown."""

LOWER_IS_BETTER = frozenset({"hausdorff95_um"})

TRUTH_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "matched": "a prediction overlaps it with IoU above 0.5",
        "inaccurate": "found, but badly outlined",
        "merged": "one prediction swallowed it together with others",
        "split": "several predictions lie in it",
        "missed": "no prediction is there",
    }
)
"""Outcome of an annotated object -> what it means, best first."""

PREDICTED_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "matched": "an annotated object overlaps it with IoU above 0.5",
        "inaccurate": "on an object, but badly outlined",
        "merge": "it covers several annotated objects",
        "fragment": "a piece of a split object",
        "false": "no annotated object is there",
    }
)
"""Outcome of a predicted object -> what it means, best first."""


def class_score_name(key: str) -> str:
    """The name of a score of one class.

    >>> class_score_name("pq_tumour cell")
    'PQ, tumour cell'
    """
    kind, _, name = key.partition("_")
    return f"{kind.upper()}, {name}"
