"""The classes of one tile's core, pixel by pixel, and where they wait until all tiles are done."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from histoseed.files import atomic_path
from histoseed.inference.grid import MARGIN, Field, FieldTile
from histoseed.segmenters import DenseMaps, ModelCard, SemanticEntry, areas_of

__all__ = ["AreaStore", "TileAreas", "find_areas", "has_background", "no_areas"]

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TileAreas:
    """The core of one tile.

    Args:
        index: The tile's number.
        classes: (h, w) uint8, 0 = background, 1..C the model's classes.
        tissue: (C + 1,) int64, pixels of the core that are not white, of each class; background first.
    """

    index: int
    classes: npt.NDArray[np.uint8]
    tissue: npt.NDArray[np.int64]


def find_areas(maps: DenseMaps, dark: Bools, tile: FieldTile, field: Field, card: ModelCard) -> TileAreas:
    """The classes of a tile's core.

    To a model that knows background, glass is background: what has no pixel of tissue within one margin of the tiles.
    Such a model is not shown windows without tissue, and what it says of glass must not depend on where windows end. A
    model without background has a class for glass as well.

    Args:
        maps: Maps of the whole window, of this image alone.
        dark: (h, w) bool: pixels of the part of the window inside the field that are not white.
        tile: The tile.
        field: The field it is a tile of.
        card: Says what the maps mean.
    """
    del field
    height, width = dark.shape
    x0, y0, x1, y1 = tile.core
    core = np.s_[y0 - tile.y : y1 - tile.y, x0 - tile.x : x1 - tile.x]
    classes = areas_of(maps, (height, width), card)
    if has_background(card):
        near = cv2.dilate(dark.astype(np.uint8), np.ones((2 * MARGIN + 1, 2 * MARGIN + 1), np.uint8))
        classes[near == 0] = 0
    mine = np.ascontiguousarray(classes[core])
    tissue = np.bincount(mine[dark[core]], minlength=len(card.classes) + 1)
    return TileAreas(tile.index, mine, tissue.astype(np.int64))


def has_background(card: ModelCard) -> bool:
    """Whether a pixel may belong to no class of a semantic model."""
    return isinstance(card.decoder, SemanticEntry) and card.decoder.background


def no_areas(tile: FieldTile, card: ModelCard) -> TileAreas:
    """A tile of glass."""
    x0, y0, x1, y1 = tile.core
    nothing = np.zeros(len(card.classes) + 1, np.int64)
    return TileAreas(tile.index, np.zeros((y1 - y0, x1 - x0), np.uint8), nothing)


class AreaStore:
    """Chunks of tiles, by number: in memory, or in files that outlive a stop.

    Args:
        folder: Made when the first chunk is saved; None keeps everything in memory.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._chunks: dict[int, list[TileAreas]] = {}

    def has(self, chunk: int) -> bool:
        """Whether the chunk was saved."""
        return chunk in self._chunks if self.folder is None else self._path(self.folder, chunk).is_file()

    def save(self, chunk: int, tiles: list[TileAreas]) -> None:
        """Keep a chunk."""
        if self.folder is None:
            self._chunks[chunk] = tiles
            return
        arrays: dict[str, Any] = {f"core{tile.index}": tile.classes for tile in tiles}
        arrays["tissue"] = np.array([(tile.index, *tile.tissue.tolist()) for tile in tiles], np.int64)
        with atomic_path(self._path(self.folder, chunk)) as temporary:
            np.savez_compressed(temporary, **arrays)

    def load(self, chunk: int) -> list[TileAreas]:
        """What was saved."""
        if self.folder is None:
            return self._chunks[chunk]
        with np.load(self._path(self.folder, chunk), allow_pickle=False) as file:
            return [TileAreas(int(row[0]), file[f"core{row[0]}"], row[1:]) for row in file["tissue"]]

    def tissue(self, chunk: int) -> npt.NDArray[np.int64]:
        """Tissue pixels of a chunk by class, background first, without loading classes. (C + 1,) int64."""
        if self.folder is None:
            return np.asarray(np.sum([tile.tissue for tile in self._chunks[chunk]], axis=0), dtype=np.int64)
        with np.load(self._path(self.folder, chunk), allow_pickle=False) as file:  # reads only what is named
            return np.asarray(file["tissue"][:, 1:].sum(axis=0), dtype=np.int64)

    @staticmethod
    def _path(folder: Path, chunk: int) -> Path:
        return folder / f"areas-{chunk:06d}.npz"
