"""Raw maps of the CellViT decoder <-> targets and instances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from histoseed.segmenters.cellvit.decoder import HEADS
from histoseed.segmenters.cellvit.instances import HoverProcessing, hover_labels
from histoseed.segmenters.cellvit.targets import CellVitTargets, make_cellvit_targets
from histoseed.segmenters.instances import class_probabilities, mean_over
from histoseed.segmenters.interface import DenseMaps, Found

__all__ = ["CellVitMaps", "CellVitRepresentation"]


@dataclass(frozen=True, slots=True)
class CellVitMaps(DenseMaps):
    """Dense predictions of a batch, float32.

    Args:
        nucleus: (N, H, W) probability of a nucleus.
        offsets: (N, 2, H, W) horizontal and vertical map in [-1, 1].
        classes: (N, 1 + C, H, W) class probabilities, class 0 background; None without classes.
    """

    nucleus: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.float32]
    classes: npt.NDArray[np.float32] | None


@dataclass(frozen=True, slots=True)
class CellVitRepresentation:
    """Nucleus softmax, linear offsets, optional class softmax with background."""

    context: int = 80

    def outputs(self, classes: int) -> int:
        """4, and 1 + classes where there are any."""
        return sum(HEADS) + (1 + classes if classes else 0)

    def targets(
        self,
        labels: torch.Tensor,
        *,
        classes: torch.Tensor | None = None,
        ignore: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> CellVitTargets:
        """See :class:`CellVitTargets`."""
        del generator
        return make_cellvit_targets(labels, classes=classes, ignore=ignore)

    def activated(self, raw: torch.Tensor, classes: int, decoder: nn.Module | None = None) -> CellVitMaps:
        """Softmax, nothing, softmax; offsets are cut to [-1, 1]."""
        del decoder
        first, second = HEADS
        return CellVitMaps(
            nucleus=raw[:, :first].softmax(1)[:, 1].cpu().numpy(),
            offsets=raw[:, first : first + second].clamp(-1, 1).cpu().numpy(),
            classes=raw[:, first + second :].softmax(1).cpu().numpy() if classes else None,
        )

    def foreground(self, raw: torch.Tensor) -> torch.Tensor:
        """Nucleus against background."""
        return raw[:, 1] - raw[:, 0]

    def instances(self, maps: CellVitMaps, size: tuple[int, int], how: HoverProcessing, mpp: float) -> Found:
        """Watershed, see :func:`~histoseed.segmenters.cellvit.hover_labels`; the score is the mean probability."""
        seen = np.s_[..., : size[0], : size[1]]
        nucleus = maps.nucleus[seen]
        labels = hover_labels(nucleus, maps.offsets[seen], how, mpp)
        kinds = None if maps.classes is None else class_probabilities(labels, maps.classes[seen])
        return Found(labels, mean_over(labels, nucleus), kinds)
