"""Pictures of a patch whose objects are known by their places: points, boxes and predicted outlines, by outcome."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from histoseed.annotations import Instances
from histoseed.datasets.marks import marks_as_instances
from histoseed.datasets.objects import measure_labels
from histoseed.metrics import DetectionStatistics, match_points
from histoseed.pictures import OUTCOMES, Picture, contact_sheet, draw_instances, draw_outlines
from histoseed.workflows.evaluation.subjects import Answer
from histoseed.workflows.evaluation.tally import Truth

__all__ = ["Places", "places_of"]

_OUTCOMES = {"matched": OUTCOMES["matched"], "missed": OUTCOMES["missed"], "false": OUTCOMES["false"]}
_ZOOM = 2


@dataclass(frozen=True, slots=True)
class Places:
    """One patch, paired by places.

    Args:
        truth: The patch as it is scored.
        answer: What was predicted.
        centres: x, y of the annotated objects. (T, 2) float64.
        found: Which of them were found. (T,) bool.
        labels: Label of each predicted object. (P,) int64.
        predicted: x, y of the predicted objects. (P, 2) float64.
        paired: Which of them belong to an annotated one. (P,) bool.
    """

    truth: Truth
    answer: Answer
    centres: npt.NDArray[np.float64]
    found: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.float64]
    paired: npt.NDArray[np.bool_]

    @property
    def statistics(self) -> DetectionStatistics:
        """Hits, false objects, misses."""
        hits = int(self.found.sum())
        return DetectionStatistics(tp=hits, fp=len(self.paired) - hits, fn=len(self.found) - hits)

    @property
    def wrong(self) -> npt.NDArray[np.float64]:
        """x, y of everything missed or false. (K, 2) float64."""
        return np.concatenate([self.centres[~self.found], self.predicted[~self.paired]])

    def in_words(self) -> str:
        """What went wrong."""
        return f"{(~self.found).sum():,} missed, {(~self.paired).sum():,} false"

    def picture(self, rows: slice, columns: slice, side: int) -> Picture:
        """The window alone, with its annotated, and with its predicted objects."""
        image = np.ascontiguousarray(self.truth.patch.image[rows, columns])
        offset = (float(columns.start), float(rows.start))
        height, width = self.truth.patch.labels.shape
        marks = self.truth.patch.marks.inside(width, height).outside(self.truth.ignore)
        names = np.where(self.found, "matched", "missed").tolist()
        objects: Instances = replace(
            marks_as_instances(marks, [None, *[""] * len(self.truth.patch.classes)], self.truth.patch.patch_id),
            class_name=np.array(names, dtype=object),
        )
        drawn = draw_instances(image, objects, offset=offset, zoom=_ZOOM, colors=_OUTCOMES, casing=True)
        outcome = np.where(self.paired, "matched", "false").tolist()
        colors = {int(label): _OUTCOMES[name] for label, name in zip(self.labels, outcome, strict=True)}
        shown = np.ascontiguousarray(self.answer.labels[rows, columns])
        outlines = draw_outlines(image, shown, colors, zoom=_ZOOM, casing=True)
        return contact_sheet(
            [image, drawn, outlines],
            ["picture", "annotated", "predicted"],
            columns=3,
            side=side,
            legend=_OUTCOMES,
        )


def places_of(truth: Truth, answer: Answer, radius_um: float) -> Places | None:
    """Pair the annotated and the predicted objects of a patch by their places; None where its resolution is unknown."""
    if truth.mpp is None:
        return None
    height, width = truth.patch.labels.shape
    centres = truth.patch.marks.inside(width, height).outside(truth.ignore).centres
    measured = measure_labels(answer.labels)
    predicted = np.stack([measured["centroid_x"], measured["centroid_y"]], 1)
    counted = np.ones(len(predicted), bool)
    if truth.ignore is not None:
        place = np.clip(predicted.astype(int), 0, (width - 1, height - 1))
        counted = ~truth.ignore[place[:, 1], place[:, 0]]
    labels, predicted = measured["label"][counted], predicted[counted]
    hit, partner = match_points(centres, predicted, radius_um / truth.mpp)
    found, paired = np.zeros(len(centres), bool), np.zeros(len(predicted), bool)
    found[hit], paired[partner] = True, True
    return Places(truth, answer, centres, found, labels, predicted, paired)
