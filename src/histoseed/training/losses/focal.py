"""Focal loss: cross-entropy that looks away from what is already right (Lin et al., ICCV 2017, equations 4 and 5)."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from histoseed.training.losses.common import of_classes, of_values, power, weighted_mean

__all__ = ["binary_focal_loss", "focal_loss"]


def binary_focal_loss(
    logits: torch.Tensor,
    truth: torch.Tensor,
    weight: torch.Tensor | None = None,
    *,
    gamma: float = 2.0,
    alpha: float | None = None,
) -> torch.Tensor:
    """Mean of ``-a (1 - p)^gamma log p`` over what counts, ``p`` the probability of what is true.

    Lin et al. divide by the number of objects; here it is the mean over pixels, as for the other losses.

    Args:
        logits: Raw maps, any shape.
        truth: 0 or 1, the same shape.
        weight: 0 inside the ignore area. It expands to the shape; None counts everything.
        gamma: How far it looks away; 0 is cross-entropy, 2 the value of the paper.
        alpha: ``a`` of what is true, ``1 - alpha`` of what is not (0.25 in the paper); None is 1 for both.

    Returns:
        A scalar, 0 where nothing counts.

    >>> z, t = torch.tensor([0.0]), torch.tensor([1.0])
    >>> round(float(binary_focal_loss(z, t)), 4)  # 0.5 ** 2 * ln 2
    0.1733
    """
    logits, truth, counts = of_values(logits, truth, weight)
    signed = torch.where(truth > 0.5, logits, -logits)
    # exp(gamma log(1 - p)): exact where p is near 1, and smooth for every gamma.
    values = -torch.exp(gamma * F.logsigmoid(-signed)) * F.logsigmoid(signed)
    if alpha is not None:
        values = values * torch.where(truth > 0.5, alpha, 1 - alpha)
    return weighted_mean(values, counts)


def focal_loss(
    logits: torch.Tensor,
    truth: torch.Tensor,
    weight: torch.Tensor | None = None,
    *,
    gamma: float = 2.0,
    alpha: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean of ``-a (1 - p)^gamma log p`` over what counts, ``p`` the softmax probability of the true class.

    Args:
        logits: (N, C, ...) raw maps.
        truth: (N, ...) int64 in 0..C - 1; what stands inside the ignore area does not matter.
        weight: (N, ...), 0 inside the ignore area; None counts everything.
        gamma: How far it looks away; 0 is cross-entropy.
        alpha: (C,) factor ``a`` of each true class; None is 1. It is no part of what the mean divides by.

    Returns:
        A scalar, 0 where nothing counts.
    """
    logits, truth, counts = of_classes(logits, truth, weight)
    log_p = -F.cross_entropy(logits, truth, reduction="none")
    values = -power(-torch.expm1(log_p), gamma) * log_p
    if alpha is not None:
        values = values * alpha.to(logits)[truth]
    return weighted_mean(values, counts)
