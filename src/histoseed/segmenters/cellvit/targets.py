"""Label images -> nucleus, horizontal-vertical and type targets (Graham et al., HoVer-Net, 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["SMALLEST", "CellVitTargets", "hover_offsets", "make_cellvit_targets"]

SMALLEST = 30
"""Instances of fewer pixels, mostly cut off by the crop, have no offsets, as published for crops at 0.25 mpp."""


@dataclass(frozen=True, slots=True)
class CellVitTargets:
    """What a batch should become. All on the device of the labels.

    Args:
        nucleus: (N, H, W) int64 in {0, 1}.
        offsets: (N, 2, H, W) float32 in [-1, 1], horizontal and vertical, 0 on background.
        classes: (N, H, W) int64, 0 = background.
        weight: (N, H, W) float32, 0 inside the ignore area, else 1.
        known: (N, H, W) float32, ``weight`` where the class is known: on background and in classified nuclei.
    """

    nucleus: torch.Tensor
    offsets: torch.Tensor
    classes: torch.Tensor
    weight: torch.Tensor
    known: torch.Tensor


def hover_offsets(labels: torch.Tensor, *, smallest: int = SMALLEST) -> torch.Tensor:
    """Where a pixel lies in its instance, from its rounded centre of mass; both sides reach 1, each scaled by itself.

    Args:
        labels: (N, H, W) int64 instance labels, 0 = background.
        smallest: Instances of fewer pixels keep 0.

    Returns:
        (N, 2, H, W) float32: along x (left negative) and along y (up negative).
    """
    n, height, width = labels.shape
    count = int(labels.max()) + 1
    device = labels.device
    at = torch.nonzero(labels.reshape(-1))[:, 0]
    label = (labels + count * torch.arange(n, device=device)[:, None, None]).reshape(-1)[at]
    area = torch.bincount(label, minlength=n * count)
    maps = torch.zeros(2, n * height * width, device=device)
    for k, along in enumerate((at % width, at // width % height)):
        # Whole numbers, so that the sum is exact whatever its order.
        total = torch.zeros(n * count, dtype=torch.int64, device=device).index_add_(0, label, along)
        centre = torch.round(total.double() / area.clamp_min(1)).long()
        offset = (along - centre[label]).float()
        low = torch.zeros(n * count, device=device).scatter_reduce_(0, label, offset, "amin")
        high = torch.zeros(n * count, device=device).scatter_reduce_(0, label, offset, "amax")
        reach = torch.where(offset < 0, -low[label], high[label]).clamp_min(1.0)
        maps[k, at] = torch.where(area[label] >= smallest, offset / reach, 0.0)
    return maps.reshape(2, n, height, width).movedim(0, 1).contiguous()


def make_cellvit_targets(
    labels: torch.Tensor, *, classes: torch.Tensor | None = None, ignore: torch.Tensor | None = None
) -> CellVitTargets:
    """Targets of a batch of label images; arguments as in :meth:`histoseed.segmenters.Representation.targets`."""
    inside = labels > 0
    weight = torch.ones(labels.shape, device=labels.device) if ignore is None else (~ignore).float()
    kinds = torch.zeros_like(labels) if classes is None else classes * inside
    known = weight * (~inside | (kinds > 0))
    return CellVitTargets(inside.long(), hover_offsets(labels), kinds, weight, known)
