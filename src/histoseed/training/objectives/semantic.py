"""The loss of a semantic model: cross-entropy, or focal loss, and Dice."""

from __future__ import annotations

import torch
from torch import nn

from histoseed.segmenters.semantic import SemanticDecoder, SemanticTargets
from histoseed.training.losses import cross_entropy_loss, dice_loss, focal_loss

__all__ = ["semantic_objective"]


def semantic_objective(
    maps: torch.Tensor, targets: SemanticTargets, decoder: nn.Module, /
) -> tuple[torch.Tensor, dict[str, float]]:
    """The sum of two parts: one that looks at pixels, one that gives every class of the batch the same weight.

    Args:
        maps: (N, 1 + classes, H, W) raw maps.
        targets: What they should become.
        decoder: Says whether there is background, and the exponent of the focal loss.
    """
    if not isinstance(decoder, SemanticDecoder):
        raise TypeError("maps of this kind come from a SemanticDecoder")
    truth, weight = targets.classes, targets.weight
    if not decoder.background:  # the first map is not looked at, and what has no class is not known
        maps, truth, weight = maps[:, 1:], (truth - 1).clamp_min(0), weight * (truth > 0)
    pixels = (
        focal_loss(maps, truth, weight, gamma=decoder.focal)
        if decoder.focal
        else cross_entropy_loss(maps, truth, weight)
    )
    parts = {"class": pixels, "class dice": dice_loss(maps, truth, weight, present_only=True)}
    total = torch.stack(list(parts.values())).sum()
    return total, {name: float(value.detach()) for name, value in parts.items()}
