"""SAM's features ask the histology features."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from histoseed.prompting.fusion.attention import GridAttention
from histoseed.prompting.fusion.card import FusionCard
from histoseed.prompting.fusion.layers import Fusion, Tensors, resized

__all__ = ["CrossAttention"]


class CrossAttention(Fusion):
    """One attention at SAM's coarsest map; what it finds is added there, and to the finer maps of SAM 2.

    Finer maps do not ask themselves: 65,536 queries would see histology features that are no finer than the 4,096 of
    the coarsest map. They get what those found, projected to their own width and interpolated.

    Args:
        card: How.
        dim: Channels of the histology features.
        width: Channels of SAM's map.
        before: Channels before SAM's neck, whose place the queries' projection takes; None: SAM's own neck is used.
        finer: Names and channels of the finer maps.
    """

    def __init__(
        self, card: FusionCard, dim: int, width: int, *, before: int | None = None, finer: Mapping[str, int]
    ) -> None:
        super().__init__()
        self.query = None if before is None else nn.Conv2d(before, width, 1)
        self.asking = GridAttention(dim, width, positions=card.positions)
        self.output = nn.Conv2d(width, width, 1)
        self.finer = nn.ModuleDict({key: nn.Conv2d(width, channels, 1) for key, channels in finer.items()})
        if card.start == "sam":
            nn.init.zeros_(self.asking.attention.out_proj.weight)
            nn.init.dirac_(self.output.weight)
            for layer in (self.output, *self.finer.values()):
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, tensors: Tensors) -> dict[str, torch.Tensor]:
        """``image`` (or ``trunk.0``) and ``histology`` -> ``image``; finer maps with what was found; the rest stays."""
        queries = tensors["image"] if self.query is None else self.query(tensors["trunk.0"])
        found = self.asking(queries, self.asking.projected(tensors["histology"]))
        out = {key: value for key, value in tensors.items() if key not in ("trunk.0", "histology")}
        for key, layer in self.finer.items():
            out[key] = tensors[key] + resized(layer(found), tensors[key].shape[-1])
        return out | {"image": self.output(queries + found)}
