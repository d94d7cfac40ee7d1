"""Patch after patch, how far the areas of a subject and those of the truth agree."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from histoseed.datasets import Dataset
from histoseed.errors import InputError
from histoseed.metrics import AreaAccumulator
from histoseed.workflows.area_evaluation.answers import area_classes
from histoseed.workflows.area_evaluation.truth import Areas, AreaTruth
from histoseed.workflows.evaluation.classes import ClassMatch, match_classes
from histoseed.workflows.evaluation.subjects import Subject
from histoseed.workflows.known_regions import NUCLEI

__all__ = ["AreaTally"]


class AreaTally:
    """Scores of one subject.

    Classes are matched by name. Of nuclei whose classes do not match, all are taken together.

    Args:
        dataset: The truth.
        subject: Who is judged.
        areas: What is judged.
        classes: Tell the classes of nuclei apart.

    Raises:
        InputError: region classes that do not match.
    """

    def __init__(self, dataset: Dataset, subject: Subject, areas: Areas, *, classes: bool) -> None:
        regions = areas.of == "regions"
        if regions and not classes:
            what = "Regions without their classes are nothing."
            raise InputError(what, where="--no-classes", fix="Leave it out.")
        truth = [c.name for c in (dataset.info.region_classes if regions else dataset.classes)]
        predicted = area_classes(subject)
        match = match_classes(truth, predicted, name=repr(subject.name), ignore=not classes)
        if regions and not match.classes:
            raise InputError(match.note or "There are no region classes.", where="classes")
        self.by_class = bool(match.classes)
        self.match = match if self.by_class else _taken_together(match, len(predicted))
        self.scores = AreaAccumulator(self.match.classes)

    def add(self, truth: AreaTruth, answer: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Score one patch, and return its answer in the classes of the truth. (H, W)."""
        predicted = self.match.lookup[answer]
        self.scores.update(
            truth.classes, predicted, ignore=truth.unknown, group=truth.group, patch_id=truth.patch.patch_id
        )
        return predicted


def _taken_together(match: ClassMatch, classes: int) -> ClassMatch:
    lookup = np.ones(classes + 1, np.int64)
    lookup[0] = 0
    return ClassMatch((NUCLEI,), lookup, match.note)
