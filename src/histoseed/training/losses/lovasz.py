"""Lovász losses: the Jaccard index itself, made piecewise linear (Berman et al., CVPR 2018, algorithm 1).

Errors at pixels are sorted from large to small; each counts by how much the Jaccard loss grows when its pixel joins the
wrong ones. Pixels of weight 0 are left out, all others count alike: a set has no weights.
"""

from __future__ import annotations

import torch

from histoseed.training.losses.common import of_classes, of_values, one_hot

__all__ = ["lovasz_hinge_loss", "lovasz_softmax_loss"]


def lovasz_hinge_loss(
    logits: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor | None = None, *, per_image: bool = True
) -> torch.Tensor:
    """Lovász extension of the Jaccard loss over the hinge errors ``1 - z (2 t - 1)`` of one map.

    Args:
        logits: Raw maps ``z``. Shape (N, ...).
        truth: ``t``, 0 or 1, the same shape.
        weight: 0 inside the ignore area. It expands to the shape; None counts everything.
        per_image: The mean over the images; otherwise the pixels of all images are one set.

    Returns:
        A scalar, at least 0. An image in which nothing counts adds 0.

    >>> z, t = torch.tensor([[-1.0, 3.0]]), torch.tensor([[1.0, 1.0]])
    >>> float(lovasz_hinge_loss(z, t))  # the error 2 at one of two pixels
    1.0
    """
    logits, truth, counts = of_values(logits, truth, weight)
    rows = logits.shape[0] if per_image else 1
    flat, known, counts = (value.reshape(rows, -1) for value in (logits, truth, counts))
    return _extension(1 - flat * (2 * known - 1), known, counts > 0).mean()


def lovasz_softmax_loss(
    logits: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor | None = None, *, present_only: bool = True
) -> torch.Tensor:
    """Lovász extension of the Jaccard loss over the errors ``|t - p|`` of each softmax class, mean over the classes.

    Args:
        logits: (N, C, ...) raw maps.
        truth: (N, ...) int64 in 0..C - 1; what stands inside the ignore area does not matter.
        weight: (N, ...), 0 inside the ignore area; None counts everything.
        present_only: The mean over the classes that occur, as in the paper; otherwise over all.

    Returns:
        A scalar in [0, 1]; 0 where nothing counts.
    """
    logits, truth, counts = of_classes(logits, truth, weight)
    classes = logits.shape[1]
    counted = (counts > 0).reshape(1, -1).expand(classes, -1)
    known = one_hot(truth, classes, logits.dtype).movedim(1, 0).reshape(classes, -1) * counted
    probability = logits.softmax(1).movedim(1, 0).reshape(classes, -1)
    values = _extension((known - probability).abs(), known, counted)
    if not present_only:
        return values.mean()
    present = known.sum(1) > 0
    return torch.where(present, values, 0.0).sum() / present.sum().clamp_min(1)


def _extension(errors: torch.Tensor, truth: torch.Tensor, counted: torch.Tensor) -> torch.Tensor:
    """The Lovász extension of the Jaccard loss, by row. All (B, P); returns (B,)."""
    # Below every error that has a price: behind it, nothing that follows matters.
    errors, order = torch.where(counted, errors, -1.0).sort(dim=1, descending=True)
    known = truth.gather(1, order)
    total = known.sum(1, keepdim=True)
    common = total - known.cumsum(1)
    union = total + (1 - known).cumsum(1)
    jaccard = 1 - common / union
    growth = torch.cat([jaccard[:, :1], jaccard[:, 1:] - jaccard[:, :-1]], 1)
    return (errors.clamp_min(0) * growth).sum(1)
