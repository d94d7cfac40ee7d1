"""Where a window lies in the square that a SAM network sees, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histoseed.geometry import Region
from histoseed.prompting.prompt import MaskPrompt
from histoseed.prompting.sam.cards import Resize
from histoseed.prompting.windows import Window

__all__ = ["Frame", "frame_of", "resampled"]

Floats = npt.NDArray[np.float64]
Single = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Frame:
    """A window in the network's square.

    Args:
        window: The window.
        side: Pixels along a side of the square.
        rows: Pixels of the square that the window covers, from the top; the rest is padding.
        columns: The same from the left.
        cells: Cells along a side of the logits, which cover the whole square.
    """

    window: Window
    side: int
    rows: int
    columns: int
    cells: int

    def to_square(self, points: Floats) -> Floats:
        """(..., 2) x, y in level-0 pixels -> pixels of the square (pixel j covers [j, j + 1])."""
        height, width = self.window.shape
        return self.window.from_level0(points) * (self.columns / width, self.rows / height)

    @property
    def covered(self) -> tuple[int, int]:
        """Rows and columns of the logits that see something of the window; beyond them there is only padding."""
        return math.ceil(self.rows * self.cells / self.side), math.ceil(self.columns * self.cells / self.side)

    @property
    def region(self) -> Region:
        """The level-0 rectangle under :attr:`covered`.

        Where the window ends within a cell it reaches beyond the window, by less than that cell.
        """
        rows, columns = self.covered
        area = self.window.region
        per_row, per_column = self._cell()
        return Region(area.x, area.y, columns * per_column, rows * per_row)

    def mask_logits(self, mask: MaskPrompt) -> Single:
        """A mask prompt on the cells of the logits, (cells, cells) float32.

        Beyond the mask it is as surely outside as the mask says anything. A mask on finer pixels than the cells is
        averaged, one on coarser pixels interpolated. What a model has answered for a square window comes back bit for
        bit.
        """
        per_row, per_column = self._cell()
        height, width = mask.logits.shape
        area, own = mask.region, self.window.region
        y = ((np.arange(self.cells) + 0.5) * per_row + own.y - area.y) / area.height * height
        x = ((np.arange(self.cells) + 0.5) * per_column + own.x - area.x) / area.width * width
        inside = ((y > 0) & (y < height))[:, None] & ((x > 0) & (x < width))[None, :]
        read = resampled(mask.logits, y, x, per_row / area.height * height, per_column / area.width * width)
        sure = -float(np.abs(mask.logits).max())
        return np.where(inside, read, np.float32(sure)).astype(np.float32)

    def _cell(self) -> tuple[float, float]:
        """Level-0 pixels along y and x that a cell covers."""
        area = self.window.region
        pixels = self.side / self.cells
        return area.height / self.rows * pixels, area.width / self.columns * pixels


def frame_of(window: Window, side: int, cells: int, resize: Resize) -> Frame:
    """The frame of a window in a square of ``side`` pixels; see :class:`histoseed.prompting.sam.PromptableCard`."""
    height, width = window.shape
    if resize == "stretched":
        return Frame(window, side, side, side, cells)
    scale = side / max(height, width)
    # As segment-anything rounds; a strip thinner than that still keeps a pixel.
    return Frame(window, side, max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5)), cells)


def resampled(logits: Single, y: Floats, x: Floats, step_y: float, step_x: float) -> Single:
    """Values at the crossings of rows and columns, by a triangle as wide as a step (bilinear for steps below 1).

    Args:
        logits: (h, w) float32.
        y: (R,) places, pixels of ``logits`` (pixel i covers [i, i + 1]); beyond the array its border goes on.
        x: (C,) the same along x.
        step_y: Distance between neighbours of ``y``.
        step_x: The same along x.

    Returns:
        (R, C) float32.
    """
    rows, columns = _weights(y, logits.shape[0], step_y), _weights(x, logits.shape[1], step_x)
    return np.asarray(rows @ logits.astype(np.float64) @ columns.T, np.float32)


def _weights(places: Floats, length: int, step: float) -> Floats:
    """(places, length): how much of each pixel a place takes; rows sum to 1."""
    centres = np.arange(length) + 0.5
    at = np.clip(places, 0.5, length - 0.5)
    weights = np.clip(1 - np.abs(at[:, None] - centres[None, :]) / max(step, 1.0), 0, None)
    return np.asarray(weights / weights.sum(1, keepdims=True))
