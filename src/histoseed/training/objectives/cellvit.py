"""The loss of CellViT with the weights of the paper (Hörst et al., Medical Image Analysis 2024)."""

from __future__ import annotations

import torch
from torch import nn

from histoseed.segmenters.cellvit import HEADS, CellVitTargets
from histoseed.training.losses import cross_entropy_loss, dice_loss, focal_tversky_loss, hv_gradient_loss, hv_loss

__all__ = ["WEIGHTS", "cellvit_objective"]

WEIGHTS = {
    "nucleus tversky": 1.0,
    "nucleus dice": 1.0,
    "offset": 2.5,
    "offset slope": 8.0,
    "class": 0.5,
    "class dice": 0.2,
    "class tversky": 0.5,
}
"""Of the parts, as published."""


def cellvit_objective(
    maps: torch.Tensor, targets: CellVitTargets, decoder: nn.Module, /
) -> tuple[torch.Tensor, dict[str, float]]:
    """The weighted sum of the parts in :data:`WEIGHTS`.

    Focal Tversky and Dice of the nucleus map, squared error and squared slope error of the offsets, and of the type
    map cross-entropy, Dice and focal Tversky over the classes that the batch shows.

    Args:
        maps: (N, 4 [+ 1 + classes], H, W) raw maps.
        targets: What they should become. Nuclei of unknown class do not train the type map.
        decoder: Not looked at.
    """
    del decoder
    maps = maps.float()
    first, second = HEADS
    nucleus, offsets, kinds = maps[:, :first], maps[:, first : first + second], maps[:, first + second :]
    weight, truth = targets.weight, targets.nucleus
    parts = {
        "nucleus tversky": focal_tversky_loss(nucleus, truth, weight, reduction="pooled"),
        "nucleus dice": dice_loss(nucleus, truth, weight, reduction="sum"),
        "offset": hv_loss(offsets, targets.offsets, weight),
        "offset slope": hv_gradient_loss(offsets, targets.offsets, truth, weight),
    }
    if kinds.shape[1]:
        known = targets.known
        parts |= {
            "class": cross_entropy_loss(kinds, targets.classes, known),
            "class dice": dice_loss(kinds, targets.classes, known, reduction="sum", present_only=True),
            "class tversky": focal_tversky_loss(kinds, targets.classes, known, reduction="sum", present_only=True),
        }
    weighted = {name: WEIGHTS[name] * value for name, value in parts.items()}
    total = torch.stack(list(weighted.values())).sum()
    return total, {name: float(value.detach()) for name, value in weighted.items()}
