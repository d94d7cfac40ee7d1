"""Raw maps at places that lie between their cells."""

from __future__ import annotations

import torch
import torch.nn.functional as F

__all__ = ["sampled"]


def sampled(maps: torch.Tensor, places: torch.Tensor, size: int) -> torch.Tensor:
    """Bilinear values of maps.

    Cell (i, j) of maps with a stride of s speaks for the pixel (s * i, s * j); beyond the last cells values go on.

    Args:
        maps: (N, C, h, w) float.
        places: (N, A, B, 2) float: x and y in pixels of the crop; the middle of the first pixel is (0.5, 0.5).
        size: Side of the crop, pixels.

    Returns:
        (N, C, A, B) float32.

    >>> maps = torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]])
    >>> sampled(maps, torch.tensor([[[[0.5, 0.5], [1.0, 0.5], [1.5, 1.5]]]]), 2).tolist()
    [[[[0.0, 0.5, 3.0]]]]
    """
    h, w = maps.shape[-2:]
    stride = round(size / h)
    cells = torch.tensor([max(w - 1, 1), max(h - 1, 1)], device=maps.device, dtype=torch.float32)
    grid = 2 * ((places.float() - 0.5) / stride) / cells - 1
    return F.grid_sample(maps.float(), grid, mode="bilinear", padding_mode="border", align_corners=True)
