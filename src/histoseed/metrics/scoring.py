"""Statistics to numbers: what a protocol makes of the rows of a set of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.metrics.classes import pooled_class_counts
from histoseed.metrics.contingency import Ints
from histoseed.metrics.counts import r2_counts
from histoseed.metrics.panoptic import IOU_THRESHOLD
from histoseed.metrics.protocols import Protocol
from histoseed.metrics.rows import Rows
from histoseed.metrics.scores import Score, Scores

__all__ = ["check_classes", "compute_scores"]

Floats = npt.NDArray[np.float64]

_UNIT_SCORES = (
    *("pq", "dq", "sq", "pq_pooled", "aji", "aji_plus", "dice"),
    *("f1_detection", "precision_detection", "recall_detection", "mean_iou_matched", "hausdorff95_um", "r2"),
)
_CLASS_SCORES = ("mpq", "mpq_plus", "mf1", "accuracy_classes", "r2_classes")
_PER_CLASS = ("pq", "f1", "r2")
_TAKEN = (*_UNIT_SCORES, *_CLASS_SCORES, "pq_images")


def check_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """The class names, if every one can be part of a key.

    Raises:
        InputError: a name that is empty, given twice, or makes the key of another score (``detection``, ``pooled``).
    """
    names = tuple(classes)
    for number, name in enumerate(names):
        if not isinstance(name, str) or not name:
            raise InputError("A class needs a name.", where=f"class {number + 1}")
        if name in names[:number]:
            raise InputError("Two classes have the same name.", where=name)
        if name.startswith("tissue_") or any(f"{kind}_{name}" in _TAKEN for kind in _PER_CLASS):
            what = "A class of this name would take the key of another score."
            raise InputError(what, where=name, fix="Rename the class.")
    return names


def compute_scores(rows: Rows, protocol: Protocol, classes: Sequence[str], radius_um: float) -> Scores:
    """All scores of a protocol from the rows of a set of images.

    Args:
        rows: One row an image, with ``len(classes)`` classes.
        protocol: What is averaged over what.
        classes: Names of the classes 1..C.
        radius_um: The radius that the rows were made with, micrometres.

    Returns:
        Scores by name; None where a score is undefined. See ``docs/metrics.md`` for every key.
    """
    # Objects without an outline are counted where they are found, the others by their overlap.
    counted = np.where(rows.unlabelled[:, None, None], rows.detected, rows.matched)
    n_true, n_pred = counted[:, :-1].sum((1, 2)), counted[:, :, :-1].sum((1, 2))
    scores: dict[str, Score] = {
        "protocol": protocol.name,
        "averaging": protocol.averaging,
        "iou_threshold": IOU_THRESHOLD,
        "radius_um": float(radius_um),
        "n_patches": len(rows),
        "n_empty": int(((n_true == 0) & (n_pred == 0)).sum()),
        "n_without_mpp": int((~rows.measured).sum()),
        "n_instances": int(n_true.sum()),
        "n_without_outline": int((n_true - rows.matched[:, :-1].sum((1, 2))).sum()),
        "n_predicted": int(n_pred.sum()),
    }
    scores.update(dict.fromkeys((*_UNIT_SCORES, *_CLASS_SCORES)))
    scores.update({f"{kind}_{name}": None for kind in _PER_CLASS for name in classes})
    if protocol.prompted:
        sums = rows.prompted.sum(axis=0)
        scores.update(zip(("iou", "dice", "precision", "recall"), _ratio(sums, n_true.sum()).tolist(), strict=True))
        return Scores(scores)
    outlined = rows[np.flatnonzero(~rows.unlabelled | (rows.matched[:, :-1].sum((1, 2)) > 0))]
    if len(outlined) or not len(rows):
        scores.update(_panoptic(outlined, protocol))
        scores.update(_overlap(outlined))
        if classes:
            scores.update(_class_panoptic(outlined, protocol, classes))
    scores.update(_detection(rows))
    if classes:
        scores.update(_class_detection(rows, protocol, classes))
    scores.update(_counts(counted, protocol, classes, n_true, n_pred))
    return Scores(scores)


def _ratio(part: Any, whole: Any) -> Floats:
    """``part / whole``, NaN where the whole is zero."""
    part, whole = np.broadcast_arrays(np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64))
    ratio: Floats = np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)
    return ratio


def _mean(values: Floats, axis: int | None = None) -> Floats:
    """Mean of what is not NaN; NaN where nothing is left."""
    valid = ~np.isnan(values)
    return _ratio(np.where(valid, values, 0.0).sum(axis=axis), valid.sum(axis=axis))


def _mean_of_tissues(values: Floats, organ: npt.NDArray[np.object_]) -> tuple[float, dict[str, float]]:
    """Mean over tissues of the means over their images, and those means; images without an organ are one tissue."""
    names, code = np.unique(organ.astype(str), return_inverse=True)
    valid = ~np.isnan(values)
    sums = np.bincount(code[valid], weights=values[valid], minlength=len(names))
    means = _ratio(sums, np.bincount(code[valid], minlength=len(names)))
    return float(_mean(means)), dict(zip(names.tolist(), means.tolist(), strict=True))


def _panoptic(rows: Rows, protocol: Protocol) -> dict[str, Score]:
    n_true, n_pred = rows.matched[:, :-1].sum((1, 2)), rows.matched[:, :, :-1].sum((1, 2))
    tp = rows.matched[:, :-1, :-1].sum((1, 2))
    weight = (n_true + n_pred) / 2
    image = {
        "pq": _ratio(rows.iou_sum, weight),
        "dq": _ratio(tp, weight),
        "sq": np.where(weight > 0, np.where(tp > 0, _ratio(rows.iou_sum, tp), 0.0), np.nan),
    }
    scores: dict[str, Score] = {}
    for key, values in image.items():
        if protocol.empty == "truth-empty-left-out":
            values = np.where(n_true > 0, values, np.nan)  # noqa: PLW2901
        elif protocol.empty == "zero":
            values = np.nan_to_num(values, nan=0.0)  # noqa: PLW2901
        if protocol.average == "tissues":
            scores[key], tissues = _mean_of_tissues(values, rows.organ)
            scores[f"{key}_images"] = float(_mean(values))
            if key == "pq":
                scores.update({f"pq_tissue_{name}": value for name, value in tissues.items() if name})
        else:
            scores[key] = float(_mean(values))
    scores["pq_pooled"] = float(_ratio(rows.iou_sum.sum(), weight.sum()))
    scores["mean_iou_matched"] = float(_ratio(rows.iou_sum.sum(), tp.sum()))
    known = ~np.isnan(rows.hausdorff_um)
    scores["hausdorff95_um"] = float(_ratio(rows.hausdorff_um[known].sum(), tp[known].sum()))
    return scores


def _overlap(rows: Rows) -> dict[str, Score]:
    columns = {"dice": rows.dice, "aji": rows.aji, "aji_plus": rows.aji_plus}
    return {key: float(_mean(_ratio(column[:, 0], column[:, 1]))) for key, column in columns.items()}


def _detection(rows: Rows) -> dict[str, Score]:
    table = rows.detected.sum(axis=0)
    tp, fn, fp = table[:-1, :-1].sum(), table[:-1, -1].sum(), table[-1, :-1].sum()
    return {
        "f1_detection": float(_ratio(2 * tp, 2 * tp + fp + fn)),
        "precision_detection": float(_ratio(tp, tp + fp)),
        "recall_detection": float(_ratio(tp, tp + fn)),
    }


def _class_panoptic(rows: Rows, protocol: Protocol, classes: Sequence[str]) -> dict[str, Score]:
    _, predicted, truth = pooled_class_counts(rows.matched)
    image = _ratio(rows.class_iou_sum, (truth + predicted) / 2)
    if protocol.empty == "truth-empty-left-out":
        image = np.where(truth > 0, image, np.nan)
    pooled = _ratio(rows.class_iou_sum.sum(axis=0), (truth.sum(axis=0) + predicted.sum(axis=0)) / 2)
    if protocol.absent_class == "zero":
        pooled = np.nan_to_num(pooled, nan=0.0)
    by_class = pooled if protocol.class_pq == "pooled" else _mean(image, axis=0)
    scores: dict[str, Score] = {f"pq_{name}": float(value) for name, value in zip(classes, by_class, strict=True)}
    scores["mpq_plus"] = float(_mean(pooled))
    of_images = _mean(image, axis=1)
    scores["mpq"] = float(_mean(of_images))
    if protocol.average == "tissues":
        scores["mpq_images"] = scores["mpq"]
        scores["mpq"], tissues = _mean_of_tissues(of_images, rows.organ)
        scores.update({f"mpq_tissue_{name}": value for name, value in tissues.items() if name})
    return scores


def _class_detection(rows: Rows, protocol: Protocol, classes: Sequence[str]) -> dict[str, Score]:
    table = rows.detected.sum(axis=0)
    inner = slice(1, len(classes) + 1)
    tp = np.diagonal(table)[inner]
    wrong = table[:-1, :-1] * ~np.eye(len(classes) + 1, dtype=bool)
    confused = wrong[1:, inner].sum(axis=0) + wrong[inner, :].sum(axis=1)
    single = table[-1, inner] + table[inner, -1]
    f1 = _ratio(2 * tp, 2 * tp + protocol.confusion_weight * confused + single)
    scores: dict[str, Score] = {f"f1_{name}": float(value) for name, value in zip(classes, f1, strict=True)}
    scores["mf1"] = float(_mean(f1))
    scores["accuracy_classes"] = float(_ratio(tp.sum(), table[inner, :-1].sum()))
    return scores


def _counts(
    table: Ints, protocol: Protocol, classes: Sequence[str], n_true: npt.NDArray[Any], n_pred: npt.NDArray[Any]
) -> dict[str, Score]:
    constant = protocol.constant_counts
    inner = slice(1, len(classes) + 1)
    truth, predicted = table[:, inner, :].sum(axis=2), table[:, :, inner].sum(axis=1)
    by_class = [r2_counts(truth[:, c], predicted[:, c], constant=constant) for c in range(len(classes))]
    scores: dict[str, Score] = {f"r2_{name}": value for name, value in zip(classes, by_class, strict=True)}
    mean = float(_mean(np.array(by_class, dtype=np.float64)))
    scores["r2_classes"] = mean
    scores["r2"] = mean if protocol.r2 == "classes" and classes else r2_counts(n_true, n_pred, constant=constant)
    return scores
