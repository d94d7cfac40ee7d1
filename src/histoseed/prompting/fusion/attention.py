"""Attention from queries on one grid to histology features on another, at linear memory.

torch's fused attention never holds the matrix of queries times features. All queries of a window - of any number of
prompts - stand in one row, so that keys and values are computed once a window instead of once a prompt.
"""

from __future__ import annotations

import torch
from torch import nn

from histoseed.prompting.fusion.layers import places

__all__ = ["GridAttention"]


class GridAttention(nn.Module):
    """Queries (B, width, h, w) ask histology features.

    Args:
        dim: Channels of the histology features.
        width: Channels of the queries.
        heads: Of the attention.
        positions: Whether codes of places are added to queries and keys. Without them a query gets the same answer
            wherever it lies; histology features of tiles know at most where in their own tile they are.
    """

    def __init__(self, dim: int, width: int, *, heads: int = 8, positions: bool = True) -> None:
        super().__init__()
        self.positions = positions
        self.context = nn.Linear(dim, width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def projected(self, histology: torch.Tensor) -> torch.Tensor:
        """(1, dim, g, g) -> (1, width, g, g), what :meth:`forward` attends to."""
        out: torch.Tensor = self.context(histology.movedim(1, -1)).movedim(-1, 1)
        return out

    def forward(self, queries: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        """What each query finds.

        Args:
            queries: (B, width, h, w), each over the whole square.
            context: (1, width, g, g), from :meth:`projected`.

        Returns:
            (B, width, h, w).
        """
        number, width, rows, columns = queries.shape
        asked = queries.flatten(2).transpose(1, 2)
        values = context.flatten(2).transpose(1, 2)
        keys = values
        if self.positions:
            asked = asked + places(rows, columns, width, queries.device)
            keys = values + places(context.shape[-2], context.shape[-1], width, queries.device)
        found, _ = self.attention(asked.reshape(1, -1, width), keys, values, need_weights=False)
        out: torch.Tensor = found.reshape(number, rows * columns, width).transpose(1, 2).reshape(queries.shape)
        return out
