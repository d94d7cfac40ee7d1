"""MobileSAM's image encoder: TinyViT with a stride of 16, and SAM's neck behind it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

__all__ = ["MobileEncoder"]


class MobileEncoder(nn.Module):
    """Stands where ``SamModel`` has its ``vision_encoder`` (Zhang et al., Faster Segment Anything, 2023).

    timm's TinyViT halves the map before its last stage once more than MobileSAM's does. The tensors are the same; here
    the convolution that would do it keeps the size.

    Args:
        options: Of timm's ``TinyVit``.
        neck: Of transformers' ``SamModel``.
    """

    def __init__(self, options: dict[str, Any], neck: nn.Module) -> None:
        from timm.models.tiny_vit import TinyVit  # noqa: PLC0415  timm takes seconds to import

        super().__init__()
        trunk: Any = TinyVit(num_classes=0, drop_path_rate=0.0, **options)
        trunk.head = nn.Identity()
        trunk.stages[-1].downsample.conv2.conv.stride = (1, 1)
        self.trunk = trunk
        self.neck = neck

    def forward(self, pixels: torch.Tensor) -> SimpleNamespace:
        """(N, 3, side, side) -> ``last_hidden_state`` (N, C, side / 16, side / 16)."""
        maps = self.trunk.forward_features(pixels)
        return SimpleNamespace(last_hidden_state=self.neck(maps.permute(0, 2, 3, 1)))
