"""Label images -> seed map and a sample of seeds (Goldsborough et al., InstanSeg, 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from histoseed.segmenters.stardist.targets import normalised_depth

__all__ = ["MOST_SEEDS", "InstansegTargets", "make_instanseg_targets"]

MOST_SEEDS = 128
"""Seeds a batch is trained on; the instances beyond take their turn in other steps."""


@dataclass(frozen=True, slots=True)
class InstansegTargets:
    """What a batch should become. All on the device of the labels.

    Args:
        labels: (N, H, W) int64 instance labels.
        seed: (N, H, W) float32: depth in the instance / greatest depth of the instance, 0 on background.
        classes: (N, H, W) int64, 0 = unclassified or background.
        weight: (N, H, W) float32, 0 inside the ignore area, else 1.
        seeds: (M, 3) int64: image, row and column of one pixel in each sampled instance.
    """

    labels: torch.Tensor
    seed: torch.Tensor
    classes: torch.Tensor
    weight: torch.Tensor
    seeds: torch.Tensor


def _sampled(labels: torch.Tensor, depth: torch.Tensor, generator: torch.Generator | None) -> torch.Tensor:
    """One pixel an instance, drawn with its depth as weight; without a generator the deepest. On the processor."""
    n, height, width = labels.shape
    at = torch.nonzero(labels.reshape(-1))[:, 0]
    count = int(labels.max()) + 1
    owner = labels.reshape(-1)[at] + count * (at // (height * width))
    key = depth.reshape(-1)[at].double()
    if generator is not None:
        # The largest u ** (1 / weight) is a draw by weight (Efraimidis & Spirakis, 2006).
        key = torch.rand(len(at), generator=generator, dtype=torch.float64).log() / key.clamp_min(1e-6)
    best = torch.full((n * count,), -torch.inf, dtype=torch.float64).scatter_reduce_(0, owner, key, "amax")
    tops = torch.nonzero(key == best[owner])[:, 0]
    # The first of equals.
    first = torch.full((n * count,), len(at), dtype=torch.int64).scatter_reduce_(0, owner[tops], tops, "amin")
    chosen = first[first < len(at)]
    if len(chosen) > MOST_SEEDS:
        order = torch.randperm(len(chosen), generator=generator) if generator is not None else torch.arange(len(chosen))
        chosen = chosen[order[:MOST_SEEDS]]
    place = at[chosen]
    return torch.stack([place // (height * width), place // width % height, place % width], 1)


def make_instanseg_targets(
    labels: torch.Tensor,
    *,
    classes: torch.Tensor | None = None,
    ignore: torch.Tensor | None = None,
    generator: torch.Generator | None = None,
) -> InstansegTargets:
    """Targets of a batch of label images; arguments as in :meth:`histoseed.segmenters.Representation.targets`."""
    device = labels.device
    own = (labels if ignore is None else labels.masked_fill(ignore, -1)).cpu()
    depth = torch.from_numpy(np.stack([normalised_depth(one) for one in own.numpy()]))
    kinds = torch.zeros_like(labels) if classes is None else classes * (labels > 0)
    weight = torch.ones(labels.shape, device=device) if ignore is None else (~ignore).float()
    return InstansegTargets(
        labels, depth.to(device), kinds, weight, _sampled(own.clamp_min(0), depth, generator).to(device)
    )
