"""The loss of an InstanSeg-type segmenter (Goldsborough et al., 2024)."""

from __future__ import annotations

import torch
from torch import nn

from histoseed.segmenters.instanseg import EMBEDDING, MAPS, REACH, UNIT, InstansegDecoder, InstansegTargets, moved
from histoseed.training.losses import cross_entropy_loss, lovasz_hinge_loss

__all__ = ["instanseg_objective"]


def instanseg_objective(
    maps: torch.Tensor, targets: InstansegTargets, decoder: nn.Module, /
) -> tuple[torch.Tensor, dict[str, float]]:
    """The sum of three parts.

    The Lovász hinge of what each sampled seed claims in its window, the absolute error of the seed map, and the
    cross-entropy of the class of classified nuclei.

    Args:
        maps: (N, 5 [+ 1 + classes], H, W) raw maps.
        targets: What they should become, and the seeds to train on.
        decoder: Its pixel classifier is trained with the maps.
    """
    if not isinstance(decoder, InstansegDecoder):
        raise TypeError("maps of this kind come from an InstansegDecoder")
    maps = maps.float()
    weight = targets.weight
    error = (maps[:, 2 * EMBEDDING].sigmoid() - targets.seed).abs()
    parts = {"seed": (error * weight).sum() / weight.sum().clamp_min(1e-6)}
    parts["instance"] = lovasz_hinge_loss(*_claims(maps, targets, decoder)) if len(targets.seeds) else maps.sum() * 0
    if maps.shape[1] > MAPS:
        known = weight * (targets.classes > 0)
        parts["class"] = cross_entropy_loss(maps[:, MAPS:], targets.classes, known)
    total = torch.stack(list(parts.values())).sum()
    return total, {name: float(value.detach()) for name, value in parts.items()}


def _claims(
    maps: torch.Tensor, targets: InstansegTargets, decoder: InstansegDecoder
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, truth and weight of every window. (M, w, w) each."""
    height, width = maps.shape[-2:]
    image, row, column = targets.seeds.unbind(1)
    window = torch.arange(-REACH, REACH + 1, device=maps.device)
    y, x = row[:, None] + window, column[:, None] + window
    inside = ((y >= 0) & (y < height))[:, :, None] & ((x >= 0) & (x < width))[:, None]
    at = (image[:, None, None], y.clamp(0, height - 1)[:, :, None], x.clamp(0, width - 1)[:, None])
    points = moved(maps).movedim(1, -1)
    apart = torch.stack(torch.meshgrid(window, window, indexing="xy"), -1) / UNIT
    spread = maps[:, EMBEDDING : 2 * EMBEDDING].movedim(1, -1)
    apart = apart + points[at] - points[image, row, column][:, None, None]
    logits: torch.Tensor = decoder.pixels(torch.cat([apart, spread[at]], -1))[..., 0]
    truth = (targets.labels[at] == targets.labels[image, row, column][:, None, None]).float()
    return logits, truth, inside * targets.weight[at]
