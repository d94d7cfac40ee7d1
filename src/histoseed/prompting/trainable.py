"""What a promptable model is to a training: two halves with gradients, and the logits that its answers are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from histoseed.geometry import Region
from histoseed.prompting.interface import PromptableModel
from histoseed.prompting.prompt import Prompt
from histoseed.prompting.windows import Window

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["Asked", "Parts", "TrainablePromptable", "share_of_cells", "share_of_rectangle"]


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """Answers to prompts about one window, with gradients.

    Args:
        logits: (B, K, h, w), above 0 inside; K candidates each, in the order of the network.
        scores: (B, K) expected IoU as the network gives it, which for SAM is not held within 0 and 1.
        regions: B level-0 rectangles that the arrays of logits cover.
    """

    logits: torch.Tensor
    scores: torch.Tensor
    regions: tuple[Region, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """The two halves of a promptable model. They hold the model's own modules: what is changed here is changed there.

    Args:
        encoder: What :meth:`TrainablePromptable.encode` runs; frozen unless a method says otherwise.
        head: What only :meth:`TrainablePromptable.ask` runs: prompt encoder, mask decoder, fusion. It always trains.
    """

    encoder: nn.Module
    head: nn.Module


@runtime_checkable
class TrainablePromptable(PromptableModel, Protocol):
    """A :class:`~histoseed.prompting.PromptableModel` whose weights can be trained.

    What answers is what trains: the model stays in evaluation mode, so that neither an answer nor a gradient depends on
    what else is in a batch.
    """

    @property
    def mixes_prompts(self) -> bool:
        """Whether :meth:`ask` takes prompts of different kinds in one call."""

    def parts(self) -> Parts:
        """Encoder and head."""

    def pixels(self, image: npt.NDArray[np.uint8], window: Window) -> torch.Tensor:
        """A window as :meth:`encode` takes it.

        Args:
            image: (H, W, 3) uint8 RGB, of the shape of the window.
            window: Where it lies.

        Returns:
            (1, 3, rows, columns) float32, on the processor.

        Raises:
            InputError: an array of another shape or kind than the window.
        """

    def encode(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """The encoder, with gradients where they are enabled.

        Args:
            pixels: From :meth:`pixels`, on the model's device.

        Returns:
            What :meth:`ask` takes and a cache may store; float32.
        """

    def ask(
        self, tensors: Mapping[str, torch.Tensor], window: Window, prompts: Sequence[Prompt], *, several: bool
    ) -> Asked:
        """The head, with gradients where they are enabled.

        Args:
            tensors: From :meth:`encode`, of this window.
            window: Where it lies.
            prompts: Of one kind, unless the model :attr:`mixes_prompts`: all with or all without a box and a mask, all
                with equally many points; see :func:`histoseed.prompting.sam.questions.batches`.
            several: All candidates instead of the one for prompts that leave no doubt.

        Raises:
            InputError: a prompt that says nothing about the inside, or that lies outside the window.
        """


def share_of_cells(
    mask: npt.NDArray[np.bool_], region: Region, cells: Region, shape: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """How much of every cell of a model's logits a mask covers, exactly: the target of a training.

    Args:
        mask: (H, W) bool.
        region: Level-0 rectangle that the mask covers; beyond it nothing is inside.
        cells: Level-0 rectangle that the logits cover.
        shape: Rows and columns of the logits.

    Returns:
        Of that shape, float32 from 0 to 1.

    >>> share_of_cells(np.ones((2, 2), bool), Region(1, 0, 2, 2), Region(0, 0, 4, 2), (1, 2)).tolist()
    [[0.5, 0.5]]
    """
    height, width = mask.shape
    down, rows = _overlap(cells.y - region.y, cells.height, shape[0], height / region.height, height)
    across, columns = _overlap(cells.x - region.x, cells.width, shape[1], width / region.width, width)
    return np.asarray(rows @ mask[down, across].astype(np.float64) @ columns.T, np.float32)


def share_of_rectangle(rectangle: Region, cells: Region, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """How much of every cell of a model's logits a rectangle covers.

    Args:
        rectangle: Level-0 pixels.
        cells: As of :func:`share_of_cells`.
        shape: As of :func:`share_of_cells`.

    >>> share_of_rectangle(Region(1, 0, 2, 2), Region(0, 0, 4, 2), (1, 2)).tolist()
    [[0.5, 0.5]]
    """
    _, rows = _overlap(cells.y - rectangle.y, cells.height, shape[0], 1 / rectangle.height, 1)
    _, columns = _overlap(cells.x - rectangle.x, cells.width, shape[1], 1 / rectangle.width, 1)
    return np.asarray(rows.sum(1)[:, None] * columns.sum(1), np.float32)


def _overlap(
    start: float, extent: float, cells: int, scale: float, pixels: int
) -> tuple[slice, npt.NDArray[np.float64]]:
    """Which share of each cell each pixel makes up: the pixels that any cell touches, and (cells, those pixels)."""
    edges = (start + extent / cells * np.arange(cells + 1)) * scale
    first = min(max(int(np.floor(edges[0])), 0), pixels)
    last = max(min(int(np.ceil(edges[-1])), pixels), first)
    left = np.arange(first, last)
    low, high = np.maximum(edges[:-1, None], left), np.minimum(edges[1:, None], left + 1)
    return slice(first, last), np.asarray(np.clip(high - low, 0, None) / (edges[1:] - edges[:-1])[:, None])
