"""Pictures of the patches whose areas went worst and best, drawn while they are in memory."""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histoseed.metrics import area_confusion, area_dice
from histoseed.pictures import Picture, contact_sheet, downscale, draw_areas
from histoseed.workflows.area_evaluation.truth import AreaTruth

__all__ = ["AreaExtremes", "AreaPanel"]

SIDE = 360
"""Longer side of one picture of a panel, pixels."""


@dataclass(frozen=True, slots=True)
class AreaPanel:
    """A patch with truth and prediction.

    Args:
        patch_id: The patch.
        group: Its group, "" where unknown.
        dice: Mean Dice of the classes of the patch.
        picture: Image, truth and prediction side by side; what is not judged is grey in the truth.
    """

    patch_id: str
    group: str
    dice: float
    picture: Picture


class AreaExtremes:
    """Keeps the few patches that went worst and best; a picture is drawn only of a patch that is kept for now.

    Args:
        classes: Names of the classes 1..C.
        colors: Class name -> "#rrggbb".
        worst: How many of the worst patches are kept.
        best: How many of the best.
    """

    def __init__(self, classes: Sequence[str], colors: Mapping[str, str], *, worst: int = 6, best: int = 2) -> None:
        self._colors = {name: colors[name] for name in classes}
        self._sizes = {"worst": worst, "best": best}
        self._kept: dict[str, list[tuple[tuple[float, int], AreaPanel]]] = {"worst": [], "best": []}
        self._count = 0

    def offer(self, truth: AreaTruth, predicted: npt.NDArray[np.int64]) -> None:
        """Look at a patch; one of which nothing is judged is passed over."""
        dice = area_dice(area_confusion(truth.classes, predicted, len(self._colors), ignore=truth.unknown))
        if math.isnan(dice):
            return
        self._count += 1
        panel: AreaPanel | None = None
        for which, key in {"worst": (-dice, -self._count), "best": (dice, -self._count)}.items():
            kept = self._kept[which]
            if len(kept) < self._sizes[which] or key > kept[0][0]:
                panel = panel or self._panel(truth, predicted, dice)
                heapq.heappush(kept, (key, panel))
                if len(kept) > self._sizes[which]:
                    heapq.heappop(kept)

    @property
    def worst(self) -> tuple[AreaPanel, ...]:
        """The worst patches, worst first."""
        return self._sorted("worst")

    @property
    def best(self) -> tuple[AreaPanel, ...]:
        """The best patches, best first; none that is among the worst."""
        shown = {panel.patch_id for panel in self.worst}
        return tuple(panel for panel in self._sorted("best") if panel.patch_id not in shown)

    def _sorted(self, which: str) -> tuple[AreaPanel, ...]:
        return tuple(panel for _, panel in sorted(self._kept[which], key=lambda row: row[0], reverse=True))

    def _panel(self, truth: AreaTruth, predicted: npt.NDArray[np.int64], dice: float) -> AreaPanel:
        image = downscale(truth.patch.image, 2 * SIDE)
        rows, columns = (
            np.minimum(((np.arange(count) + 0.5) * size / count).astype(int), size - 1)
            for count, size in zip(image.shape[:2], predicted.shape, strict=True)
        )
        colors = list(self._colors.values())
        at = np.ix_(rows, columns)
        pictures = [image, draw_areas(image, truth.classes[at], colors), draw_areas(image, predicted[at], colors)]
        hidden = truth.unknown[at]
        pictures[1][hidden] = (0.4 * pictures[1][hidden] + 0.6 * 128).astype(np.uint8)
        sheet = contact_sheet(pictures, ["image", "truth", "prediction"], columns=3, side=SIDE, legend=self._colors)
        return AreaPanel(truth.patch.patch_id, truth.group, dice, sheet)
