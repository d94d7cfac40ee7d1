"""Histology features beside SAM's, in front of the neck."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from histoseed.prompting.fusion.card import FusionCard, Start
from histoseed.prompting.fusion.layers import Fusion, Tensors, resized, sam_neck, upsampler

__all__ = ["Concat", "PyramidConcat"]


class Concat(Fusion):
    """For SAM: features of its last block and histology features through one neck.

    Args:
        card: How.
        neck: SAM's own.
        dim: Channels of the histology features.
        tokens: Along a side of a tile's.
        cells: Along a side of SAM's features.
    """

    def __init__(self, card: FusionCard, neck: Any, dim: int, tokens: int, cells: int) -> None:
        super().__init__()
        kept = int(neck.conv1.in_channels)
        self.upsampling = upsampler(card.upsampling, dim, tokens, cells)
        self.neck = sam_neck(neck, kept + dim, card.start, kept=kept)

    def forward(self, tensors: Tensors) -> dict[str, torch.Tensor]:
        """``trunk.0`` (1, C, cells, cells) and ``histology`` -> ``image``; what else there is stays."""
        both = torch.cat([tensors["trunk.0"], self.upsampling(tensors["histology"])], 1)
        rest = {key: value for key, value in tensors.items() if key not in ("trunk.0", "histology")}
        return rest | {"image": self.neck(both.movedim(1, -1))}


class PyramidConcat(Fusion):
    """For SAM 2: histology features beside every level that enters its pyramid neck.

    A 1 x 1 convolution of joined maps is the sum of one of each, and interpolation passes through a 1 x 1 convolution.
    So histology features are reduced to the width of the neck first and enlarged then: at 256 x 256 cells they would
    take 400 MB as they are.

    Args:
        card: How.
        network: SAM 2 of transformers; its neck, its two decoder layers for finer maps and the code for "no memory" are
            copied.
        dim: Channels of the histology features.
        tokens: Along a side of a tile's.
        cells: Along a side of the map ``image``.
    """

    def __init__(self, card: FusionCard, network: Any, dim: int, tokens: int, cells: int) -> None:
        super().__init__()
        neck = network.vision_encoder.neck
        self.top_down = tuple(neck.fpn_top_down_levels)
        self.upsampling = upsampler(card.upsampling, dim, tokens, cells)
        self.lateral = _copied(nn.ModuleList(reversed(neck.convs)), card.start)  # fine to coarse
        self.histology = nn.ModuleList(nn.Conv2d(dim, conv.out_channels, 1, bias=False) for conv in neck.convs)
        if card.start == "sam":
            for layer in self.histology.parameters():
                nn.init.zeros_(layer)
        self.conv_s0 = _copied(network.mask_decoder.conv_s0, card.start)
        self.conv_s1 = _copied(network.mask_decoder.conv_s1, card.start)
        self.no_memory = nn.Parameter(network.no_memory_embedding.detach().clone())

    def forward(self, tensors: Tensors) -> dict[str, torch.Tensor]:
        """``trunk.0`` (stride 4) to ``trunk.3`` (stride 32) and ``histology`` -> ``image``, ``middle``, ``fine``."""
        grid = self.upsampling(tensors["histology"])
        levels: list[torch.Tensor] = []
        above: torch.Tensor | None = None
        for i in reversed(range(len(self.lateral))):  # coarse to fine
            own = self.lateral[i](tensors[f"trunk.{i}"])
            level = own + resized(self.histology[i](grid), own.shape[-1])
            if above is not None and i in self.top_down:
                level = level + F.interpolate(above, scale_factor=2.0, mode="nearest")
            levels.append(level)
            above = level
        _, image, middle, fine = levels
        return {
            "image": image + self.no_memory.view(1, -1, 1, 1),
            "middle": self.conv_s1(middle),
            "fine": self.conv_s0(fine),
        }


def _copied(module: nn.Module, start: Start) -> Any:
    # Any: a list of layers or a layer.
    copy = deepcopy(module).requires_grad_(requires_grad=True)
    if start == "random":
        for layer in copy.modules():
            if isinstance(layer, nn.Conv2d):
                layer.reset_parameters()
    return copy
