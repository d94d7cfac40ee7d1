"""The convolutional stem of CTransPath in front of a Swin transformer (Wang et al., 2022)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

__all__ = ["ConvStem"]


class ConvStem(nn.Module):
    """Three convolutions instead of one large one; stands where timm's Swin has its ``PatchEmbed``.

    3 x 3 with stride 2 twice (each with batch normalisation and ReLU), then 1 x 1 to the width of the first stage.

    Args:
        img_size: Side, or height and width, of the images the network is created for, pixels.
        patch_size: Pixels a token covers; 4, which the strides of the convolutions give.
        in_chans: Channels of an image.
        embed_dim: Width of the first stage; a multiple of 8.
        norm_layer: Normalisation behind the convolutions; None leaves it out.
        others: What timm passes on besides (input checks, output format, device and type).

    Shape: input (N, in_chans, H, W); output (N, H / 4, W / 4, embed_dim).
    """

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 4,
        in_chans: int = 3,
        embed_dim: int = 96,
        norm_layer: type[nn.Module] | None = None,
        **others: Any,
    ) -> None:
        super().__init__()
        created = {key: others[key] for key in ("device", "dtype") if key in others}
        self.img_size = (img_size, img_size) if isinstance(img_size, int) else img_size
        self.patch_size = (patch_size, patch_size)
        self.grid_size = (self.img_size[0] // patch_size, self.img_size[1] // patch_size)
        layers: list[nn.Module] = []
        width = in_chans
        for outputs in (embed_dim // 8, embed_dim // 4):
            layers += [
                nn.Conv2d(width, outputs, 3, stride=2, padding=1, bias=False, **created),
                nn.BatchNorm2d(outputs, **created),
                nn.ReLU(inplace=True),
            ]
            width = outputs
        layers.append(nn.Conv2d(width, embed_dim, 1, **created))
        self.proj = nn.Sequential(*layers)
        self.norm = nn.Identity() if norm_layer is None else norm_layer(embed_dim, **created)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images to tokens, channels last."""
        normalised: torch.Tensor = self.norm(self.proj(x).permute(0, 2, 3, 1))
        return normalised
