"""What the start knew is kept where the annotations say nothing.

Points and boxes leave most pixels and some maps (directions, distances) without any target. Trained on alone, these
drift, and instances fall apart although every point is learned. There the start's own maps are the target: learning
without forgetting (Li & Hoiem, ECCV 2016), by their squared difference (Ba & Caruana, NeurIPS 2014). It makes no
annotation of them: a model that starts from nothing has nothing to remember.
"""

from __future__ import annotations

import torch

from histoseed.training.losses.common import weighted_mean

__all__ = ["REACH_UM", "free_area", "remember_loss"]

REACH_UM = 8.0
"""Around a point that the start takes for background nothing is remembered."""

_CELL = 8
"""Pixels a side of the squares in which distances to points are taken."""


def free_area(points: torch.Tensor, free: torch.Tensor, *, reach: float, size: int) -> torch.Tensor:
    """What lies near some of the points. (N, size, size) bool.

    Args:
        points: (N, P, 2) x and y, pixels of the crop.
        free: (N, P) bool, which of them.
        reach: Pixels.
        size: Side of the crop, pixels.
    """
    cells = -(-size // _CELL)
    middle = (torch.arange(cells, device=points.device) + 0.5) * _CELL
    along_x = (points[..., 0, None] - middle).square()
    along_y = (points[..., 1, None] - middle).square()
    distance = along_y[..., :, None] + along_x[..., None, :]
    near = ((distance < reach * reach) & free[..., None, None]).any(1)
    whole = near.repeat_interleave(_CELL, 1).repeat_interleave(_CELL, 2)
    return whole[:, :size, :size]


def remember_loss(maps: torch.Tensor, before: torch.Tensor, unknown: torch.Tensor) -> torch.Tensor:
    """Mean squared difference from the maps of the start, over what no annotation speaks of.

    Args:
        maps: (N, outputs, h, w) raw maps; those that know no class come first.
        before: (N, shared, h, w) the maps of the start that know no class, for the same images.
        unknown: (N, H, W) bool, pixels of which nothing is known; cell (i, j) of maps with a stride of s speaks for the
            pixel (s * i, s * j).

    Returns:
        A scalar; 0 where everything is known.
    """
    shared = before.shape[1]
    stride = round(unknown.shape[1] / maps.shape[2])
    weight = unknown[:, None, ::stride, ::stride].float()
    values = (maps[:, :shared].float() - before.float()).square()
    return weighted_mean(values, weight.expand(values.shape))
