"""SAM's masks ask the histology features, and are corrected by what they find."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from histoseed.prompting.fusion.attention import GridAttention
from histoseed.prompting.fusion.card import FusionCard
from histoseed.prompting.fusion.layers import Fusion, Tensors

__all__ = ["Refinement"]


class Refinement(Fusion):
    """A correction of mask logits; SAM itself stays as it is.

    Published with one query for each of the 65,536 cells of a mask, though there are at most some thousand histology
    features to tell apart. Here a query is a block of ``stride`` x ``stride`` cells whose logits all go in, and the
    correction of all of them comes out: a sixteenth of the queries, and no cell is lost. ``stride=1`` is the published
    network.

    Args:
        card: How.
        dim: Channels of the histology features.
        width: Channels inside.
    """

    def __init__(self, card: FusionCard, dim: int, *, width: int = 256) -> None:
        super().__init__()
        self.stride = card.stride
        self.candidates = 3 if card.together else 1
        self.query_skip = card.query_skip
        self.query = nn.Conv2d(self.candidates, width, card.stride, stride=card.stride)
        self.asking = GridAttention(dim, width, positions=card.positions)
        self.correction = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, self.candidates * card.stride**2, 1)
        )
        if card.start == "sam":
            last = self.correction[-1]
            nn.init.zeros_(last.weight)  # type: ignore[arg-type]
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def forward(self, tensors: Tensors) -> dict[str, torch.Tensor]:
        """``histology`` -> ``context``; the rest stays."""
        rest = {key: value for key, value in tensors.items() if key != "histology"}
        return rest | {"context": self.asking.projected(tensors["histology"])}

    def refined(self, logits: torch.Tensor, tensors: Tensors) -> torch.Tensor:
        """(B, K, cells, cells) -> the same shape; K is any number where each candidate is looked at alone, else 3."""
        masks = logits.reshape(-1, self.candidates, *logits.shape[-2:])
        queries = self.query(masks)
        found = self.asking(queries, tensors["context"])
        if self.query_skip:
            found = found + queries
        return logits + F.pixel_shuffle(self.correction(found), self.stride).reshape(logits.shape)
