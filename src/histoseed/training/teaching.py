"""What a batch teaches: the losses of every kind of annotation, added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from histoseed.segmenters import Segmenter
from histoseed.segmenters.methods import with_branch
from histoseed.training.crops import Crop, Picture
from histoseed.training.objectives import cell_class_loss, mark_batch, mark_losses, objective_of

__all__ = ["Batch", "Teaching"]


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step has seen and made.

    Args:
        images: (B, 3, S, S) in [0, 1], as the network saw them.
        crops: What is known of them.
        features: Of the encoder, fine to coarse.
        maps: (B, outputs, h, w) raw maps of the model.
    """

    images: torch.Tensor
    crops: Sequence[Crop]
    features: list[torch.Tensor]
    maps: torch.Tensor


class Teaching:
    """The loss of a run.

    Outlines train every map of the decoder. Points and boxes train foreground and classes, see
    :mod:`histoseed.training.objectives.marks`.

    Args:
        model: What is trained.
        pictures: What it is trained on; kinds of annotation that they do not have have no part in the loss.
        start: The trained model that training starts from, on the same device. Where points and boxes say nothing, what
            it knew is kept; for outlines it is not looked at.
    """

    def __init__(self, model: Segmenter, pictures: Sequence[Picture], start: Segmenter | None) -> None:
        self._model = model
        self._outlines = any(picture.background is None for picture in pictures)
        self._points = any(len(picture.marks.points) for picture in pictures)
        self._boxes = any(len(picture.marks.boxes) for picture in pictures)
        self._start = start.eval() if start is not None and (self._points or self._boxes) else None

    @torch.no_grad()
    def known_before(self, images: torch.Tensor, stored: list[torch.Tensor] | None) -> torch.Tensor | None:
        """Raw maps of the start for a batch; None where they are not needed.

        Args:
            images: (B, 3, S, S) in [0, 1].
            stored: Features of the encoder alone, where it stays that of the start and they are at hand.
        """
        if self._start is None:
            return None
        if stored is None:
            known: torch.Tensor = self._start(images)
            return known
        return self._start.decode(images, with_branch(self._start.encoder, images, stored))

    def loss(self, batch: Batch, before: torch.Tensor | None, seed: int) -> tuple[torch.Tensor, dict[str, float]]:
        """The scalar to minimise, and its parts by name.

        Args:
            batch: Crops and maps.
            before: See :meth:`known_before`.
            seed: Of what kinds of segmenters draw for a batch.
        """
        total, parts = batch.maps.sum() * 0, dict[str, float]()
        if self._outlines:
            total, parts = self._outline_loss(batch, seed)
        if self._points or self._boxes:
            marks = mark_losses(
                self._model,
                batch.maps,
                batch.features[-1],
                mark_batch(batch.crops, batch.maps.device),
                points=self._points,
                boxes=self._boxes,
                before=before,
            )
            total = total + torch.stack(list(marks.values())).sum()
            parts |= {name: float(value.detach()) for name, value in marks.items()}
        return total, parts

    def _outline_loss(self, batch: Batch, seed: int) -> tuple[torch.Tensor, dict[str, float]]:
        """What outlined objects and the background between them teach."""
        model, device, crops = self._model, batch.maps.device, batch.crops
        labels = torch.from_numpy(np.stack([c.labels for c in crops])).long().to(device)
        classes = torch.from_numpy(np.stack([c.classes for c in crops])).to(device)
        ignore = torch.from_numpy(np.stack([c.ignore for c in crops])).to(device)
        generator = torch.Generator().manual_seed(seed)
        targets = model.representation.targets(labels, classes=classes, ignore=ignore, generator=generator)
        loss, parts = objective_of(model.card.decoder.kind)(batch.maps, targets, model.decoder)
        if model.classifier is None:
            return loss, parts
        of_cells = cell_class_loss(model.classifier, batch.features[-1], labels, classes)
        return loss + of_cells, {**parts, "cell class": float(of_cells.detach())}
