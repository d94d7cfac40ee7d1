"""Raw maps of the InstanSeg-type decoder <-> targets and instances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from histoseed.segmenters.instances import class_probabilities
from histoseed.segmenters.instanseg.decoder import EMBEDDING, InstansegDecoder, PixelWeights
from histoseed.segmenters.instanseg.instances import REACH, InstansegProcessing, instanseg_labels
from histoseed.segmenters.instanseg.targets import InstansegTargets, make_instanseg_targets
from histoseed.segmenters.interface import DenseMaps, Found

__all__ = ["MAPS", "InstansegMaps", "InstansegRepresentation", "moved"]

MAPS = 2 * EMBEDDING + 1
"""Channels before the classes: embedding, spread, seed."""
_FARTHEST = 4.0
"""Units a pixel's embedding may lie from the pixel, as published."""


@dataclass(frozen=True, slots=True)
class InstansegMaps(DenseMaps):
    """Predictions of a batch, float32.

    Args:
        embedding: (N, 2, H, W) where each pixel points, x and y from the pixel itself, in units of 4 pixels.
        spread: (N, 2, H, W) what else the pixel classifier is told.
        seed: (N, H, W) in [0, 1], highest in the middle of a nucleus.
        classes: (N, 1 + C, H, W) class probabilities, class 0 unclassified; None without classes.
        pixels: The classifier of pixels.
    """

    embedding: npt.NDArray[np.float32]
    spread: npt.NDArray[np.float32]
    seed: npt.NDArray[np.float32]
    classes: npt.NDArray[np.float32] | None
    pixels: PixelWeights


def moved(raw: torch.Tensor) -> torch.Tensor:
    """Where each pixel points, from the pixel itself: less than 4 units along x and y. (N, >= 2, H, W) -> (N, 2, H, W).

    The published embedding is this plus the pixel's own place; only differences between pixels are ever used.
    """
    return 2 * _FARTHEST * (raw[:, :EMBEDDING].sigmoid() - 0.5)


@dataclass(frozen=True, slots=True)
class InstansegRepresentation:
    """Embedding, spread, sigmoid of the seed map, optional class softmax."""

    context: int = 2 * REACH

    def outputs(self, classes: int) -> int:
        """5, and 1 + classes where there are any."""
        return MAPS + (1 + classes if classes else 0)

    def targets(
        self,
        labels: torch.Tensor,
        *,
        classes: torch.Tensor | None = None,
        ignore: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> InstansegTargets:
        """See :class:`InstansegTargets`."""
        return make_instanseg_targets(labels, classes=classes, ignore=ignore, generator=generator)

    def activated(self, raw: torch.Tensor, classes: int, decoder: nn.Module) -> InstansegMaps:
        """The maps and the classifier's weights."""
        if not isinstance(decoder, InstansegDecoder):
            raise TypeError("maps of this kind come from an InstansegDecoder")
        return InstansegMaps(
            embedding=moved(raw).cpu().numpy(),
            spread=raw[:, EMBEDDING : 2 * EMBEDDING].cpu().numpy(),
            seed=raw[:, 2 * EMBEDDING].sigmoid().cpu().numpy(),
            classes=raw[:, MAPS:].softmax(1).cpu().numpy() if classes else None,
            pixels=decoder.pixel_weights(),
        )

    def foreground(self, raw: torch.Tensor) -> torch.Tensor:
        """The seed map."""
        return raw[:, 2 * EMBEDDING]

    def instances(self, maps: InstansegMaps, size: tuple[int, int], how: InstansegProcessing, mpp: float) -> Found:
        """Claims of the seeds; classes by the sum over the pixels of an object."""
        seen = np.s_[..., : size[0], : size[1]]
        labels, score = instanseg_labels(
            maps.embedding[seen], maps.spread[seen], maps.seed[seen], maps.pixels, how, mpp
        )
        kinds = None if maps.classes is None else class_probabilities(labels, maps.classes[seen])
        return Found(labels, score, kinds)
