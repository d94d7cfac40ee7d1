"""Classes of two sides, matched by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError

__all__ = ["ClassMatch", "match_classes"]


@dataclass(frozen=True, slots=True)
class ClassMatch:
    """How the class indices of a prediction become those of the truth.

    Args:
        classes: Names that are scored, in the order of the truth; empty for scores without classes.
        lookup: (P + 1,) int64: index in ``classes`` of each predicted class index, 0 for unclassified.
        note: What the reader of the scores should know, or None.
    """

    classes: tuple[str, ...]
    lookup: npt.NDArray[np.int64]
    note: str | None = None

    def translate(self, class_ids: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Class ids by label of the prediction, in the numbering of the truth."""
        return self.lookup[class_ids]


def match_classes(truth: Sequence[str], predicted: Sequence[str], *, name: str, ignore: bool = False) -> ClassMatch:
    """Match the classes of a prediction with those of the truth, by name.

    Classes are left out of the scores where a side has none, and where a side has a single one of another name: such
    a class only says "object". The truth may have classes that are never predicted.

    Args:
        truth: Class names of the data set.
        predicted: Class names of the model or of the predictions.
        name: What the predictions are called in messages.
        ignore: Leave classes out in any case.

    Raises:
        InputError: the prediction has classes that the truth does not have.

    >>> match_classes(["tumour", "stroma"], ["stroma", "tumour"], name="it").translate(np.array([0, 1, 2]))
    array([0, 2, 1])
    """
    none = np.zeros(len(predicted) + 1, dtype=np.int64)
    if ignore:
        return ClassMatch((), none, "Classes were left out, as asked.")
    if not truth or not predicted:
        both = not truth and not predicted
        who = "the data set" if not truth else name
        return ClassMatch((), none, None if both else f"No scores of classes: {who} has no classes.")
    known = list(truth)
    unknown = [label for label in predicted if label not in known]
    if unknown and 1 in (len(truth), len(predicted)):
        reason = f"No scores of classes: the data set has {_listed(truth)}, {name} has {_listed(predicted)}."
        return ClassMatch((), none, reason)
    if unknown:
        what = f"The classes differ: the data set has {_listed(truth)}, {name} has {_listed(predicted)}."
        fix = "Give the classes equal names on both sides, or score without classes (--no-classes)."
        raise InputError(what, where="classes", fix=fix)
    lookup = np.array([0, *(known.index(label) + 1 for label in predicted)], dtype=np.int64)
    absent = [label for label in truth if label not in predicted]
    note = f"{name} never predicts {_listed(absent)}; such objects count as misses of their class." if absent else None
    return ClassMatch(tuple(truth), lookup, note)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
