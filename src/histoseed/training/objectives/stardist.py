"""The loss of a StarDist-type head (Schmidt et al., MICCAI 2018)."""

from __future__ import annotations

import torch
from torch import nn

from histoseed.segmenters.stardist import RAYS, UNIT, StarTargets
from histoseed.training.losses import binary_cross_entropy_loss, cross_entropy_loss

__all__ = ["stardist_objective"]


def stardist_objective(
    maps: torch.Tensor, targets: StarTargets, decoder: nn.Module, /
) -> tuple[torch.Tensor, dict[str, float]]:
    """The sum of three parts.

    Cross-entropy against the object probability, the absolute error of the distances that are seen, weighted by that
    probability, and the cross-entropy of the class of classified nuclei.

    Args:
        maps: (N, 1 + RAYS [+ 1 + classes], h, w) raw maps.
        targets: What they should become.
        decoder: Not looked at.
    """
    del decoder
    maps = maps.float()
    rays, kinds = maps[:, 1 : 1 + RAYS], maps[:, 1 + RAYS :]
    mass = (targets.probability * targets.weight)[:, None] * targets.seen
    error = (rays - targets.distances / UNIT).abs()
    parts = {
        "probability": binary_cross_entropy_loss(maps[:, 0], targets.probability, targets.weight),
        "distance": (error * mass).sum() / mass.sum().clamp_min(1e-6),
    }
    if kinds.shape[1]:
        known = targets.weight * (targets.classes > 0)
        parts["class"] = cross_entropy_loss(kinds, targets.classes, known)
    total = torch.stack(list(parts.values())).sum()
    return total, {name: float(value.detach()) for name, value in parts.items()}
