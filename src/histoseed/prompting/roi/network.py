"""The network behind the bundled promptable model: a small U-shaped network on the grid of one prompt."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from histoseed.prompting.roi.encoding import CHANNELS

__all__ = ["RoiHead"]


def _block(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class RoiHead(nn.Module):
    """Features and prompt on a grid -> several candidate masks, each with the IoU it is expected to reach.

    Args:
        fine: Channels of the features at full resolution (image, maps, last features of the segmenter's decoder).
        coarse: Channels of each of the encoder's maps that give context.
        context: Channels that each of these is brought to.
        widths: Channels at one, two, four and eight cells.
        candidates: Masks a prompt.
        cells: Cells along a side of the grid; a multiple of 8.
    """

    def __init__(
        self,
        fine: int,
        coarse: tuple[int, ...],
        *,
        context: int = 16,
        widths: tuple[int, int, int, int] = (24, 40, 64, 96),
        candidates: int = 3,
        cells: int = 48,
    ) -> None:
        super().__init__()
        self.cells = cells
        self.candidates = candidates
        self.compress = nn.ModuleList(nn.Conv2d(c, context, 1) for c in coarse)
        inputs = fine + context * len(coarse) + CHANNELS
        self.stem = nn.Sequential(nn.Conv2d(inputs, widths[0], 1), nn.ReLU(inplace=True))
        self.down = nn.ModuleList([_block(widths[0], widths[0])])
        for before, width in pairwise(widths):
            self.down.append(nn.Sequential(_block(before, width), _block(width, width)))
        self.up = nn.ModuleList()
        for deep, width in zip(widths[:0:-1], widths[-2::-1], strict=True):
            self.up.append(_block(deep + width, width))
        self.masks = nn.Conv2d(widths[0], candidates, 1)
        self.quality = nn.Sequential(
            nn.Linear(widths[-1] + widths[0], 64), nn.ReLU(inplace=True), nn.Linear(64, candidates)
        )

    def forward(self, features: torch.Tensor, prompts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Decode prompts.

        Args:
            features: (N, fine + context * len(coarse), cells, cells), read at the grid.
            prompts: (N, CHANNELS, cells, cells).

        Returns:
            Mask logits (N, candidates, cells, cells) and logits of the expected IoU (N, candidates).
        """
        x = self.stem(torch.cat([features, prompts.to(features.dtype)], 1))
        kept = []
        for i, level in enumerate(self.down):
            x = level(x if i == 0 else F.max_pool2d(x, 2))
            kept.append(x)
        deepest = x.mean((2, 3))
        for level, skip in zip(self.up, kept[-2::-1], strict=True):
            x = level(torch.cat([F.interpolate(x, scale_factor=2, mode="nearest"), skip], 1))
        expected = self.quality(torch.cat([deepest, x.mean((2, 3))], 1))
        return self.masks(x), expected
