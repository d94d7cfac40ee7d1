"""Where the objects of tiles wait for their seams to be resolved: in memory, or in files that outlive a stop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import shapely

from histoseed.files import atomic_path
from histoseed.inference.objects import TileObjects

__all__ = ["CHUNK", "DiskStore", "MemoryStore", "TileStore", "stored_tiles"]

CHUNK = 32
"""Tiles of one file: what an interruption costs at most."""


class TileStore(Protocol):
    """Chunks of tiles, by number."""

    def has(self, chunk: int) -> bool:
        """Whether the chunk was saved."""

    def save(self, chunk: int, tiles: list[TileObjects]) -> None:
        """Keep the objects of a chunk."""

    def load(self, chunk: int) -> list[TileObjects]:
        """What was saved."""

    def counts(self, chunk: int) -> tuple[int, int]:
        """Owned objects and tissue pixels of a chunk, without loading outlines."""


class MemoryStore:
    """Keeps everything in memory."""

    def __init__(self) -> None:
        self._chunks: dict[int, list[TileObjects]] = {}

    def has(self, chunk: int) -> bool:
        """See :meth:`TileStore.has`."""
        return chunk in self._chunks

    def save(self, chunk: int, tiles: list[TileObjects]) -> None:
        """See :meth:`TileStore.save`."""
        self._chunks[chunk] = tiles

    def load(self, chunk: int) -> list[TileObjects]:
        """See :meth:`TileStore.load`."""
        return self._chunks[chunk]

    def counts(self, chunk: int) -> tuple[int, int]:
        """See :meth:`TileStore.counts`."""
        tiles = self._chunks[chunk]
        return sum(int(tile.owned.sum()) for tile in tiles), sum(tile.tissue for tile in tiles)


class DiskStore:
    """One file a chunk, whole or absent.

    Args:
        folder: Made when the first chunk is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, chunk: int) -> bool:
        """See :meth:`TileStore.has`."""
        return self._path(chunk).is_file()

    def save(self, chunk: int, tiles: list[TileObjects]) -> None:
        """See :meth:`TileStore.save`."""
        shapes = shapely.to_wkb(np.concatenate([tile.geometry for tile in tiles]))
        arrays: dict[str, Any] = {name: np.concatenate([getattr(tile, name) for tile in tiles]) for name in _COLUMNS}
        arrays |= {
            "index": np.array([tile.index for tile in tiles]),
            "count": np.array([len(tile.geometry) for tile in tiles]),
            "tissue": np.array([tile.tissue for tile in tiles]),
            "wkb": np.frombuffer(b"".join(shapes), np.uint8),
            "length": np.array([len(shape) for shape in shapes], np.int64),
        }
        with atomic_path(self._path(chunk)) as temporary:
            np.savez(temporary, **arrays)

    def load(self, chunk: int) -> list[TileObjects]:
        """See :meth:`TileStore.load`."""
        with np.load(self._path(chunk), allow_pickle=False) as file:
            data = dict(file)
        ends = np.cumsum(data["length"])
        raw = data["wkb"].tobytes()
        pairs = zip(ends - data["length"], ends, strict=True)
        geometry = np.asarray(shapely.from_wkb([raw[a:b] for a, b in pairs]), dtype=object)
        cuts = np.cumsum(data["count"])[:-1]
        columns = {name: np.split(data[name], cuts) for name in _COLUMNS}
        return [
            TileObjects(
                index=int(index),
                geometry=shapes,
                tissue=int(tissue),
                **{name: columns[name][i] for name in _COLUMNS},
            )
            for i, (index, tissue, shapes) in enumerate(
                zip(data["index"], data["tissue"], np.split(geometry, cuts), strict=True)
            )
        ]

    def counts(self, chunk: int) -> tuple[int, int]:
        """See :meth:`TileStore.counts`."""
        with np.load(self._path(chunk), allow_pickle=False) as file:  # reads only the arrays that are named
            return int(file["owned"].sum()), int(file["tissue"].sum())

    def _path(self, chunk: int) -> Path:
        return self.folder / f"tiles-{chunk:06d}.npz"


_COLUMNS = ("area", "centroid", "score", "probabilities", "owned")


def stored_tiles(store: TileStore, chunks: int) -> Iterator[TileObjects]:
    """All tiles in order, one chunk in memory at a time."""
    for chunk in range(chunks):
        yield from store.load(chunk)
