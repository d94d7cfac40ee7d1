"""Classes: which object has which, and the confusion tables from which every class score follows.

Class ids are 1..C in the order of the class names; 0 is "unclassified". A truth object without a class counts for
the binary scores and for no class score, and neither does the prediction that is paired with it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.metrics.contingency import Contingency, Ints, Objects
from histoseed.metrics.panoptic import matched_pairs

__all__ = ["class_confusion", "class_iou_sums", "classes_of", "confusion_of_pairs", "pooled_class_counts"]


def classes_of(objects: Objects, class_ids: npt.ArrayLike | None, n_classes: int, *, side: str) -> Ints:
    """Class id of each object, (K,) int64.

    Args:
        objects: One side of a contingency table.
        class_ids: Class id by label, (largest label + 1,) integers in 0..C, entry 0 for the background;
            None leaves every object unclassified.
        n_classes: C.
        side: Name for the error message.

    Raises:
        InputError: a label without an entry, or a class id outside 0..C.
    """
    if class_ids is None:
        return np.zeros(len(objects), dtype=np.int64)
    by_label = np.asarray(class_ids)
    if by_label.ndim != 1 or not np.issubdtype(by_label.dtype, np.integer):
        raise InputError("Class ids are one integer a label, in one row.", where=f"classes of the {side}")
    if len(objects) and objects.labels.max() >= len(by_label):
        label = int(objects.labels.max())
        what = f"Label {label} has no class: there are {len(by_label)} entries, counted from label 0."
        raise InputError(
            what, where=f"classes of the {side}", fix="Give one class id for every label; 0 where unknown."
        )
    found = by_label[objects.labels].astype(np.int64)
    if len(found) and not 0 <= found.min() <= found.max() <= n_classes:
        wrong = int(found.min() if found.min() < 0 else found.max())
        what = f"Class id {wrong} has no name: there are {n_classes} classes, numbered from 1 (0 is unclassified)."
        raise InputError(what, where=f"classes of the {side}", fix="Name every class.")
    return found


def confusion_of_pairs(pairs: tuple[Ints, Ints], truth_classes: Ints, predicted_classes: Ints, n_classes: int) -> Ints:
    """Confusion table (C + 2, C + 2) of one-to-one pairs: truth class in rows, predicted class in columns.

    Index 0 is "unclassified", the last one "nothing": the last column counts misses, the last row false objects.
    """
    nothing = n_classes + 1
    true_index, pred_index = pairs
    single_true = np.delete(truth_classes, true_index)
    single_pred = np.delete(predicted_classes, pred_index)
    rows = np.concatenate((truth_classes[true_index], single_true, np.full(len(single_pred), nothing)))
    columns = np.concatenate((predicted_classes[pred_index], np.full(len(single_true), nothing), single_pred))
    counts = np.bincount(rows * (nothing + 1) + columns, minlength=(nothing + 1) ** 2)
    return counts.reshape(nothing + 1, nothing + 1).astype(np.int64)


def class_confusion(table: Contingency, truth_classes: Ints, predicted_classes: Ints, n_classes: int) -> Ints:
    """Confusion table (C + 2, C + 2) of the pairs with IoU > 0.5, see :func:`confusion_of_pairs`.

    >>> from histoseed.metrics import contingency
    >>> table = contingency(np.array([[1, 1, 0, 2, 0, 3]]), np.array([[7, 7, 0, 8, 8, 0]]))
    >>> class_confusion(table, np.array([1, 2, 2]), np.array([2, 2]), n_classes=2)
    array([[0, 0, 0, 0],
           [0, 0, 1, 0],
           [0, 0, 0, 2],
           [0, 0, 1, 0]])
    """
    pairs = matched_pairs(table)
    chosen = table.pair_truth[pairs], table.pair_predicted[pairs]
    return confusion_of_pairs(chosen, truth_classes, predicted_classes, n_classes)


def class_iou_sums(
    table: Contingency, truth_classes: Ints, predicted_classes: Ints, n_classes: int
) -> npt.NDArray[np.float64]:
    """Sum of the IoU of the pairs (IoU > 0.5) that agree on a class, (C,) float64.

    A pair of one class with IoU > 0.5 is the same whether the classes are matched together or apart.
    """
    pairs = matched_pairs(table)
    truth, predicted = truth_classes[table.pair_truth[pairs]], predicted_classes[table.pair_predicted[pairs]]
    weights = table.iou[pairs] * (truth == predicted)
    return np.asarray(np.bincount(truth, weights=weights, minlength=n_classes + 1)[1:], dtype=np.float64)


def pooled_class_counts(confusion: Ints) -> tuple[Ints, Ints, Ints]:
    """True positives, predicted objects and truth objects of each class, from confusion tables (..., C + 2, C + 2).

    Predictions paired with an unclassified truth object are left out. Shapes (..., C), int64.
    """
    inner = slice(1, confusion.shape[-1] - 1)
    tp = np.diagonal(confusion, axis1=-2, axis2=-1)[..., inner]
    predicted = confusion[..., inner].sum(axis=-2) - confusion[..., 0, inner]
    truth = confusion[..., inner, :].sum(axis=-1)
    return tp, predicted, truth
