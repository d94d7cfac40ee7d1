"""Label images -> what the network learns: the instance representation, as tensors.

Three maps, after "Mind the Gap" / CISCA (Vadori et al.):

- *semantic*: 0 background, 1 body of a nucleus, 2 boundary **between touching nuclei** only;
- *distances*: four directional maps (horizontal, vertical, two diagonals), each linear from -1 to +1 across the
  instance's extent in that direction, 0 outside;
- *classes*: class of the nucleus, 0 where unclassified.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

__all__ = ["DISTANCES", "SEMANTIC", "Targets", "make_targets"]

SEMANTIC = 3
"""Channels of the semantic softmax: background, body, boundary between touching nuclei."""
DISTANCES = 4
"""Channels of the directional distance maps: x, y, x + y, x - y."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What a batch should become. All on the device of the labels.

    Args:
        semantic: (N, H, W) int64 in {0, 1, 2}.
        distances: (N, 4, H, W) float32 in [-1, 1], 0 on background.
        classes: (N, H, W) int64, 0 = unclassified or background.
        weight: (N, H, W) float32, 0 inside the ignore area, else 1.
    """

    semantic: torch.Tensor
    distances: torch.Tensor
    classes: torch.Tensor
    weight: torch.Tensor


def _touching(labels: torch.Tensor, width: int) -> torch.Tensor:
    """Foreground pixels with another nucleus within ``width`` pixels. (N, H, W) bool."""
    values = labels[:, None].float()
    size = 2 * width + 1
    highest = F.max_pool2d(values, size, 1, width)
    far = torch.where(values > 0, values, torch.inf)
    lowest = -F.max_pool2d(-far, size, 1, width)
    return (labels > 0) & (highest != lowest)[:, 0]


def _directional(labels: torch.Tensor) -> torch.Tensor:
    """Position of each pixel along four directions, scaled to [-1, 1] across its instance. (N, 4, H, W)."""
    n, height, width = labels.shape
    count = int(labels.max()) + 1
    flat = (labels + count * torch.arange(n, device=labels.device)[:, None, None]).reshape(-1)
    y = torch.arange(height, device=labels.device, dtype=torch.float32)[:, None].expand(height, width)
    x = torch.arange(width, device=labels.device, dtype=torch.float32)[None].expand(height, width)
    maps = []
    for along in (x, y, x + y, x - y):
        value = along.expand(n, height, width).reshape(-1)
        low = torch.full((n * count,), torch.inf, device=labels.device).scatter_reduce_(0, flat, value, "amin")
        high = torch.full((n * count,), -torch.inf, device=labels.device).scatter_reduce_(0, flat, value, "amax")
        extent = (high - low).clamp_min(1.0)
        # A single row or column has no direction: it is all centre.
        scaled = torch.where((high - low)[flat] < 1.0, 0.0, 2.0 * (value - low[flat]) / extent[flat] - 1.0)
        maps.append(scaled.reshape(n, height, width))
    return torch.stack(maps, 1) * (labels > 0)[:, None]


def make_targets(
    labels: torch.Tensor,
    *,
    classes: torch.Tensor | None = None,
    ignore: torch.Tensor | None = None,
    boundary: int = 2,
) -> Targets:
    """Targets of a batch of label images.

    Args:
        labels: (N, H, W) int64 instance labels, 0 = background. Below 2**24, so that float32 holds them.
        classes: (N, H, W) int64 class of each pixel, 0 = unclassified.
        ignore: (N, H, W) bool, area that counts for nothing.
        boundary: Width in pixels of the boundary on each side, between touching nuclei.
    """
    semantic = (labels > 0).long() + _touching(labels, boundary).long()
    weight = torch.ones(labels.shape, device=labels.device) if ignore is None else (~ignore).float()
    kinds = torch.zeros_like(labels) if classes is None else classes * (labels > 0)
    return Targets(semantic, _directional(labels), kinds, weight)
