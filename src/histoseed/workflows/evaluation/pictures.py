"""Pictures of the patches that went worst and best, drawn while they are in memory."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from histoseed.metrics import (
    DEFAULT_RADIUS_UM,
    Contingency,
    DetectionStatistics,
    Failures,
    PanopticStatistics,
    contingency,
    matched_pairs,
    panoptic_statistics,
)
from histoseed.pictures import Picture, comparison, label_colors
from histoseed.workflows.evaluation.classes import ClassMatch
from histoseed.workflows.evaluation.place_pictures import Places, places_of
from histoseed.workflows.evaluation.subjects import Answer
from histoseed.workflows.evaluation.tally import Truth

__all__ = ["Extremes", "Panel"]

WINDOW_UM = 64.0
"""Larger patches are shown by a window of this side; one nucleus is then some twenty pixels wide on the page."""
_WINDOW_PX = 256
_PANEL_PX = (400, 600)
"""Least and greatest side of a panel; between them half as large again as what it shows, for clear outlines."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A patch with truth and prediction.

    Args:
        patch_id: The patch.
        group: Its group, "" where unknown.
        score: Panoptic quality of the patch, or detection F1 where nothing is outlined.
        score_name: "PQ" or "F1".
        truth: Objects of the truth.
        predicted: Predicted objects.
        outcome: What went wrong, in words.
        window: Which part is shown, in words; "" for the whole patch.
        picture: Image, truth, prediction and differences side by side.
    """

    patch_id: str
    group: str
    score: float
    score_name: str
    truth: int
    predicted: int
    outcome: str
    window: str
    picture: Picture


class Extremes:
    """Keeps the few patches that went worst and best; a picture is drawn only of a patch that is kept for now.

    Patches are compared by panoptic quality, on a data set without outlines by detection F1.

    Args:
        match: Classes of both sides.
        radius_um: Of detection.
        colors: Class name -> "#rrggbb".
        worst: How many of the worst patches are kept.
        best: How many of the best.
    """

    def __init__(
        self,
        match: ClassMatch,
        colors: Mapping[str, str],
        *,
        radius_um: float = DEFAULT_RADIUS_UM,
        worst: int = 6,
        best: int = 2,
    ) -> None:
        self._match = match
        self._radius_um = radius_um
        self._colors = {name: colors[name] for name in match.classes if name in colors}
        self._sizes = {"worst": worst, "best": best}
        self._kept: dict[str, list[tuple[tuple[float, int, int], Panel]]] = {"worst": [], "best": []}
        self._count = 0

    def offer(self, truth: Truth, answer: Answer, found: Failures) -> None:
        """Look at a patch; one without any object is passed over."""
        if truth.unlabelled is not None and truth.unlabelled.all():
            places = places_of(truth, answer, self._radius_um)
            if places is not None:
                counts = places.statistics
                self._consider(counts.score().f1, counts, lambda: _of_places(places))
            return
        table = contingency(truth.patch.labels, answer.labels, ignore=truth.left_out)
        statistics = panoptic_statistics(table)
        pq = statistics.quality().pq
        self._consider(pq, statistics, lambda: self._panel(truth, answer, found, table, pq))

    def _consider(
        self, score: float, counts: PanopticStatistics | DetectionStatistics, draw: Callable[[], Panel]
    ) -> None:
        if np.isnan(score):
            return
        self._count += 1
        # Of patches that are equally bad the one with more errors is worse, of equally good ones that with more hits.
        keys = {"worst": (-score, counts.fp + counts.fn, -self._count), "best": (score, counts.tp, -self._count)}
        panel: Panel | None = None
        for which, key in keys.items():
            kept = self._kept[which]
            if len(kept) < self._sizes[which] or (kept and key > kept[0][0]):
                panel = panel or draw()
                heapq.heappush(kept, (key, panel))
                if len(kept) > self._sizes[which]:
                    heapq.heappop(kept)

    @property
    def worst(self) -> tuple[Panel, ...]:
        """The worst patches, worst first."""
        return self._sorted("worst")

    @property
    def best(self) -> tuple[Panel, ...]:
        """The best patches, best first; none that is among the worst."""
        shown = {panel.patch_id for panel in self.worst}
        return tuple(panel for panel in self._sorted("best") if panel.patch_id not in shown)

    def _sorted(self, which: str) -> tuple[Panel, ...]:
        return tuple(panel for _, panel in sorted(self._kept[which], key=lambda row: row[0], reverse=True))

    def _panel(self, truth: Truth, answer: Answer, found: Failures, table: Contingency, pq: float) -> Panel:
        rows, columns, words = _window(truth, table, found)
        true, predicted = (np.ascontiguousarray(image[rows, columns]) for image in table.images())
        pairs = matched_pairs(table)
        both = np.stack((table.pair_truth[pairs], table.pair_predicted[pairs]), axis=1) + 1
        seen = np.isin(both[:, 0], true) | np.isin(both[:, 1], predicted)
        classes = self._match.classes
        colors: list[Any] = [None, None]
        if classes:
            predicted_ids = self._match.translate(answer.class_ids)
            colors = [
                label_colors(_numbered(truth.patch.class_ids, table.truth.labels), classes, self._colors),
                label_colors(_numbered(predicted_ids, table.predicted.labels), classes, self._colors),
            ]
        picture = comparison(
            np.ascontiguousarray(truth.patch.image[rows, columns]),
            true,
            predicted,
            both[seen],
            truth_colors=colors[0],
            predicted_colors=colors[1],
            ignore=None if truth.left_out is None else np.ascontiguousarray(truth.left_out[rows, columns]),
            classes=self._colors if classes else None,
            side=min(max(_PANEL_PX[0], math.ceil(1.5 * max(true.shape))), _PANEL_PX[1]),
            columns=4,
        )
        return Panel(
            patch_id=truth.patch.patch_id,
            group=truth.group,
            score=pq,
            score_name="PQ",
            truth=len(table.truth),
            predicted=len(table.predicted),
            outcome=_in_words(found),
            window=words,
            picture=picture,
        )


def _of_places(places: Places) -> Panel:
    truth = places.truth
    rows, columns, words = _window_of(truth, places.wrong, places.centres)
    side = max(rows.stop - rows.start, columns.stop - columns.start)
    return Panel(
        patch_id=truth.patch.patch_id,
        group=truth.group,
        score=places.statistics.score().f1,
        score_name="F1",
        truth=len(places.centres),
        predicted=len(places.predicted),
        outcome=places.in_words(),
        window=words,
        picture=places.picture(rows, columns, min(max(_PANEL_PX[0], math.ceil(1.5 * side)), _PANEL_PX[1])),
    )


def _numbered(of_label: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """Class ids by the numbers 1..K that a contingency table gives to labels."""
    return np.asarray(of_label[np.concatenate([[0], labels])])


def _in_words(found: Failures) -> str:
    counts = found.counts()
    parts = [f"{counts['truth'][name]} {name}" for name in ("missed", "merged", "split", "inaccurate")]
    parts.append(f"{counts['predicted']['false']} false")
    kept = [part for part in parts if not part.startswith("0 ")]
    return ", ".join(kept) or "no failure"


def _window(truth: Truth, table: Contingency, found: Failures) -> tuple[slice, slice, str]:
    """Rows and columns to show, and which they are: the whole patch, or where most objects went wrong."""
    wrong = [
        objects.centroid[outcome != "matched"]
        for objects, outcome in (
            (table.truth, found.truth_outcome),
            (table.predicted, found.predicted_outcome),
        )
    ]
    return _window_of(truth, np.concatenate(wrong), table.truth.centroid)


def _window_of(
    truth: Truth, wrong: npt.NDArray[np.float64], centres: npt.NDArray[np.float64]
) -> tuple[slice, slice, str]:
    """The window with most of what went wrong, or with most objects."""
    height, width = truth.patch.labels.shape
    side = _WINDOW_PX if truth.mpp is None else max(64, round(WINDOW_UM / truth.mpp))
    if max(height, width) <= 1.25 * side:
        return slice(0, height), slice(0, width), ""
    x, y = _densest(wrong if len(wrong) else centres, width, height, side)
    size = f"{side} px" if truth.mpp is None else f"{side * truth.mpp:.0f} µm"
    why = "most failures" if len(wrong) else "most objects"
    words = f"shown is the window of {size} at x {x}, y {y} with the {why}"
    return slice(y, min(y + side, height)), slice(x, min(x + side, width)), words


def _densest(points: npt.NDArray[np.float64], width: int, height: int, side: int) -> tuple[int, int]:
    """Corner of the square that holds most points, to a quarter of its side."""
    step = max(1, side // 4)
    shape = [max(1, -(-length // step)) for length in (height, width)]
    cells = np.minimum((points[:, ::-1] // step).astype(np.int64), np.array(shape) - 1)
    counts = np.zeros(shape, dtype=np.int64)
    np.add.at(counts, (cells[:, 0], cells[:, 1]), 1)
    sums = np.pad(counts, ((1, 4), (1, 4))).cumsum(axis=0).cumsum(axis=1)
    inside = sums[4:, 4:] - sums[:-4, 4:] - sums[4:, :-4] + sums[:-4, :-4]
    row, column = np.unravel_index(int(inside.argmax()), inside.shape)
    return min(int(column) * step, max(0, width - side)), min(int(row) * step, max(0, height - side))
