"""Class images <-> logits: background and classes, a softmax over each pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from histoseed.segmenters.entries import Frozen
from histoseed.segmenters.interface import DenseMaps

__all__ = ["AreaMaps", "SemanticProcessing", "SemanticRepresentation", "SemanticTargets", "class_map"]


class SemanticProcessing(Frozen):
    """There is nothing to choose: a pixel has its most probable class."""

    kind: Literal["semantic"] = "semantic"


@dataclass(frozen=True, slots=True)
class SemanticTargets:
    """What a batch should become. All on the device of the labels.

    Args:
        classes: (N, H, W) int64, 0 = background, 1..C the classes.
        weight: (N, H, W) float32, 0 where nothing is known: in the ignore area, where no region is drawn, and in
            objects of unknown class; else 1.
    """

    classes: torch.Tensor
    weight: torch.Tensor


@dataclass(frozen=True, slots=True)
class AreaMaps(DenseMaps):
    """Predictions of a batch.

    Args:
        probabilities: (N, 1 + C, H, W) float32 of background and classes; they sum to 1. That of background is 0 in a
            model without background.
    """

    probabilities: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SemanticRepresentation:
    """Background and classes; the background's map is always there, and not looked at where nothing is background."""

    def outputs(self, classes: int) -> int:
        """1 + classes."""
        return 1 + classes

    def targets(
        self,
        labels: torch.Tensor,
        *,
        classes: torch.Tensor | None = None,
        ignore: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> SemanticTargets:
        """Labels 0 are background, the others have the class of their pixels; of class 0 they are unknown."""
        del generator
        inside = labels > 0
        kinds = torch.zeros_like(labels) if classes is None else classes * inside
        unknown = inside & (kinds == 0)
        if ignore is not None:
            unknown |= ignore
        return SemanticTargets(torch.where(unknown, 0, kinds), (~unknown).float())

    def activated(self, raw: torch.Tensor, classes: int, decoder: nn.Module | None = None) -> AreaMaps:
        """Softmax."""
        del classes
        if decoder is not None and not decoder.background:
            raw = torch.cat([torch.full_like(raw[:, :1], -torch.inf), raw[:, 1:]], 1)
        return AreaMaps(probabilities=raw.softmax(1).cpu().numpy())


def class_map(maps: AreaMaps, size: tuple[int, int], *, background: bool) -> npt.NDArray[np.uint8]:
    """The class of every pixel of one image: the most probable one.

    Args:
        maps: Of one image, see :meth:`histoseed.segmenters.DenseMaps.image`.
        size: Rows and columns to look at, from the upper left; what the maps have beyond is padding.
        background: Whether a pixel may be of no class.

    Returns:
        (H, W) uint8, 0 = background, 1..C the classes.
    """
    seen = maps.probabilities[int(not background) :, : size[0], : size[1]]
    best: npt.NDArray[np.uint8] = seen.argmax(0).astype(np.uint8)
    return best if background else best + np.uint8(1)
