"""Losses of promptable models: one value for every prompt, so that no mean hides another.

Every loss of a mask is a *mean over its cells*: it does not depend on how many there are. (A focal loss that is summed
over pixels grows with the square of the side; beside Dice it then decides everything.) Expected and reached IoU must
have the same shape: (N, 1) against (N,) would be compared crosswise, without an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F

from histoseed.errors import InputError

__all__ = ["LossName", "PromptLoss", "iou_error", "mask_bce", "mask_dice", "mask_focal", "mask_iou", "prompt_loss"]

LossName = Literal["bce", "bce-iou", "focal-dice-iou"]

_ALPHA, _GAMMA = 0.25, 2.0
_FOCAL, _IOU = 20.0, 0.05
"""Weights of the losses of SAM (Kirillov et al., 2023) and of "Rapid Cytomine" (University of Liege, 2025)."""


@dataclass(frozen=True, slots=True, eq=False)
class PromptLoss:
    """What prompts cost.

    Args:
        total: (B,), with gradients.
        parts: The same by name, each (B,), without gradients.
        dice: (B,) Dice of the answer that would be given, at the cells.
    """

    total: torch.Tensor
    parts: dict[str, torch.Tensor]
    dice: torch.Tensor


def prompt_loss(
    name: LossName, logits: torch.Tensor, scores: torch.Tensor, target: torch.Tensor, counts: torch.Tensor
) -> PromptLoss:
    """The loss of each prompt.

    Of several candidates the one whose mask is best is taught, as in SAM: the others are free to mean something else.
    The expected IoU of all of them is.

    Args:
        name: ``bce``: cross-entropy; ``bce-iou``: cross-entropy + 0.05 |expected - reached IoU|; ``focal-dice-iou``:
            20 focal + Dice + (expected - reached IoU)^2, as SAM was trained.
        logits: (B, K, h, w).
        scores: (B, K) expected IoU.
        target: (B, h, w) in [0, 1], how much of each cell is object.
        counts: (B, h, w), 0 where a cell counts for nothing.

    Raises:
        InputError: shapes that do not belong together, or an unknown name.
    """
    _check_shapes(logits, scores, target, counts)
    truth, weight = target[:, None].expand_as(logits), counts[:, None].expand_as(logits)
    reached = mask_iou(logits, truth, weight)
    if name == "focal-dice-iou":
        masks = {"focal": _FOCAL * mask_focal(logits, truth, weight), "dice_loss": mask_dice(logits, truth, weight)}
        quality = {"iou_error": iou_error(scores, reached, squared=True)}
    elif name in {"bce", "bce-iou"}:
        masks = {"bce": mask_bce(logits, truth, weight)}
        quality = {"iou_error": _IOU * iou_error(scores, reached)} if name == "bce-iou" else {}
    else:
        raise InputError(f"There is no loss {name!r}.", where="--loss", fix="Use bce, bce-iou or focal-dice-iou.")
    best = torch.stack(list(masks.values())).sum(0).detach().argmin(1, keepdim=True)
    parts = {key: value.gather(1, best)[:, 0] for key, value in masks.items()}
    parts |= {key: value.mean(1) for key, value in quality.items()}
    given = reached.gather(1, scores.detach().argmax(1, keepdim=True))[:, 0]
    return PromptLoss(
        torch.stack(list(parts.values())).sum(0), {k: v.detach() for k, v in parts.items()}, 2 * given / (1 + given)
    )


def mask_bce(logits: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy of each mask. (..., h, w) -> (...)."""
    return _mean(F.binary_cross_entropy_with_logits(logits, truth, reduction="none"), weight)


def mask_focal(logits: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean focal loss of each mask, ``-a (1 - p)^2 log p`` (Lin et al., 2017; alpha 0.25). (..., h, w) -> (...).

    A cell that is part object is a mixture of both answers.
    """
    p = logits.sigmoid()
    inside = -_ALPHA * (1 - p) ** _GAMMA * F.logsigmoid(logits)
    outside = -(1 - _ALPHA) * p**_GAMMA * F.logsigmoid(-logits)
    return _mean(truth * inside + (1 - truth) * outside, weight)


def mask_dice(logits: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """``1 - (2 sum(p t) + 1) / (sum(p) + sum(t) + 1)`` of each mask. (..., h, w) -> (...)."""
    p, t = logits.sigmoid() * weight, truth * weight
    return 1 - (2 * (p * t).sum((-2, -1)) + 1) / ((p + t).sum((-2, -1)) + 1)


def mask_iou(logits: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """IoU of what lies above 0 and of cells that are mostly object; nothing against nothing is 1. Without gradients."""
    found, true = (logits.detach() > 0) & (weight > 0), (truth > 0.5) & (weight > 0)
    union = (found | true).sum((-2, -1))
    return torch.where(union > 0, (found & true).sum((-2, -1)) / union.clamp_min(1), 1.0)


def iou_error(expected: torch.Tensor, reached: torch.Tensor, *, squared: bool = False) -> torch.Tensor:
    """How far the expected IoU of each mask is from the one it reaches.

    Args:
        expected: Any shape.
        reached: The same shape.
        squared: Squared instead of absolute.

    Raises:
        InputError: another shape; nothing is broadcast.
    """
    if expected.shape != reached.shape:
        what = f"Expected IoUs of shape {tuple(expected.shape)}, reached ones of {tuple(reached.shape)}."
        raise InputError(what, where="loss")
    error = expected - reached
    return error.square() if squared else error.abs()


def _mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return (values * weight).sum((-2, -1)) / weight.sum((-2, -1)).clamp_min(1e-12)


def _check_shapes(logits: torch.Tensor, scores: torch.Tensor, target: torch.Tensor, counts: torch.Tensor) -> None:
    fits = logits.ndim == 4 and scores.shape == logits.shape[:2]
    if not fits or not target.shape == counts.shape == (logits.shape[0], *logits.shape[2:]):
        shapes = ", ".join(str(tuple(t.shape)) for t in (logits, scores, target, counts))
        raise InputError(f"Logits, scores, target and weight do not belong together: {shapes}.", where="loss")
