"""What a kind of segmenter is made of: an architecture and a representation, named by ``decoder.kind`` in the card.

The *architecture* is a network on the feature maps of an encoder; it ends in raw maps. The *representation* says what
these maps mean: how they follow from annotations (targets) and, for the task *instance*, how instances follow from
them. The loss belongs to it too, and lives one floor up, in :mod:`histoseed.training.objectives`. A kind is added by
one package with both and one row in :mod:`histoseed.segmenters.kinds`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from histoseed.segmenters.cell_tokens import CellTokens

__all__ = ["DenseMaps", "Found", "InstanceRepresentation", "Representation"]


@dataclass(frozen=True, slots=True)
class DenseMaps:
    """Predictions of a batch; every kind has its own fields.

    Arrays have the image of the batch as their first axis; anything else belongs to the whole batch.

    Args:
        cells: Where the class of an instance comes from, if not from a map.
    """

    cells: CellTokens | None = field(default=None, kw_only=True)

    def image(self, index: int) -> Self:
        """The maps of one image: the first axis of every array is gone."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        own = {k: v[index] for k, v in values.items() if isinstance(v, np.ndarray)}
        cells = None if self.cells is None else self.cells.image(index)
        return type(self)(**{**values, **own, "cells": cells})


@dataclass(frozen=True, slots=True)
class Found:
    """The instances of one image.

    Args:
        labels: (H, W) int32, 0 = background, instances 1..n without gaps.
        score: (n,) float32 in [0, 1]: how sure the network is that there is a nucleus.
        classes: (n, C) float32, rows sum to 1; None for a model without classes.
    """

    labels: npt.NDArray[np.int32]
    score: npt.NDArray[np.float32]
    classes: npt.NDArray[np.float32] | None


class Representation(Protocol):
    """How annotations become maps. Without state: one object serves every model."""

    def outputs(self, classes: int) -> int:
        """Channels of the raw maps of a model with so many classes; ``outputs(0)`` come first and know no class."""

    def targets(
        self,
        labels: torch.Tensor,
        *,
        classes: torch.Tensor | None = None,
        ignore: torch.Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Any:
        """What a batch should become.

        Args:
            labels: (N, H, W) int64 instance labels, 0 = background, below 2**24.
            classes: (N, H, W) int64 class of each pixel, 0 = unclassified.
            ignore: (N, H, W) bool, area that counts for nothing.
            generator: Source of randomness, for kinds that train on a sample of the instances.
        """

    def activated(self, raw: torch.Tensor, classes: int, decoder: nn.Module) -> DenseMaps:
        """Predictions, on the processor.

        Args:
            raw: Raw maps (N, outputs, h, w), float32.
            classes: Number of classes.
            decoder: The architecture they come from, for kinds whose instances need more than maps.
        """


class InstanceRepresentation(Representation, Protocol):
    """A representation of the task *instance*: maps become instances."""

    @property
    def context(self) -> int:
        """Pixels around an instance that decide about it once the maps are there; at most the margin of the tiles."""

    def foreground(self, raw: torch.Tensor) -> torch.Tensor:
        """Logit of "here is a nucleus": what points and boxes teach. (N, h, w), the cells of the raw maps.

        Args:
            raw: Raw maps (N, outputs, h, w).
        """

    def instances(self, maps: Any, size: tuple[int, int], how: Any, mpp: float) -> Found:
        """The instances of one image.

        Args:
            maps: :meth:`DenseMaps.image` of what :meth:`activated` gave.
            size: Rows and columns to look at, from the upper left; what the maps have beyond is padding.
            how: The thresholds of this kind, from the card.
            mpp: Microns per pixel.
        """
