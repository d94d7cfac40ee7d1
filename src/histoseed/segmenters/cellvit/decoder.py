"""The architecture of CellViT, written from the published description (Hörst et al., Medical Image Analysis 2024).

Three branches, one for each kind of map, climb from the deepest features (stride 16) to full resolution. At strides 8,
4 and 2 they are joined by a path from a shallower tap, at stride 1 by one from the image. The paths are shared by the
branches; the branches themselves are separate, or share all but their last two convolutions.

A path brings its tap to the stride at which it joins by as many transposed convolutions as that takes: 1, 2 and 3 for
the four equal taps of a plain transformer with patches of 16 pixels, as published; one each for hierarchical encoders
with strides 4 to 32; none for those with strides 2 to 16 (two convolutions then, as in CellVTA). Patches of 14 pixels
count as 16, and maps are resampled to the size at which they join.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from histoseed.segmenters.entries import CellVitEntry

__all__ = ["HEADS", "CellVitDecoder", "build_cellvit", "paper_widths"]

HEADS = (2, 2)
"""Channels of the nucleus head (background, nucleus) and of the offset head (horizontal, vertical)."""

_JOINS = (8, 8, 4, 2)
"""Strides to which the taps are brought, deepest first: the deepest meets the next one at 8."""


def paper_widths(channels: int) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    """Channels at strides 8, 4, 2, 1 and inside the stacks of transposed convolutions, as published.

    Args:
        channels: Of the encoder's deepest map; below 512 the small variant is taken.
    """
    return ((312, 256, 128, 64), (256, 128)) if channels < 512 else ((512, 256, 128, 64), (512, 256))


def _conv(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]
    return nn.Sequential(*layers, *([nn.Dropout(dropout)] if dropout else []))


def _up(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 2, 2)


def _resized(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return x if x.shape[-2:] == size else F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def _path(tap: int, doublings: int, stack: tuple[int, int], width: int, dropout: float) -> nn.Sequential:
    """From a tap's channels to ``width``, at the stride at which it joins."""
    if doublings == 0:
        return nn.Sequential(_conv(tap, width, dropout), _conv(width, width, dropout))
    widths = (tap, *(*stack, *[stack[-1]] * doublings)[: doublings - 1], width)
    return nn.Sequential(
        *(nn.Sequential(_up(before, after), _conv(after, after, dropout)) for before, after in pairwise(widths))
    )


class _Climb(nn.Module):
    """From the deepest features to stride 1, before the image joins: (N, widths[3], H, W)."""

    def __init__(self, deepest: int, doublings: int, widths: tuple[int, int, int, int], dropout: float) -> None:
        super().__init__()
        ups = [_up(deepest if i == 0 else widths[0], widths[0]) for i in range(doublings)]
        self.deep = nn.Sequential(*ups) if ups else _conv(deepest, widths[0], dropout)
        self.levels = nn.ModuleList()
        for level, (width, after) in enumerate(pairwise(widths)):
            middle = [_conv(width, width, dropout) for _ in range(2 if level == 0 else 1)]
            self.levels.append(nn.Sequential(_conv(2 * width, width, dropout), *middle, _up(width, after)))

    def forward(self, deepest: torch.Tensor, skips: list[torch.Tensor]) -> torch.Tensor:
        """``skips`` are the paths' maps at strides 8, 4 and 2."""
        x: torch.Tensor = self.deep(deepest)
        for level, skip in zip(self.levels, skips, strict=True):
            x = level(torch.cat([_resized(x, (skip.shape[-2], skip.shape[-1])), skip], 1))
        return x


class _Head(nn.Module):
    """Joins the image path at stride 1 and ends in raw maps."""

    def __init__(self, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(2 * width, width, dropout), _conv(width, width, dropout))
        self.last = nn.Conv2d(width, outputs, 1)

    def forward(self, x: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        maps: torch.Tensor = self.last(self.body(torch.cat([image, x], 1)))
        return maps


class CellVitDecoder(nn.Module):
    """Nucleus, offset and type maps.

    Args:
        channels: Channels of the encoder's maps, fine to coarse or shallow to deep. The four deepest are used; fewer
            are used several times.
        strides: Their strides.
        types: Channels of the type map, background included; 0 leaves the branch out.
        widths: Channels at strides 8, 4, 2, 1; None follows :func:`paper_widths`.
        stack: Channels inside the paths; None follows :func:`paper_widths`.
        shared: One climb for all heads instead of one each.
        dropout: After each convolution.
    """

    def __init__(
        self,
        channels: list[int],
        strides: list[int],
        types: int,
        *,
        widths: tuple[int, int, int, int] | None = None,
        stack: tuple[int, int] | None = None,
        shared: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not channels:
            raise ValueError("a CellViT decoder needs at least one feature map")
        usual = paper_widths(channels[-1])
        widths, stack = widths or usual[0], stack or usual[1]
        last = len(channels) - 1
        self._taps = [last - min(k, last) for k in range(4)]
        doublings = [max(0, round(math.log2(strides[tap] / at))) for tap, at in zip(self._taps, _JOINS, strict=True)]
        self.paths = nn.ModuleList(
            _path(channels[tap], count, stack, width, dropout)
            for tap, count, width in zip(self._taps[1:], doublings[1:], widths[:3], strict=True)
        )
        half = max(widths[3] // 2, 1)
        self.image = nn.Sequential(_conv(3, half, dropout), _conv(half, widths[3], dropout))
        outputs = (*HEADS, *((types,) if types else ()))
        climbs = 1 if shared else len(outputs)
        self.climbs = nn.ModuleList(_Climb(channels[last], doublings[0], widths, dropout) for _ in range(climbs))
        self.heads = nn.ModuleList(_Head(widths[3], count, dropout) for count in outputs)

    def forward(self, image: torch.Tensor, features: list[torch.Tensor]) -> torch.Tensor:
        """Decode.

        Args:
            image: (N, 3, H, W) float, normalised to about [-1, 1].
            features: The encoder's maps, in the order of ``channels``.

        Returns:
            (N, 2 + 2 [+ types], H, W) float: nucleus, offsets, types, raw.
        """
        height, width = image.shape[-2:]
        fine = self.image(image)
        skips = []
        for path, tap, stride in zip(self.paths, self._taps[1:], _JOINS[1:], strict=True):
            skips.append(_resized(path(features[tap]), (-(-height // stride), -(-width // stride))))
        deepest = features[self._taps[0]]
        climbed = [_resized(climb(deepest, skips), (height, width)) for climb in self.climbs]
        if len(climbed) == 1:
            climbed *= len(self.heads)
        return torch.cat([head(x, fine) for head, x in zip(self.heads, climbed, strict=True)], 1)


def build_cellvit(entry: CellVitEntry, channels: Sequence[int], strides: Sequence[int], outputs: int) -> CellVitDecoder:
    """The architecture of a card's entry."""
    return CellVitDecoder(
        list(channels), list(strides), outputs - sum(HEADS),
        widths=entry.widths, stack=entry.stack, shared=entry.shared, dropout=entry.dropout,
    )  # fmt: skip
