"""What boxes teach: a nucleus reaches all four sides of its box, and where no box is there is no nucleus.

The projection term of BoxInst (Tian et al., CVPR 2021): the greatest foreground of every line across the box, along
both of its directions, is a nucleus. Which pixels of the line they are is left open, so no mask is made of a box. The
outside is the business of :func:`histoseed.training.objectives.points.background_loss`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from histoseed.training.losses.common import weighted_mean
from histoseed.training.objectives.sampled import sampled

__all__ = ["LINES", "SLACK", "box_class_loss", "box_loss", "places_of_boxes"]

LINES = 16
"""Lines across a box, along each of its two directions."""

SLACK = 2
"""Lines at each end that may miss the nucleus: people draw boxes a little too large."""


def places_of_boxes(boxes: torch.Tensor) -> torch.Tensor:
    """A regular grid over each box, turned as the box is.

    Args:
        boxes: (N, B, 3, 2): a corner and the two sides that start there.

    Returns:
        (N, B, LINES, LINES, 2): x and y; the first side runs along the last of the two lines.
    """
    step = (torch.arange(LINES, device=boxes.device, dtype=torch.float32) + 0.5) / LINES
    corner, first, second = (boxes[:, :, i, None, None, :].float() for i in range(3))
    return corner + step[None, :, None] * first + step[:, None, None] * second


def _on_grid(maps: torch.Tensor, boxes: torch.Tensor, size: int) -> torch.Tensor:
    """(N, C, h, w) -> (N, C, B, LINES, LINES)."""
    places = places_of_boxes(boxes)
    values = sampled(maps, places.flatten(2, 3), size)
    return values.reshape(*values.shape[:3], LINES, LINES)


def box_loss(foreground: torch.Tensor, boxes: torch.Tensor, seen: torch.Tensor, *, size: int) -> torch.Tensor:
    """Cross-entropy of "this line across the box meets a nucleus": the mean over lines, directions and boxes.

    Args:
        foreground: (N, h, w) logits.
        boxes: (N, B, 3, 2): a corner and the two sides that start there, in pixels of the crop.
        seen: (N, B) weight of each box, 0 for padding.
        size: Side of the crop, pixels.

    Returns:
        A scalar; 0 without boxes.
    """
    logits = _on_grid(foreground[:, None], boxes, size)[:, 0]
    middle = slice(SLACK, LINES - SLACK)
    best = torch.cat([logits.amax(2)[..., middle], logits.amax(3)[..., middle]], -1)
    return weighted_mean(F.softplus(-best).mean(-1), seen)


def box_class_loss(
    classes: torch.Tensor,
    foreground: torch.Tensor,
    boxes: torch.Tensor,
    truth: torch.Tensor,
    seen: torch.Tensor,
    *,
    size: int,
) -> torch.Tensor:
    """Cross-entropy of the class in each box, weighted by how sure the network is of a nucleus there.

    Args:
        classes: (N, 1 + C, h, w) logits.
        foreground: (N, h, w) logits; they only weigh here and are not trained.
        boxes: (N, B, 3, 2): a corner and the two sides that start there, in pixels of the crop.
        truth: (N, B) int64, 0 = unclassified.
        seen: (N, B) weight of each box, 0 for padding.
        size: Side of the crop, pixels.

    Returns:
        A scalar: the mean over classified boxes of the weighted mean in the box; 0 without any.
    """
    logits = _on_grid(classes, boxes, size)
    surely = _on_grid(foreground[:, None], boxes, size)[:, 0].detach().sigmoid()
    wanted = truth[:, :, None, None].expand(surely.shape)
    values = F.cross_entropy(logits, wanted, reduction="none") * surely
    in_box = values.sum((-2, -1)) / surely.sum((-2, -1)).clamp_min(1e-6)
    return weighted_mean(in_box, seen * (truth > 0))
