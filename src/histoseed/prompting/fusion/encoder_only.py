"""Histology features in the place of SAM's."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from histoseed.prompting.fusion.card import FusionCard
from histoseed.prompting.fusion.layers import Fusion, Tensors, sam_neck, upsampler

__all__ = ["EncoderOnly", "PyramidEncoderOnly"]


class EncoderOnly(Fusion):
    """For SAM: up-sampled histology features through a neck like SAM's.

    Args:
        card: How.
        neck: SAM's own.
        dim: Channels of the histology features.
        tokens: Along a side of a tile's.
        cells: Along a side of SAM's features.
    """

    def __init__(self, card: FusionCard, neck: Any, dim: int, tokens: int, cells: int) -> None:
        super().__init__()
        self.upsampling = upsampler(card.upsampling, dim, tokens, cells)
        self.neck = sam_neck(neck, dim, card.start)

    def forward(self, tensors: Tensors) -> dict[str, torch.Tensor]:
        """``histology`` -> ``image``."""
        return {"image": self.neck(self.upsampling(tensors["histology"]).movedim(1, -1))}


class PyramidEncoderOnly(Fusion):
    """For SAM 2: the finer maps that its decoder reads are deconvolved from the coarsest.

    Histology features have no finer grid than that of SAM 2's coarsest map, so that the finer maps can only spread what
    is known there.

    Args:
        card: How.
        dim: Channels of the histology features.
        tokens: Along a side of a tile's.
        cells: Along a side of the coarsest map.
        widths: Channels of the maps ``image``, ``middle`` and ``fine``.
    """

    def __init__(self, card: FusionCard, dim: int, tokens: int, cells: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        image, middle, fine = widths
        self.upsampling = upsampler(card.upsampling, dim, tokens, cells)
        self.reduce = nn.Sequential(
            nn.Conv2d(dim, image, 1, bias=False), nn.GroupNorm(1, image), nn.Conv2d(image, image, 3, padding=1)
        )
        self.middle = nn.ConvTranspose2d(image, middle, 2, stride=2)
        self.fine = nn.Sequential(
            nn.GroupNorm(1, middle), nn.GELU(), nn.ConvTranspose2d(middle, fine, 2, stride=2)
        )  # fmt: skip

    def forward(self, tensors: Tensors) -> dict[str, torch.Tensor]:
        """``histology`` -> ``image``, ``middle``, ``fine``."""
        image = self.reduce(self.upsampling(tensors["histology"]))
        middle = self.middle(image)
        return {"image": image, "middle": middle, "fine": self.fine(middle)}
