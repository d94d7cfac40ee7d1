"""What each kind of segmenter is trained for: raw maps and targets -> a scalar, and its parts for the log."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

import torch
from torch import nn

from histoseed.training.losses import representation_loss
from histoseed.training.objectives.cell_tokens import cell_class_loss
from histoseed.training.objectives.cellvit import cellvit_objective
from histoseed.training.objectives.instanseg import instanseg_objective
from histoseed.training.objectives.marks import MarkBatch, mark_batch, mark_losses
from histoseed.training.objectives.semantic import semantic_objective
from histoseed.training.objectives.stardist import stardist_objective

__all__ = ["OBJECTIVES", "MarkBatch", "Objective", "cell_class_loss", "mark_batch", "mark_losses", "objective_of"]


class Objective(Protocol):
    """The loss of a representation."""

    def __call__(
        self, maps: torch.Tensor, targets: Any, decoder: nn.Module, /
    ) -> tuple[torch.Tensor, dict[str, float]]:
        """The scalar to minimise and its parts.

        Args:
            maps: Raw maps of the architecture. Shape (N, outputs, h, w).
            targets: Of the same representation, see :class:`histoseed.segmenters.Representation`.
            decoder: The architecture, for kinds that train more than its maps.
        """


def _skip(maps: torch.Tensor, targets: Any, decoder: nn.Module, /) -> tuple[torch.Tensor, dict[str, float]]:
    del decoder
    return representation_loss(maps, targets)


OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {
        "skip": _skip,
        "cellvit": cellvit_objective,
        "stardist": stardist_objective,
        "instanseg": instanseg_objective,
        "semantic": semantic_objective,
    }
)
"""By ``decoder.kind``; a test holds that every kind has one."""


def objective_of(kind: str) -> Objective:
    """The objective of a kind of :data:`histoseed.segmenters.KINDS`."""
    return OBJECTIVES[kind]
