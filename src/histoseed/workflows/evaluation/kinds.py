"""What is scored of each kind of annotation, and which scores are not defined for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from histoseed.datasets import OBJECT_KINDS, Dataset
from histoseed.wording import counted

__all__ = ["OF_OUTLINES", "ScoredKinds", "scored_kinds"]

OF_OUTLINES = (
    *("pq", "dq", "sq", "pq_pooled", "aji", "aji_plus", "dice", "mean_iou_matched", "hausdorff95_um"),
    *("mpq", "mpq_plus"),
)
"""Scores that compare pixels."""


@dataclass(frozen=True, slots=True)
class ScoredKinds:
    """The kinds of annotation of a data set.

    Args:
        counts: Annotated nuclei by kind, in the order of :data:`histoseed.datasets.OBJECT_KINDS`.
    """

    counts: dict[str, int]

    @property
    def outlines(self) -> int:
        """Objects with an outline."""
        return self.counts["mask"] + self.counts["polygon"]

    @property
    def marks(self) -> int:
        """Objects without one."""
        return self.counts["box"] + self.counts["point"]

    @property
    def outlined(self) -> bool:
        """Whether scores of pixels are defined: something is outlined, or nothing is annotated at all."""
        return self.outlines > 0 or self.marks == 0

    @property
    def undefined(self) -> list[str]:
        """Keys of the scores that this data set cannot give."""
        return [] if self.outlined else list(OF_OUTLINES)

    def scored(self, radius_um: float) -> str:
        """What is scored, in a sentence or two."""
        told = []
        if self.outlines or not self.marks:
            told.append(f"{counted(self.outlines, 'outline')}: by overlap, and as detections by their centroids")
        if self.counts["box"]:
            told.append(f"{counted(self.counts['box'], 'box')}: as detections by their middles")
        if self.counts["point"]:
            told.append(f"{counted(self.counts['point'], 'point')}: as detections")
        radius = f"Detections are paired within {radius_um:g} um; classes are scored on detections."
        return f"{'; '.join(told)}. {radius}"

    def notes(self, radius_um: float) -> Iterator[str]:
        """What a reader of the scores must know; nothing where everything is outlined."""
        if not self.marks:
            return
        yield f"Scored: {self.scored(radius_um)}"
        if self.outlined:
            yield "Scores of pixels (PQ, AJI, Dice and the like) leave out where objects without an outline may lie."
        else:
            yield (
                "Nothing is outlined: PQ, SQ, AJI, Dice, IoU and distances of outlines are not defined here. "
                "Detection F1, class F1 and counts are."
            )


def scored_kinds(dataset: Dataset) -> ScoredKinds:
    """The kinds of the annotated nuclei of a data set, or of a selection of it."""
    nuclei = dataset.instances.filter(pl.col("layer") == "nucleus")
    shown = nuclei.filter(pl.col("label").is_not_null() | pl.col("kind").is_in(["box", "point"]))
    found = dict(shown["kind"].value_counts().iter_rows())
    return ScoredKinds({kind: int(found.get(kind, 0)) for kind in OBJECT_KINDS})
