"""The loss of classes from cell tokens."""

from __future__ import annotations

import torch

from histoseed.segmenters.cell_tokens import CellClassifier, mean_tokens
from histoseed.training.losses import cross_entropy_loss

__all__ = ["boxed_class_loss", "cell_class_loss"]


def cell_class_loss(
    classifier: CellClassifier, tokens: torch.Tensor, labels: torch.Tensor, classes: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy over the cells of known class.

    Args:
        classifier: Is trained.
        tokens: (N, E, h, w) deepest map of the encoder.
        labels: (N, H, W) int64 instance labels; no instance lies in the ignore area.
        classes: (N, H, W) int64 class of each pixel, 0 = unclassified.

    Returns:
        A scalar; 0 where no cell has a class.
    """
    logits, owner = classifier.of_labels(tokens, labels)
    count = int(labels.max()) + 1
    of_label = torch.zeros(len(labels) * count, dtype=torch.int64, device=labels.device)
    numbers = labels + count * torch.arange(len(labels), device=labels.device)[:, None, None]
    # All pixels of an instance have one class.
    of_label[numbers.reshape(-1)] = classes.reshape(-1)
    truth = of_label[owner[:, 0] * count + owner[:, 1]]
    return cross_entropy_loss(logits, (truth - 1).clamp_min(0), (truth > 0).float())


def boxed_class_loss(
    classifier: CellClassifier, tokens: torch.Tensor, boxes: torch.Tensor, truth: torch.Tensor, size: int
) -> torch.Tensor:
    """Cross-entropy of cells that are known by their boxes only.

    Args:
        classifier: Is trained.
        tokens: (N, E, h, w) deepest map of the encoder.
        boxes: (N, B, 4) first row, first column, last row, last column, pixels of the crop; what lies outside is cut.
        truth: (N, B) int64 class of each box, 0 = unclassified or padding.
        size: Side of the crop, pixels.

    Returns:
        A scalar; 0 where no box has a class.
    """
    image, column = torch.nonzero(truth, as_tuple=True)
    if not len(image):
        return tokens.sum() * 0
    # The last pixel that a box touches is the one before its far edge.
    edges = boxes[image, column] - torch.tensor([0.0, 0.0, 1e-3, 1e-3], device=boxes.device)
    pixels = edges.floor().long().clamp(0, size - 1)
    logits = classifier(mean_tokens(tokens, image, pixels, (size, size)))
    return cross_entropy_loss(logits, truth[image, column] - 1)
