"""The skip decoder: features of several depths and the image itself -> dense maps.

Written from the published description of "Mind the Gap" (Vadori et al., arXiv 2502.02471) and CISCA: a U-shaped decoder
on skips of a frozen encoder. Plain vision transformers know little about fine detail, so a shallow convolutional path
on the image runs beside them at full resolution.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["SkipDecoder"]

_STRIDES = (16, 8, 4, 2)


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def _resized(x: torch.Tensor, size: torch.Size | tuple[int, int]) -> torch.Tensor:
    if x.shape[-2:] == tuple(size):
        return x
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


class SkipDecoder(nn.Module):
    """Upsampling decoder with four levels (strides 16, 8, 4, 2) and a head at full resolution, or at stride 2.

    Args:
        channels: Channels of the encoder's features, fine to coarse (or shallow to deep where all have one stride).
        outputs: Channels of the map that is made.
        widths: Channels of the decoder at strides 16, 8, 4, 2.
        image_widths: Channels of the image path at strides 1 and 2.
        dropout: Share of the deepest features dropped in training.
        grid: Stride of the maps that are made, 1 or 2.

    The deepest feature feeds stride 16, the one before it stride 8, and so on; with fewer features than levels the
    finest is left to the image path, with more the extra shallow ones are joined at stride 2.
    """

    def __init__(
        self,
        channels: list[int],
        outputs: int,
        *,
        widths: tuple[int, int, int, int] = (128, 96, 64, 32),
        image_widths: tuple[int, int] = (16, 32),
        dropout: float = 0.1,
        grid: int = 1,
    ) -> None:
        super().__init__()
        if not channels:
            raise ValueError("a skip decoder needs at least one feature map")
        deep_first = list(reversed(channels))
        self.skips = nn.ModuleList()
        self.blocks = nn.ModuleList()
        self._taps: list[list[int]] = []
        before = 0
        for level, width in enumerate(widths):
            last = level == len(widths) - 1
            taps = list(range(level, len(channels))) if last else [level] if level < len(channels) else []
            self._taps.append(taps)
            self.skips.append(nn.ModuleList(nn.Conv2d(deep_first[t], width, 1) for t in taps))
            inputs = before + width * len(taps) + (image_widths[1] if last else 0)
            self.blocks.append(nn.Sequential(_block(inputs, width), _block(width, width)))
            before = width
        self.dropout = nn.Dropout2d(dropout)
        self.image_fine = _block(3, image_widths[0])
        self.image_half = _block(image_widths[0], image_widths[1], stride=2)
        self.fuse = _block(widths[-1] + image_widths[0], widths[-1]) if grid == 1 else None
        self.head = nn.Conv2d(widths[-1], outputs, 1)

    def forward(self, image: torch.Tensor, features: list[torch.Tensor]) -> torch.Tensor:
        """Decode.

        Args:
            image: (N, 3, H, W) float, normalised to about [-1, 1].
            features: The encoder's maps, in the order of ``channels``.

        Returns:
            (N, outputs, H, W) float: the raw maps at the image's resolution; half of it with a grid of 2, rounded up.
        """
        maps: torch.Tensor = self.head(self.hidden(image, features))
        return maps

    def hidden(self, image: torch.Tensor, features: list[torch.Tensor]) -> torch.Tensor:
        """The features that the head reads its maps from: (N, ``widths[-1]``, H, W); see :meth:`forward`."""
        height, width = image.shape[-2:]
        deep_first = features[::-1]
        fine = self.image_fine(image)
        half = self.image_half(fine)
        x: torch.Tensor | None = None
        for level, (stride, taps) in enumerate(zip(_STRIDES, self._taps, strict=True)):
            size = (-(-height // stride), -(-width // stride))
            parts = [] if x is None else [_resized(x, size)]
            for tap, skip in zip(taps, cast("nn.ModuleList", self.skips[level]), strict=True):
                feature = self.dropout(deep_first[tap]) if tap == 0 else deep_first[tap]
                parts.append(_resized(skip(feature), size))
            if stride == _STRIDES[-1]:
                parts.append(half)
            x = self.blocks[level](torch.cat(parts, 1))
        assert x is not None  # noqa: S101 - the loop runs four times
        if self.fuse is not None:
            x = self.fuse(torch.cat([_resized(x, (height, width)), fine], 1))
        return x
