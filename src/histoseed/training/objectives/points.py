"""What points teach: a nucleus and its class here, no nucleus far from every point, and nothing about the rest.

A point says nothing about which pixels are its nucleus, so no mask is made of it. Between the place of a point and what
is far from all of them lies the area that is left open.
"""

from __future__ import annotations

import math

import torch

from histoseed.training.losses import binary_cross_entropy_loss, cross_entropy_loss
from histoseed.training.objectives.sampled import sampled

__all__ = ["AROUND", "CORE_UM", "background_loss", "places_of_points", "point_class_loss", "point_loss"]

CORE_UM = 1.0
"""A nucleus covers what lies within this distance of its point; the nuclei of lymphocytes have a radius of 3 um."""

AROUND = 8
"""Places looked at on the circle with that radius, besides the point itself."""


def places_of_points(points: torch.Tensor, core: float) -> torch.Tensor:
    """The places where the maps are looked at.

    Args:
        points: (N, P, 2) x and y.
        core: Radius of the circle, pixels.

    Returns:
        (N, P, 1 + AROUND, 2): each point, and the circle around it.
    """
    angle = torch.arange(AROUND, device=points.device, dtype=torch.float32) * (2 * math.pi / AROUND)
    circle = core * torch.stack([angle.cos(), angle.sin()], 1)
    around = torch.cat([torch.zeros_like(circle[:1]), circle])
    return points[:, :, None] + around


def point_loss(
    foreground: torch.Tensor, points: torch.Tensor, seen: torch.Tensor, *, core: float, size: int
) -> torch.Tensor:
    """Cross-entropy of "here is a nucleus" at the points: the mean over points.

    Args:
        foreground: (N, h, w) logits.
        points: (N, P, 2) x and y in pixels of the crop.
        seen: (N, P) weight of each point, 0 for padding.
        core: Radius that a nucleus covers, pixels.
        size: Side of the crop, pixels.

    Returns:
        A scalar; 0 without points.

    >>> point_loss(torch.zeros(1, 8, 8), torch.tensor([[[4.0, 4.0]]]), torch.ones(1, 1), core=1, size=8)  # ln 2
    tensor(0.6931)
    """
    logits = sampled(foreground[:, None], places_of_points(points, core), size)[:, 0]
    return binary_cross_entropy_loss(logits, torch.ones_like(logits), seen[:, :, None])


def point_class_loss(
    classes: torch.Tensor, points: torch.Tensor, truth: torch.Tensor, seen: torch.Tensor, *, core: float, size: int
) -> torch.Tensor:
    """Cross-entropy of the class at the points: the mean over classified points.

    Args:
        classes: (N, 1 + C, h, w) logits.
        points: (N, P, 2) x and y in pixels of the crop.
        truth: (N, P) int64, 0 = unclassified.
        seen: (N, P) weight of each point, 0 for padding.
        core: Radius that a nucleus covers, pixels.
        size: Side of the crop, pixels.

    Returns:
        A scalar; 0 without classified points.
    """
    logits = sampled(classes, places_of_points(points, core), size)
    known = seen * (truth > 0)
    return cross_entropy_loss(logits, truth[:, :, None].expand(logits[:, 0].shape), known[:, :, None])


def background_loss(foreground: torch.Tensor, background: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of "here is no nucleus" over what is known to be background: the mean over its cells.

    Args:
        foreground: (N, h, w) logits.
        background: (N, H, W) bool; cell (i, j) of maps with a stride of s speaks for the pixel (s * i, s * j).

    Returns:
        A scalar; 0 where no background is known.
    """
    stride = round(background.shape[1] / foreground.shape[1])
    known = background[:, ::stride, ::stride].float()
    return binary_cross_entropy_loss(foreground, torch.zeros_like(foreground), known)
