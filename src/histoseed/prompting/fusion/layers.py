"""Layers that several fusions share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from histoseed.errors import InputError
from histoseed.prompting.fusion.card import Start, Upsampling

__all__ = ["Fusion", "Tensors", "places", "resized", "sam_neck", "upsampler"]

Tensors = Mapping[str, torch.Tensor]


class Fusion(nn.Module):
    """From the frozen features of both encoders to what SAM's mask decoder takes. Its weights train."""

    def forward(self, tensors: Tensors) -> dict[str, torch.Tensor]:
        """Features of one window to the tensors of the SAM model's ``decode``; ``histology`` is used up."""
        raise NotImplementedError

    def refined(self, logits: torch.Tensor, tensors: Tensors) -> torch.Tensor:  # noqa: ARG002  refinement uses it
        """Mask logits (B, K, cells, cells) as the fusion corrects them; most do not."""
        return logits


def resized(features: torch.Tensor, side: int) -> torch.Tensor:
    """(N, C, h, w) -> (N, C, side, side): bilinear, averaged where it gets coarser."""
    if features.shape[-2:] == (side, side):
        return features
    # In float32: torch has no such kernel for bfloat16 on a processor.
    out = F.interpolate(features.float(), (side, side), mode="bilinear", align_corners=False, antialias=True)
    return out.to(features.dtype)


class Interpolation(nn.Module):
    """Bilinear, then a depthwise 3 x 3 and a pointwise convolution.

    Args:
        dim: Channels.
        cells: Along a side of the result.
    """

    def __init__(self, dim: int, cells: int) -> None:
        super().__init__()
        self.cells = cells
        self.depthwise = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)
        self.pointwise = nn.Conv2d(dim, dim, 1)

    def forward(self, grid: torch.Tensor) -> torch.Tensor:
        """(N, dim, h, w) -> (N, dim, cells, cells)."""
        out: torch.Tensor = self.pointwise(self.depthwise(resized(grid, self.cells)))
        return out


def upsampler(how: Upsampling, dim: int, tokens: int, cells: int) -> nn.Module:
    """From a grid of histology features to SAM's.

    Args:
        how: Interpolation takes grids of any size; deconvolution those of one tile.
        dim: Channels, before and after.
        tokens: Along a side of a tile's features.
        cells: Along a side of SAM's.

    Raises:
        InputError: a tile with more tokens than SAM has cells, which is not to be deconvolved.
    """
    if how == "interpolation":
        return Interpolation(dim, cells)
    if tokens > cells:
        what = f"{tokens} x {tokens} histology features are more than SAM's {cells} x {cells}."
        raise InputError(what, where="fusion", fix="Use interpolation.")
    between = next(n for n in range(tokens, cells + 1) if cells % n == 0)
    layers: list[nn.Module] = []
    if between > tokens:  # 14 tokens of patches of 16: a kernel of 3 brings them to 16
        layers.append(nn.ConvTranspose2d(dim, dim, between - tokens + 1))
    if cells > between:
        layers.append(nn.ConvTranspose2d(dim, dim, cells // between, stride=cells // between))
    return nn.Sequential(*layers)


def sam_neck(own: Any, width: int, start: Start, *, kept: int = 0) -> nn.Module:
    """SAM's neck (1 x 1, normalisation, 3 x 3, normalisation) for features of another width.

    Args:
        own: The neck of a SAM of transformers; it is copied.
        width: Channels of the features, of which the first ``kept`` are SAM's own.
        start: Whether the copy keeps what fits; weights of other channels then start at zero, or as random ones where
            none are SAM's.
        kept: Channels of SAM's own.

    Returns:
        (N, h, w, width) -> (N, C, h, w).
    """
    neck: Any = deepcopy(own)
    neck.conv1 = nn.Conv2d(width, own.conv1.out_channels, 1, bias=False)
    if start == "random":
        for layer in (neck.layer_norm1, neck.conv2, neck.layer_norm2):
            layer.reset_parameters()
    elif kept:
        with torch.no_grad():
            neck.conv1.weight.zero_()
            neck.conv1.weight[:, :kept] = own.conv1.weight
    out: nn.Module = neck
    return out


def places(rows: int, columns: int, width: int, device: torch.device) -> torch.Tensor:
    """Codes of places, the same for a place in grids of any fineness.

    Args:
        rows: Of the grid, which covers the whole square.
        columns: Of the grid.
        width: Channels, a multiple of 4.
        device: Where they are needed.

    Returns:
        (rows * columns, width) float32: sines and cosines of y and of x, from one wave to 64 over the square.
    """
    waves = 2 * math.pi * torch.logspace(0, 6, width // 4, base=2.0, device=device)
    y, x = ((torch.arange(n, device=device) + 0.5)[:, None] / n * waves for n in (rows, columns))
    codes = [wave for at in (y[:, None].expand(-1, columns, -1), x[None].expand(rows, -1, -1))
             for wave in (at.sin(), at.cos())]  # fmt: skip
    return torch.cat(codes, -1).flatten(0, 1)
