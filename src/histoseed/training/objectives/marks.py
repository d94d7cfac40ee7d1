"""The points and boxes of a batch, and everything they teach, for every kind of segmenter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
import torch

from histoseed.segmenters import InstanceRepresentation, Segmenter
from histoseed.training.crops import Crop
from histoseed.training.objectives.boxes import box_class_loss, box_loss
from histoseed.training.objectives.cell_tokens import boxed_class_loss
from histoseed.training.objectives.points import CORE_UM, background_loss, point_class_loss, point_loss
from histoseed.training.objectives.remember import REACH_UM, free_area, remember_loss
from histoseed.training.objectives.sampled import sampled

__all__ = ["MarkBatch", "mark_batch", "mark_losses"]


@dataclass(frozen=True, slots=True)
class MarkBatch:
    """Marks of N crops, padded to the longest list. All on one device.

    Args:
        points: (N, P, 2) float32, x and y in pixels of the crop.
        point_classes: (N, P) int64, 0 = unclassified.
        point_seen: (N, P) float32, 1 for a point and 0 for padding.
        boxes: (N, B, 3, 2) float32: a corner and the two sides that start there.
        box_classes: (N, B) int64, 0 = unclassified.
        box_seen: (N, B) float32.
        background: (N, S, S) bool, known to show no nucleus although nothing is outlined.
        unknown: (N, S, S) bool, of which no annotation speaks.
        sided: (N,) float32, 1 where a crop shows known background of any sort. Elsewhere marks teach classes only:
            without a counterweight everything would become nucleus.
    """

    points: torch.Tensor
    point_classes: torch.Tensor
    point_seen: torch.Tensor
    boxes: torch.Tensor
    box_classes: torch.Tensor
    box_seen: torch.Tensor
    background: torch.Tensor
    unknown: torch.Tensor
    sided: torch.Tensor

    @property
    def centres(self) -> torch.Tensor:
        """Points, then the middles of boxes; x and y. (N, P + B, 2)."""
        return torch.cat([self.points, self.boxes[:, :, 0] + self.boxes[:, :, 1:].sum(2) / 2], 1)

    @property
    def seen(self) -> torch.Tensor:
        """1 for each of :attr:`centres` that is real, 0 for padding. (N, P + B) float32."""
        return torch.cat([self.point_seen, self.box_seen], 1)


def mark_batch(crops: Sequence[Crop], device: torch.device) -> MarkBatch:
    """The marks of some crops as tensors."""
    points, point_seen = _padded([crop.points for crop in crops])
    point_classes, _ = _padded([crop.point_classes for crop in crops])
    boxes, box_seen = _padded([crop.boxes for crop in crops])
    box_classes, _ = _padded([crop.box_classes for crop in crops])
    sided = [bool(crop.background.any() or (~crop.ignore & (crop.labels == 0)).any()) for crop in crops]
    tensors = (points.float(), point_classes, point_seen, boxes.float(), box_classes, box_seen)
    areas = (
        torch.from_numpy(np.stack([crop.background for crop in crops])),
        torch.from_numpy(np.stack([crop.unknown for crop in crops])),
    )
    return MarkBatch(*(t.to(device) for t in (*tensors, *areas, torch.tensor(sided, dtype=torch.float32))))


def _padded(rows: Sequence[npt.NDArray[np.generic]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Lists of different length as one array, filled up with 0; and (N, longest) float32, 1 where a row is real."""
    longest = max(1, *(len(row) for row in rows))
    out = np.zeros((len(rows), longest, *rows[0].shape[1:]), rows[0].dtype)
    real = np.zeros((len(rows), longest), np.float32)
    for k, row in enumerate(rows):
        out[k, : len(row)] = row
        real[k, : len(row)] = 1
    return torch.from_numpy(out), torch.from_numpy(real)


def mark_losses(
    model: Segmenter,
    maps: torch.Tensor,
    tokens: torch.Tensor,
    batch: MarkBatch,
    *,
    points: bool,
    boxes: bool,
    before: torch.Tensor | None = None,
) -> dict[str, torch.Tensor]:
    """What marks teach, by name; add them up.

    Args:
        model: Says what its maps mean; a model of the task *instance*.
        maps: Its raw maps (N, outputs, h, w).
        tokens: The deepest map of the encoder, for a model whose classes come from tokens.
        batch: The marks.
        points: Whether the data has points; without them their parts are left out.
        boxes: Likewise.
        before: Raw maps of the trained model that training started from, for the same images.
    """
    maps = maps.float()
    size = batch.background.shape[-1]
    core = CORE_UM / model.card.mpp
    foreground = cast("InstanceRepresentation", model.representation).foreground(maps)
    kinds = maps[:, model.representation.outputs(0) :] if model.map_classes else None
    losses: dict[str, torch.Tensor] = {}
    if points:
        seen, sided = batch.point_seen, batch.point_seen * batch.sided[:, None]
        losses["point"] = point_loss(foreground, batch.points, sided, core=core, size=size)
        if kinds is not None:
            losses["point class"] = point_class_loss(
                kinds, batch.points, batch.point_classes, seen, core=core, size=size
            )
        elif model.classifier is not None:
            spots = torch.cat([batch.points.flip(-1) - core, batch.points.flip(-1) + core], -1)
            truth = batch.point_classes * seen.long()
            losses["point class"] = boxed_class_loss(model.classifier, tokens, spots, truth, size)
    if boxes:
        seen, sided = batch.box_seen, batch.box_seen * batch.sided[:, None]
        losses["box"] = box_loss(foreground, batch.boxes, sided, size=size)
        if kinds is not None:
            losses["box class"] = box_class_loss(kinds, foreground, batch.boxes, batch.box_classes, seen, size=size)
        elif model.classifier is not None:
            truth = batch.box_classes * seen.long()
            losses["box class"] = boxed_class_loss(model.classifier, tokens, _upright(batch.boxes), truth, size)
    losses["background"] = background_loss(foreground, batch.background)
    if before is not None:
        losses["remembered"] = _remembered(model, maps, before, batch)
    return losses


def _remembered(model: Segmenter, maps: torch.Tensor, before: torch.Tensor, batch: MarkBatch) -> torch.Tensor:
    """What the start knew, where no mark contradicts it; the less of the marks it finds, the less it counts."""
    representation = cast("InstanceRepresentation", model.representation)
    size = batch.unknown.shape[-1]
    found = sampled(representation.foreground(before)[:, None], batch.centres[:, :, None], size)[:, 0, :, 0] > 0
    seen = batch.seen > 0
    free = free_area(batch.centres, ~found & seen, reach=REACH_UM / model.card.mpp, size=size)
    share = (found & seen).sum() / seen.sum().clamp_min(1)
    return share * remember_loss(maps, before[:, : representation.outputs(0)], batch.unknown & ~free)


def _upright(boxes: torch.Tensor) -> torch.Tensor:
    """First row, first column, last row, last column of the upright box around each turned one. (N, B, 4)."""
    corner, first, second = boxes.unbind(2)
    corners = torch.stack([corner, corner + first, corner + second, corner + first + second], 2).flip(-1)
    return torch.cat([corners.amin(2), corners.amax(2)], -1)
