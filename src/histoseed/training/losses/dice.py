"""Soft Dice loss over the whole batch (Milletari et al., 3DV 2016, with sums instead of squares in the denominator)."""

from __future__ import annotations

from typing import Literal

import torch

from histoseed.training.losses.common import of_classes, of_values, one_hot

__all__ = ["HOVER_SMOOTH", "binary_dice_loss", "dice_loss"]

HOVER_SMOOTH = 1e-3
"""Smoothing of the Dice loss of HoVer-Net (Graham et al., 2019), which CellViT (Hörst et al., 2024) uses too."""


def binary_dice_loss(
    logits: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor | None = None, *, smooth: float = HOVER_SMOOTH
) -> torch.Tensor:
    """``1 - (2 sum(p t) + s) / (sum(p) + sum(t) + s)`` over what counts, ``p`` the logistic probability.

    Args:
        logits: Raw maps, any shape.
        truth: ``t`` in [0, 1], the same shape.
        weight: 0 inside the ignore area. It expands to the shape; None counts everything.
        smooth: ``s``, which makes nothing against nothing a perfect match.

    Returns:
        A scalar in [0, 1].

    >>> z, t = torch.tensor([0.0, 0.0]), torch.tensor([0.0, 1.0])
    >>> round(float(binary_dice_loss(z, t, smooth=0)), 4)  # 1 - 2 * 0.5 / (1 + 1)
    0.5
    """
    logits, truth, counts = of_values(logits, truth, weight)
    probability = logits.sigmoid()
    overlap = (probability * truth * counts).sum()
    total = ((probability + truth) * counts).sum()
    return 1 - (2 * overlap + smooth) / (total + smooth)


def dice_loss(
    logits: torch.Tensor,
    truth: torch.Tensor,
    weight: torch.Tensor | None = None,
    *,
    smooth: float = HOVER_SMOOTH,
    reduction: Literal["mean", "sum"] = "mean",
    present_only: bool = False,
) -> torch.Tensor:
    """The Dice loss of each softmax class against the others, averaged or added up.

    Args:
        logits: (N, C, ...) raw maps.
        truth: (N, ...) int64 in 0..C - 1; what stands inside the ignore area does not matter.
        weight: (N, ...), 0 inside the ignore area; None counts everything.
        smooth: See :func:`binary_dice_loss`.
        reduction: Over the classes; HoVer-Net and CellViT add them up.
        present_only: Leave out classes that do not occur in this batch. Their loss is about 1 for any probability at
            all, and with a few small crops that is most of them.

    Returns:
        A scalar; 0 where no class takes part.
    """
    logits, truth, counts = of_classes(logits, truth, weight)
    classes = logits.shape[1]
    known = one_hot(truth, classes, logits.dtype) * counts[:, None]
    probability = logits.softmax(1)
    overlap = _by_class(probability * known)
    total = _by_class(probability * counts[:, None]) + _by_class(known)
    values = 1 - (2 * overlap + smooth) / (total + smooth)
    return over_classes(values, _by_class(known) > 0 if present_only else None, reduction)


def _by_class(values: torch.Tensor) -> torch.Tensor:
    return values.sum([i for i in range(values.ndim) if i != 1])


def over_classes(values: torch.Tensor, present: torch.Tensor | None, reduction: Literal["mean", "sum"]) -> torch.Tensor:
    """Mean or sum of (C,) values over the classes that take part."""
    if present is None:
        return values.mean() if reduction == "mean" else values.sum()
    total = torch.where(present, values, 0.0).sum()
    return total / present.sum().clamp_min(1) if reduction == "mean" else total
