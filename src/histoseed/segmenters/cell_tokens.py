"""Classes from the encoder's tokens in each cell's box, after CellViT++ (Hörst et al., 2025).

A cell is described by the mean of the deepest tokens whose cells of the grid its bounding box touches; a small network
turns that into a class. CellViT++ trains this network alone, behind a segmentation that never changes; here it is an
option of every decoder and is trained together with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

__all__ = ["CellClassifier", "CellTokens", "boxes_of", "mean_tokens"]

Floats = npt.NDArray[np.float32]


def boxes_of(labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Bounding boxes of all instances of a batch.

    Args:
        labels: (N, H, W) int64, 0 = background.

    Returns:
        (n, 2) int64: image and label, in this order; and (n, 4) int64: first row, first column, last row, last column.
    """
    count = int(labels.max()) + 1
    image, row, column = torch.nonzero(labels, as_tuple=True)
    owner = image * count + labels[image, row, column]
    present = torch.unique(owner)
    size = len(labels) * count
    corners = []
    for along, how in ((row, "amin"), (column, "amin"), (row, "amax"), (column, "amax")):
        corner = torch.zeros(size, dtype=torch.int64, device=labels.device)
        corners.append(corner.scatter_reduce_(0, owner, along, how, include_self=False)[present])
    return torch.stack([present // count, present % count], 1), torch.stack(corners, 1)


def mean_tokens(tokens: torch.Tensor, image: torch.Tensor, boxes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Mean of the tokens that each box touches.

    Args:
        tokens: (N, E, h, w), which covers the whole image.
        image: (n,) int64 which image of the batch.
        boxes: (n, 4) int64, see :func:`boxes_of`.
        size: Rows and columns of the image.

    Returns:
        (n, E) float32. The sum of a box is read off at four places of an integral image.
    """
    h, w = tokens.shape[-2:]
    integral = torch.nn.functional.pad(tokens.double().cumsum(2).cumsum(3), (1, 0, 1, 0))
    grid = torch.tensor([h, w, h, w], device=boxes.device)
    sides = torch.tensor([*size, *size], device=boxes.device)
    cells = torch.div(boxes * grid, sides, rounding_mode="floor")
    top, left, bottom, right = cells[:, 0], cells[:, 1], cells[:, 2] + 1, cells[:, 3] + 1

    def at(row: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
        return integral[image, :, row, column]

    total = at(bottom, right) - at(top, right) - at(bottom, left) + at(top, left)
    return (total / ((bottom - top) * (right - left))[:, None]).float()


class CellClassifier(nn.Module):
    """Token -> class: Linear, ReLU, dropout, Linear, as published.

    Args:
        channels: Of the tokens.
        classes: Number of classes.
        hidden: Units in between.
        dropout: Share of them dropped in training.
    """

    def __init__(self, channels: int, classes: int, *, hidden: int = 128, dropout: float = 0.1) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, classes)
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(n, channels) -> logits (n, classes)."""
        logits: torch.Tensor = self.layers(tokens)
        return logits

    def of_labels(self, tokens: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of every instance of a batch.

        Args:
            tokens: (N, E, h, w) deepest map of the encoder.
            labels: (N, H, W) int64 instance labels.

        Returns:
            Logits (n, classes); and (n, 2) int64: image and label.
        """
        owner, boxes = boxes_of(labels)
        mean = mean_tokens(tokens, owner[:, 0], boxes, (labels.shape[-2], labels.shape[-1]))
        return self(mean), owner


@dataclass(frozen=True, slots=True)
class CellTokens:
    """What classes are decided from once the instances are known.

    Args:
        tokens: (N, E, h, w) float32 on the processor, or (E, h, w) of one image.
        size: Rows and columns of the image, padding included.
        classifier: On the processor, in evaluation mode.
    """

    tokens: torch.Tensor
    size: tuple[int, int]
    classifier: CellClassifier

    def image(self, index: int) -> CellTokens:
        """Those of one image."""
        return CellTokens(self.tokens[index], self.size, self.classifier)

    def probabilities(self, labels: npt.NDArray[np.int32]) -> Floats:
        """Class probabilities of the instances of one image.

        Args:
            labels: (H, W) labels 1..n without gaps; the upper left part of the image.

        Returns:
            (n, C) float32, rows sum to 1.
        """
        padded = np.zeros(self.size, np.int64)
        padded[: labels.shape[0], : labels.shape[1]] = labels
        with torch.inference_mode():
            logits, _ = self.classifier.of_labels(self.tokens[None], torch.from_numpy(padded)[None])
            found: Floats = logits.softmax(1).numpy()
        return found
