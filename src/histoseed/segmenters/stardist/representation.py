"""Raw maps of the star decoder <-> targets and instances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from histoseed.segmenters.decoder import SkipDecoder
from histoseed.segmenters.entries import StarEntry
from histoseed.segmenters.instances import class_probabilities
from histoseed.segmenters.interface import DenseMaps, Found
from histoseed.segmenters.stardist.instances import StarProcessing, star_labels
from histoseed.segmenters.stardist.targets import GRID, RAYS, StarTargets, make_star_targets

__all__ = ["UNIT", "StarMaps", "StarRepresentation", "build_stardist"]

UNIT = 8.0
"""Pixels of a raw distance of 1: raw maps of the size of 1 are learned fastest."""


@dataclass(frozen=True, slots=True)
class StarMaps(DenseMaps):
    """Predictions of a batch, float32, one cell for GRID x GRID pixels.

    Args:
        probability: (N, h, w) object probability.
        distances: (N, RAYS, h, w) radial distances, pixels.
        classes: (N, 1 + C, h, w) class probabilities, class 0 unclassified; None without classes.
    """

    probability: npt.NDArray[np.float32]
    distances: npt.NDArray[np.float32]
    classes: npt.NDArray[np.float32] | None


def build_stardist(entry: StarEntry, channels: Sequence[int], strides: Sequence[int], outputs: int) -> SkipDecoder:
    """The skip decoder, ended at the grid of the maps."""
    del strides
    return SkipDecoder(list(channels), outputs, widths=entry.widths, image_widths=entry.image_widths, grid=GRID)


@dataclass(frozen=True, slots=True)
class StarRepresentation:
    """Sigmoid of the object probability, linear distances, optional class softmax, all on the grid."""

    context: int = 80

    def outputs(self, classes: int) -> int:
        """1 + RAYS, and 1 + classes where there are any."""
        return 1 + RAYS + (1 + classes if classes else 0)

    def targets(
        self,
        labels: torch.Tensor,
        *,
        classes: torch.Tensor | None = None,
        ignore: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> StarTargets:
        """See :class:`StarTargets`."""
        del generator
        return make_star_targets(labels, classes=classes, ignore=ignore)

    def activated(self, raw: torch.Tensor, classes: int, decoder: nn.Module | None = None) -> StarMaps:
        """Sigmoid, pixels, softmax."""
        del decoder
        return StarMaps(
            probability=raw[:, 0].sigmoid().cpu().numpy(),
            distances=(UNIT * raw[:, 1 : 1 + RAYS]).cpu().numpy(),
            classes=raw[:, 1 + RAYS :].softmax(1).cpu().numpy() if classes else None,
        )

    def foreground(self, raw: torch.Tensor) -> torch.Tensor:
        """The object probability; cell (i, j) speaks for the pixel (GRID * i, GRID * j)."""
        return raw[:, 0]

    def instances(self, maps: StarMaps, size: tuple[int, int], how: StarProcessing, mpp: float) -> Found:
        """Polygons and their suppression; classes by the sum over the cells of an object."""
        labels, score = star_labels(maps.probability, maps.distances, size, how, mpp)
        if maps.classes is None:
            return Found(labels, score, None)
        cells = np.s_[:, : -(-size[0] // GRID), : -(-size[1] // GRID)]
        whole = np.repeat(np.repeat(maps.classes[cells], GRID, 1), GRID, 2)[:, : size[0], : size[1]]
        return Found(labels, score, class_probabilities(labels, whole))
