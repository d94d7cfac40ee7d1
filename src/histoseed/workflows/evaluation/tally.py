"""Patch after patch, what a subject got right and wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histoseed.datasets import Patch
from histoseed.geometry import known_mpp
from histoseed.metrics import Accumulator, Failures, failures, paired_intervals
from histoseed.metrics.bootstrap import Interval
from histoseed.workflows.evaluation.classes import ClassMatch
from histoseed.workflows.evaluation.subjects import Answer
from histoseed.workflows.known_area import known_area
from histoseed.workflows.patches import needed_mpp

__all__ = ["Tally", "Truth", "interval_keys", "truth_of"]

_KEYS = (
    *("pq", "dq", "sq", "pq_pooled", "aji", "aji_plus", "dice", "mean_iou_matched", "hausdorff95_um"),
    *("f1_detection", "precision_detection", "recall_detection", "r2"),
    *("mpq", "mpq_plus", "mf1", "accuracy_classes", "r2_classes"),
    *("iou", "precision", "recall"),
)
"""Scores that get an interval, where the protocol has them; with those of the classes."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The truth of one patch as it is scored.

    Args:
        patch: The annotated patch.
        ignore: (H, W) bool, where nothing counts; None where everything does.
        unlabelled: (H, W) bool, ``ignore`` and where objects without an outline may lie: only detection counts there.
            None where no object of the data set is without an outline.
        mpp: Microns per pixel, None where neither stated nor assumed.
        group: What is resampled as a whole; "" makes the patch its own group.
    """

    patch: Patch
    ignore: npt.NDArray[np.bool_] | None
    unlabelled: npt.NDArray[np.bool_] | None
    mpp: float | None
    group: str

    @property
    def left_out(self) -> npt.NDArray[np.bool_] | None:
        """(H, W) bool, where no pixel is scored; None where all are."""
        return self.ignore if self.unlabelled is None else self.unlabelled


def truth_of(patch: Patch, mpp: float | None, *, outlined: bool = True) -> Truth:
    """The truth of a patch.

    A patch that is not annotated exhaustively is scored near its annotated objects only, and points and boxes by their
    places only, by the rules by which they train (:mod:`histoseed.workflows.known_area`).

    Args:
        patch: The annotated patch.
        mpp: Assumed where the patch states none.
        outlined: Whether anything of the data set is outlined. Without, no pixel of any patch is scored.

    Raises:
        UnknownMppError: a patch without a resolution that is not annotated exhaustively, or has points or boxes.
    """
    scale = known_mpp(patch.mpp) or known_mpp(mpp)
    ignore, unlabelled = patch.ignore, None
    if not patch.exhaustive or len(patch.marks):
        known = known_area(patch, needed_mpp(patch.mpp, mpp, patch.patch_id), partly=not patch.exhaustive)
        ignore = known.ignore
        unlabelled = known.unlabelled if len(patch.marks) else None
    if not outlined:
        unlabelled = np.ones(patch.labels.shape, bool)
    return Truth(patch, ignore, unlabelled, scale, patch.group or patch.patient or patch.slide or "")


class Tally:
    """Scores and failures of one subject, patch by patch.

    Args:
        match: Its classes and those of the truth.
        protocol: Name of the protocol.
        radius_um: Radius of the detection scores.
        sizes_um: Sizes of objects in micrometres; false where a patch has no known resolution.
        plain: Keep scores without classes besides, to be compared with a subject that has none.
    """

    def __init__(
        self, match: ClassMatch, protocol: str, radius_um: float, *, sizes_um: bool, plain: bool = False
    ) -> None:
        self.match = match
        self.scores = Accumulator(protocol, classes=match.classes, radius_um=radius_um)
        self.plain = Accumulator(protocol, radius_um=radius_um) if plain and match.classes else self.scores
        self._sizes_um = sizes_um
        self._objects = self._found = 0
        self._failures: list[Failures] = []

    def add(self, truth: Truth, answer: Answer) -> Failures:
        """Score one patch and name what happened to its objects."""
        patch = truth.patch
        height, width = patch.labels.shape
        marks = patch.marks.inside(width, height).outside(truth.ignore)
        for accumulator in [self.scores] if self.plain is self.scores else [self.scores, self.plain]:
            classes = bool(accumulator.classes)
            accumulator.update(
                patch.labels,
                answer.labels,
                truth_classes=patch.class_ids if classes else None,
                predicted_classes=self.match.translate(answer.class_ids) if classes else None,
                ignore=truth.ignore,
                points=marks.centres,
                point_classes=marks.class_ids if classes else None,
                unlabelled=truth.unlabelled,
                mpp=truth.mpp,
                group=truth.group,
                organ=patch.organ or "",
                patch_id=patch.patch_id,
            )
        found = failures(
            patch.labels,
            answer.labels,
            mpp=truth.mpp if self._sizes_um else None,
            ignore=truth.left_out,
        )
        self._failures.append(found)
        row = self.scores.last
        table = (row.matched if truth.unlabelled is None else row.detected).sum(0)
        self._objects += int(table[:-1].sum())
        self._found += int(table[:-1, :-1].sum())
        return found

    def progress(self) -> dict[str, float]:
        """Objects so far, and the share of them that was found: by overlap, or by place where not all are outlined."""
        return {"objects": self._objects, "found": self._found / self._objects if self._objects else 0.0}

    @property
    def failures(self) -> Failures:
        """What happened to every object."""
        return Failures.concatenate(self._failures)

    def intervals(self, *, n: int, seed: int) -> dict[str, Interval]:
        """Bootstrap intervals of all scores that have one."""
        return self.scores.intervals(interval_keys(self.scores), n=n, seed=seed)

    def differences(self, against: Tally, *, n: int, seed: int) -> dict[str, Interval]:
        """Paired differences, this one minus the other, of the scores that both have."""
        ours, theirs = (self.scores, against.scores)
        if ours.classes != theirs.classes:
            ours, theirs = self.plain, against.plain
        keys = [key for key in interval_keys(ours) if key in interval_keys(theirs)]
        return paired_intervals(ours, theirs, keys, n=n, seed=seed)


def interval_keys(accumulator: Accumulator) -> list[str]:
    """The scores that are defined and get an interval, those of the classes last."""
    keys = [*_KEYS, *(f"{kind}_{name}" for kind in ("pq", "f1") for name in accumulator.classes)]
    scores = accumulator.compute()
    return [key for key in keys if scores.get(key) is not None]
