"""The kind ``skip``: the skip decoder with semantic and directional maps ("Mind the Gap" / CISCA, Vadori et al.)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from histoseed.segmenters.decoder import SkipDecoder
from histoseed.segmenters.entries import DecoderEntry
from histoseed.segmenters.instances import PostProcessing, class_probabilities, foreground_scores, instance_labels
from histoseed.segmenters.interface import DenseMaps, Found
from histoseed.segmenters.targets import DISTANCES, SEMANTIC, Targets, make_targets

__all__ = ["Maps", "SkipRepresentation", "build_skip"]


@dataclass(frozen=True, slots=True)
class Maps(DenseMaps):
    """Dense predictions of a batch, float32.

    Args:
        semantic: (N, 3, H, W) probabilities of background, body, boundary between touching nuclei.
        distances: (N, 4, H, W) directional maps in [-1, 1].
        classes: (N, 1 + C, H, W) class probabilities, class 0 unclassified; None without classes.
    """

    semantic: npt.NDArray[np.float32]
    distances: npt.NDArray[np.float32]
    classes: npt.NDArray[np.float32] | None


def build_skip(entry: DecoderEntry, channels: Sequence[int], strides: Sequence[int], outputs: int) -> SkipDecoder:
    """The architecture; it aligns maps by their size and needs no strides."""
    del strides
    return SkipDecoder(list(channels), outputs, widths=entry.widths, image_widths=entry.image_widths)


@dataclass(frozen=True, slots=True)
class SkipRepresentation:
    """Semantic softmax, four directional distance maps, optional class softmax; see :mod:`.targets`."""

    context: int = 64

    def outputs(self, classes: int) -> int:
        """7, and 1 + classes where there are any."""
        return SEMANTIC + DISTANCES + (1 + classes if classes else 0)

    def targets(
        self,
        labels: torch.Tensor,
        *,
        classes: torch.Tensor | None = None,
        ignore: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Targets:
        """See :func:`~histoseed.segmenters.targets.make_targets`."""
        del generator
        return make_targets(labels, classes=classes, ignore=ignore)

    def activated(self, raw: torch.Tensor, classes: int, decoder: nn.Module | None = None) -> Maps:
        """Softmax, tanh, softmax."""
        del decoder
        kinds = raw[:, SEMANTIC + DISTANCES :]
        return Maps(
            semantic=raw[:, :SEMANTIC].softmax(1).cpu().numpy(),
            distances=raw[:, SEMANTIC : SEMANTIC + DISTANCES].tanh().cpu().numpy(),
            classes=kinds.softmax(1).cpu().numpy() if classes else None,
        )

    def foreground(self, raw: torch.Tensor) -> torch.Tensor:
        """Body and boundary together, against background."""
        return raw[:, 1:SEMANTIC].logsumexp(1) - raw[:, 0]

    def instances(self, maps: Maps, size: tuple[int, int], how: PostProcessing, mpp: float) -> Found:
        """Watershed; see :mod:`.instances`."""
        seen = np.s_[:, : size[0], : size[1]]
        semantic = maps.semantic[seen]
        labels = instance_labels(semantic, maps.distances[seen], how, mpp)
        kinds = None if maps.classes is None else class_probabilities(labels, maps.classes[seen])
        return Found(labels, foreground_scores(labels, semantic), kinds)
