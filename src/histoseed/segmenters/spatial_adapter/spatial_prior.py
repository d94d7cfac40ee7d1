"""The spatial prior module: a small convolutional pyramid of the image, at strides 2, 4, 8 and 16.

After ViT-Adapter (Chen et al., ICLR 2023) with the change of CellVTA: the first convolutions keep full resolution, so
that the finest map has stride 2 instead of 4.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

__all__ = ["SpatialPrior"]


def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


class SpatialPrior(nn.Module):
    """Image -> maps of equal width at strides 2, 4, 8, 16.

    Args:
        channels: Of every map handed out.
        width: Of the first convolutions; twice, four and four times that follow.
    """

    def __init__(self, channels: int, *, width: int = 64) -> None:
        super().__init__()
        widths = (width, 2 * width, 4 * width, 4 * width)
        stem = [_block(3, width, 1), _block(width, width, 1), _block(width, width, 1)]
        self.stages = nn.ModuleList([nn.Sequential(*stem, _block(width, width, 2))])
        self.stages.extend(_block(before, after, 2) for before, after in pairwise(widths))
        self.outs = nn.ModuleList(nn.Conv2d(w, channels, 1) for w in widths)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(N, 3, H, W) normalised float -> four maps (N, channels, ceil(H / stride), ceil(W / stride))."""
        maps = []
        for stage, out in zip(self.stages, self.outs, strict=True):
            x = stage(x)
            maps.append(out(x))
        return maps
