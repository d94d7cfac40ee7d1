"""The histology encoder's view of a window: tiles of the size it was made for, and one grid of features from them."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from histoseed.encoders.pyramid import FeaturePyramid
from histoseed.prompting.sam.frame import Frame
from histoseed.prompting.windows import Window

__all__ = ["USUAL_TILE", "Histology"]

USUAL_TILE = 224
"""Side of a tile in pixels where an encoder's card states no size."""

_AT_ONCE = 16
"""Tiles in one pass: more only need more memory."""


class Histology(nn.Module):
    """An encoder that looks at a window tile by tile, and does not train.

    A window is laid out in the same square as SAM sees it, so that both grids cover the same ground; white where SAM's
    is padded. Tiles do not overlap. Features are brought to mean 0 and variance 1 over the channels at each place, so
    that every encoder's have one scale.

    Args:
        encoder: With one tap.
        tiles: Along a side; None: for each window the number at which a tile is nearest to the resolution that the
            encoder's card advises, or, where that or the window's is unknown, to the pixels that were read. Never more
            than the SAM square has pixels for.
    """

    def __init__(self, encoder: FeaturePyramid, tiles: int | None) -> None:
        super().__init__()
        self.encoder = encoder.freeze()
        self.tiles = tiles
        self.tile = encoder.card.native_size or USUAL_TILE

    @property
    def channels(self) -> int:
        """Of the features."""
        return self.encoder.channels[-1]

    @property
    def tokens(self) -> int:
        """Cells along a side of a tile's features."""
        return self.encoder.target_size(self.tile, self.tile)[0] // self.encoder.strides[-1]

    def tiles_for(self, window: Window, side: int) -> int:
        """How many tiles along a side a window is seen as.

        Args:
            window: The window.
            side: Pixels along a side of SAM's square.
        """
        if self.tiles is not None:
            return self.tiles
        advised, read = self.encoder.card.mpp, window.region.mpp
        scale = 1.0 if advised is None or read is None else read / advised
        wanted = round(max(window.shape) * scale / self.tile)
        return min(max(wanted, 1), max(side // self.tile, 1))

    def pictures(self, image: npt.NDArray[np.uint8], frame: Frame) -> torch.Tensor:
        """The tiles of a window.

        Args:
            image: (H, W, 3) uint8 RGB, the whole window.
            frame: Of the window in SAM's square.

        Returns:
            (n * n, 3, tile, tile) float32 in [0, 1], row by row.
        """
        count = self.tiles_for(frame.window, frame.side)
        side = count * self.tile
        rows, columns = (max(1, round(length * side / frame.side)) for length in (frame.rows, frame.columns))
        square = np.full((side, side, 3), 255, np.uint8)
        square[:rows, :columns] = np.asarray(Image.fromarray(image).resize((columns, rows), Image.Resampling.BILINEAR))
        cut = square.reshape(count, self.tile, count, self.tile, 3).transpose(0, 2, 4, 1, 3)
        pixels = np.ascontiguousarray(cut).reshape(-1, 3, self.tile, self.tile)
        return torch.from_numpy(pixels).float() / 255

    def forward(self, tiles: torch.Tensor) -> torch.Tensor:
        """(n * n, 3, tile, tile) in [0, 1] -> features (1, channels, n * tokens, n * tokens), float32."""
        features = torch.cat([cast("torch.Tensor", self.encoder(part)[-1]) for part in torch.split(tiles, _AT_ONCE)])
        count, (channels, cells) = round(len(tiles) ** 0.5), features.shape[1:3]
        places = features.float().permute(0, 2, 3, 1)
        places = F.layer_norm(places, (channels,)).reshape(count, count, cells, cells, channels)
        return places.permute(4, 0, 2, 1, 3).reshape(1, channels, count * cells, count * cells)
