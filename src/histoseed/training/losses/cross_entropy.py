"""Cross-entropy: of two classes, and of many."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from histoseed.training.losses.common import of_classes, of_values, weighted_mean

__all__ = ["binary_cross_entropy_loss", "cross_entropy_loss"]


def binary_cross_entropy_loss(
    logits: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor | None = None, *, positive_weight: float = 1.0
) -> torch.Tensor:
    """Mean of ``-[w t log s(z) + (1 - t) log(1 - s(z))]`` over what counts, ``s`` the logistic function.

    Args:
        logits: Raw maps ``z``, any shape.
        truth: ``t`` in [0, 1], the same shape; a probability is a soft target.
        weight: 0 inside the ignore area. It expands to the shape; None counts everything.
        positive_weight: ``w``, of what is true.

    Returns:
        A scalar, 0 where nothing counts.

    >>> z, t = torch.tensor([0.0, 0.0]), torch.tensor([0.0, 1.0])
    >>> round(float(binary_cross_entropy_loss(z, t)), 4)  # ln 2
    0.6931
    """
    logits, truth, counts = of_values(logits, truth, weight)
    positive = torch.as_tensor(positive_weight, dtype=logits.dtype, device=logits.device)
    values = F.binary_cross_entropy_with_logits(logits, truth, reduction="none", pos_weight=positive)
    return weighted_mean(values, counts)


def cross_entropy_loss(
    logits: torch.Tensor,
    truth: torch.Tensor,
    weight: torch.Tensor | None = None,
    *,
    class_weights: torch.Tensor | None = None,
) -> torch.Tensor:
    """Mean of ``-log p`` of the true class over what counts.

    Args:
        logits: (N, C, ...) raw maps.
        truth: (N, ...) int64 in 0..C - 1; what stands inside the ignore area does not matter.
        weight: (N, ...), 0 inside the ignore area; None counts everything.
        class_weights: (C,) factor of each true class; the mean is over the weights so changed.

    Returns:
        A scalar, 0 where nothing counts.

    >>> z = torch.zeros(1, 4, 2, 2)
    >>> round(float(cross_entropy_loss(z, torch.zeros(1, 2, 2, dtype=torch.int64))), 4)  # ln 4
    1.3863
    """
    logits, truth, counts = of_classes(logits, truth, weight)
    if class_weights is not None:
        counts = counts * class_weights.to(logits)[truth]
    return weighted_mean(F.cross_entropy(logits, truth, reduction="none"), counts)
