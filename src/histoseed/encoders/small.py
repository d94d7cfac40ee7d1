"""The encoder of the bundled model: a small residual network, five feature levels at most.

Plain 3 x 3 convolutions with batch normalisation: on a processor without an accelerator they reach several times the
rate of depth-wise ones, and they fold into a single convolution at inference.
"""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["SmallEncoder"]


class _Residual(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He et al., 2016), the first one strided where the level changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        same = stride == 1 and inputs == outputs
        self.shortcut: nn.Module = nn.Identity()
        if not same:
            # Average before the 1 x 1 convolution: a strided one would throw three of four pixels away.
            pool: list[nn.Module] = [nn.AvgPool2d(stride, ceil_mode=True)] if stride > 1 else []
            self.shortcut = nn.Sequential(*pool, nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) -> (N, outputs, ceil(H / stride), ceil(W / stride))."""
        return torch.relu(self.body(x) + self.shortcut(x))


class SmallEncoder(nn.Module):
    """Image -> features at strides 2, 4, 8, 16, fine to coarse.

    Args:
        widths: Channels of each level.
        depths: Residual blocks of each level.

    Shape: input (N, 3, H, W) normalised float; output (N, widths[i], ceil(H / strides[i]), ceil(W / strides[i])).
    """

    def __init__(self, widths: tuple[int, ...] = (32, 64, 160, 256), depths: tuple[int, ...] = (1, 2, 3, 2)) -> None:
        super().__init__()
        self.channels = list(widths)
        self.strides = [2 ** (i + 1) for i in range(len(widths))]
        levels = []
        inputs = 3
        for width, depth in zip(widths, depths, strict=True):
            blocks = [_Residual(inputs if i == 0 else width, width, 2 if i == 0 else 1) for i in range(depth)]
            levels.append(nn.Sequential(*blocks))
            inputs = width
        self.levels = nn.ModuleList(levels)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Features of every level, fine to coarse."""
        features = []
        for level in self.levels:
            x = level(x)
            features.append(x)
        return features
