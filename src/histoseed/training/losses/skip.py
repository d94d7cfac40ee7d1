"""Losses of the instance representation. Every one honours the ignore area through ``weight``."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from histoseed.segmenters.targets import DISTANCES, SEMANTIC, Targets

__all__ = ["representation_loss"]


def _mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Weighted mean; 0 where nothing has weight."""
    return (values * weight).sum() / weight.sum().clamp_min(1e-6)


def _dice(probability: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Soft Dice loss over the whole batch (Milletari et al., 2016)."""
    overlap = (probability * truth * weight).sum()
    total = ((probability + truth) * weight).sum()
    return 1 - (2 * overlap + 1) / (total + 1)


def _slope(maps: torch.Tensor) -> torch.Tensor:
    """Differences of the four distance maps along their own directions. (N, 4, H - 2, W - 2)."""
    x, y, rising, falling = maps.unbind(1)
    return torch.stack(
        [
            x[:, 1:-1, 2:] - x[:, 1:-1, :-2],
            y[:, 2:, 1:-1] - y[:, :-2, 1:-1],
            rising[:, 2:, 2:] - rising[:, :-2, :-2],
            falling[:, :-2, 2:] - falling[:, 2:, :-2],
        ],
        1,
    )


def representation_loss(maps: torch.Tensor, targets: Targets) -> tuple[torch.Tensor, dict[str, float]]:
    """Loss of raw decoder maps against the targets.

    Args:
        maps: (N, 3 + 4 [+ 1 + classes], H, W) raw decoder output.
        targets: What it should become.

    Returns:
        The scalar to minimise, and its parts by name for the log.
    """
    maps = maps.float()
    weight = targets.weight
    semantic = maps[:, :SEMANTIC]
    balance = torch.tensor([1.0, 1.0, 2.0], device=maps.device)
    entropy = F.cross_entropy(semantic, targets.semantic, reduction="none")
    foreground = (targets.semantic > 0).float()
    cross = _mean(entropy, weight * balance[targets.semantic])
    dice = _dice(1 - semantic.softmax(1)[:, 0], foreground, weight)
    inside = (weight * foreground)[:, None]
    distances = maps[:, SEMANTIC : SEMANTIC + DISTANCES].tanh()
    square = _mean((distances - targets.distances) ** 2, inside.expand_as(distances))
    slopes = (_slope(distances) - _slope(targets.distances)) ** 2
    gradient = _mean(slopes, inside[:, :, 1:-1, 1:-1].expand_as(slopes))
    parts = {"semantic": cross, "dice": dice, "distance": 2 * square, "gradient": 2 * gradient}
    if maps.shape[1] > SEMANTIC + DISTANCES:
        kinds = maps[:, SEMANTIC + DISTANCES :]
        known = weight * (targets.classes > 0)
        parts["class"] = _mean(F.cross_entropy(kinds, targets.classes, reduction="none"), known)
    total = torch.stack(list(parts.values())).sum()
    return total, {name: float(value.detach()) for name, value in parts.items()}
