"""Multi-scale deformable attention (Zhu et al., Deformable DETR, ICLR 2021, equation 3) in plain PyTorch.

Written from the paper. Sampling is :func:`torch.nn.functional.grid_sample`, so nothing is compiled and a processor is
enough.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["DeformableAttention", "deformable_sample", "reference_points"]

Sizes = list[tuple[int, int]]


def reference_points(sizes: Sizes, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Centres of the cells of some maps, one map after the other, as x and y in [0, 1]. (sum of h * w, 2)."""
    centres = []
    for height, width in sizes:
        y = (torch.arange(height, device=device, dtype=dtype) + 0.5) / height
        x = (torch.arange(width, device=device, dtype=dtype) + 0.5) / width
        centres.append(torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1).reshape(-1, 2))
    return torch.cat(centres)


def deformable_sample(
    value: torch.Tensor, sizes: Sizes, locations: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Weighted sum of values read between the cells of several maps.

    Args:
        value: Cells of all maps, one map after the other. Shape (N, sum of h * w, heads, channels).
        sizes: Rows and columns of each map.
        locations: Where to read, x and y in [0, 1] from border to border of a map; bilinear, 0 beyond the border.
            Shape (N, queries, heads, maps, points, 2).
        weights: Shape (N, queries, heads, maps, points).

    Returns:
        (N, queries, heads * channels).
    """
    n, _, heads, channels = value.shape
    queries, points = locations.shape[1], locations.shape[4]
    total = value.new_zeros(n * heads, channels, queries)
    parts = torch.split(value, [height * width for height, width in sizes], 1)
    for level, ((height, width), part) in enumerate(zip(sizes, parts, strict=True)):
        plane = part.permute(0, 2, 3, 1).reshape(n * heads, channels, height, width)
        grid = (2 * locations[:, :, :, level] - 1).transpose(1, 2).reshape(n * heads, queries, points, 2)
        read = F.grid_sample(plane, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        weight = weights[:, :, :, level].transpose(1, 2).reshape(n * heads, 1, queries, points)
        total = total + (read * weight).sum(-1)
    return total.reshape(n, heads * channels, queries).transpose(1, 2)


class DeformableAttention(nn.Module):
    """Every query reads a few points near its own place, on every map.

    Args:
        channels: Of queries and maps.
        levels: Number of maps.
        heads: Attention heads; the largest divisor of the inner channels up to this is taken.
        points: Points a head and a map.
        ratio: Inner channels / ``channels``.
    """

    def __init__(self, channels: int, levels: int, *, heads: int = 8, points: int = 4, ratio: float = 0.5) -> None:
        super().__init__()
        inner = max(1, int(channels * ratio))
        self.heads = next(h for h in range(min(heads, inner), 0, -1) if inner % h == 0)
        self.levels, self.points = levels, points
        self.offsets = nn.Linear(channels, self.heads * levels * points * 2)
        self.weights = nn.Linear(channels, self.heads * levels * points)
        self.value = nn.Linear(channels, inner)
        self.out = nn.Linear(inner, channels)
        self._reset()

    @torch.no_grad()
    def _reset(self) -> None:
        """As published: each head looks in a direction of its own, point k at k + 1 cells, all with equal weight."""
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        ray = torch.stack([angle.cos(), angle.sin()], -1)
        ray = ray / ray.abs().amax(-1, keepdim=True)
        steps = torch.arange(1, self.points + 1)[None, None, :, None]
        bias = (ray[:, None, None] * steps).expand(self.heads, self.levels, self.points, 2)
        nn.init.zeros_(self.offsets.weight)
        self.offsets.bias.copy_(bias.reshape(-1))
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)
        for layer in (self.value, self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, query: torch.Tensor, places: torch.Tensor, maps: torch.Tensor, sizes: Sizes) -> torch.Tensor:
        """Attend.

        Args:
            query: (N, queries, channels).
            places: (queries, 2) where the queries are, see :func:`reference_points`.
            maps: Cells of all maps. (N, sum of h * w, channels).
            sizes: Rows and columns of each map.

        Returns:
            (N, queries, channels).
        """
        n, queries, _ = query.shape
        shape = (n, queries, self.heads, self.levels, self.points)
        scale = torch.tensor([[w, h] for h, w in sizes], device=query.device, dtype=query.dtype)
        shift = self.offsets(query).reshape(*shape, 2) / scale[:, None]
        locations = places[:, None, None, None] + shift
        weights = self.weights(query).reshape(*shape[:3], -1).softmax(-1).reshape(shape)
        value = self.value(maps).reshape(n, maps.shape[1], self.heads, -1)
        read: torch.Tensor = self.out(deformable_sample(value, sizes, locations, weights))
        return read
