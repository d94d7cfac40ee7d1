"""Focal Tversky loss (Abraham & Khan, ISBI 2019), in the form of CellViT (Hörst et al., 2024).

The Tversky index ``(TP + s) / (TP + alpha FN + beta FP + s)`` is the Dice coefficient where ``alpha = beta = 0.5`` and
the Jaccard index where both are 1. The loss is ``(1 - index) ^ gamma``; Abraham & Khan write the exponent as
``1 / gamma`` with ``gamma`` = 4/3, CellViT takes 4/3 itself, and so does this module.
"""

from __future__ import annotations

from typing import Literal

import torch

from histoseed.training.losses.common import of_classes, of_values, one_hot, power
from histoseed.training.losses.dice import over_classes

__all__ = [
    "CELLVIT_ALPHA",
    "CELLVIT_BETA",
    "CELLVIT_GAMMA",
    "CELLVIT_SMOOTH",
    "binary_focal_tversky_loss",
    "focal_tversky_loss",
]

CELLVIT_ALPHA = 0.7
"""Weight of what is missed (false negatives) in CellViT, after Abraham & Khan."""
CELLVIT_BETA = 0.3
"""Weight of what is invented (false positives) in CellViT, after Abraham & Khan."""
CELLVIT_GAMMA = 4 / 3
"""Exponent in CellViT."""
CELLVIT_SMOOTH = 1e-6
"""Smoothing in CellViT."""


def binary_focal_tversky_loss(
    logits: torch.Tensor,
    truth: torch.Tensor,
    weight: torch.Tensor | None = None,
    *,
    alpha: float = CELLVIT_ALPHA,
    beta: float = CELLVIT_BETA,
    gamma: float = CELLVIT_GAMMA,
    smooth: float = CELLVIT_SMOOTH,
) -> torch.Tensor:
    """Focal Tversky loss of one logistic map.

    Args:
        logits: Raw maps, any shape.
        truth: In [0, 1], the same shape.
        weight: 0 inside the ignore area. It expands to the shape; None counts everything.
        alpha: Weight of what is missed.
        beta: Weight of what is invented.
        gamma: Exponent; 1 is the Tversky loss (Salehi et al., 2017).
        smooth: Makes nothing against nothing a perfect match.

    Returns:
        A scalar in [0, 1].

    >>> z, t = torch.tensor([0.0, 0.0]), torch.tensor([0.0, 1.0])
    >>> round(float(binary_focal_tversky_loss(z, t, gamma=1)), 4)  # TP = FN = FP = 0.5
    0.5
    """
    logits, truth, counts = of_values(logits, truth, weight)
    probability = logits.sigmoid()
    hit = (probability * truth * counts).sum()
    missed = ((1 - probability) * truth * counts).sum()
    invented = (probability * (1 - truth) * counts).sum()
    return _loss(hit, alpha * missed + beta * invented, gamma, smooth)


def focal_tversky_loss(
    logits: torch.Tensor,
    truth: torch.Tensor,
    weight: torch.Tensor | None = None,
    *,
    alpha: float = CELLVIT_ALPHA,
    beta: float = CELLVIT_BETA,
    gamma: float = CELLVIT_GAMMA,
    smooth: float = CELLVIT_SMOOTH,
    class_weights: torch.Tensor | None = None,
    reduction: Literal["mean", "sum", "pooled"] = "mean",
    present_only: bool = False,
) -> torch.Tensor:
    """Focal Tversky loss of softmax classes.

    Args:
        logits: (N, C, ...) raw maps.
        truth: (N, ...) int64 in 0..C - 1; what stands inside the ignore area does not matter.
        weight: (N, ...), 0 inside the ignore area; None counts everything.
        alpha: Weight of what is missed.
        beta: Weight of what is invented.
        gamma: Exponent.
        smooth: See :func:`binary_focal_tversky_loss`.
        class_weights: (C,) factor of each class; not with "pooled".
        reduction: ``sum`` over the classes is what CellViT does for its type maps, ``mean`` divides by their number.
            ``pooled`` counts hits, misses and inventions over all classes together before the index is made, as
            CellViT does for its two nucleus maps. There every miss of one class is an invention of another, so that
            for ``alpha + beta = 1`` it is ``(1 - mean probability of the truth) ^ gamma`` whatever alpha and beta are.
        present_only: Leave out classes that do not occur in this batch; not with "pooled".

    Returns:
        A scalar; 0 where no class takes part.
    """
    logits, truth, counts = of_classes(logits, truth, weight)
    known = one_hot(truth, logits.shape[1], logits.dtype)
    probability = logits.softmax(1)
    over = [i for i in range(logits.ndim) if i != 1 or reduction == "pooled"]
    counts = counts[:, None]
    hit = (probability * known * counts).sum(over)
    missed = ((1 - probability) * known * counts).sum(over)
    invented = (probability * (1 - known) * counts).sum(over)
    values = _loss(hit, alpha * missed + beta * invented, gamma, smooth)
    if reduction == "pooled":
        return values
    if class_weights is not None:
        values = values * class_weights.to(logits)
    present = (known * counts).sum(over) > 0 if present_only else None
    return over_classes(values, present, reduction)


def _loss(hit: torch.Tensor, errors: torch.Tensor, gamma: float, smooth: float) -> torch.Tensor:
    # 1 - index, written without a difference of two numbers near 1.
    return power(errors / (hit + errors + smooth), gamma)
