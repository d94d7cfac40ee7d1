"""From a slide and a model to objects in level-0 pixels."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import shapely
import torch

from histoseed.annotations import Instances
from histoseed.inference.grid import TileGrid
from histoseed.inference.identity import model_hash, object_ids
from histoseed.inference.pipeline import Readable, tile_objects
from histoseed.inference.seams import FieldObjects, resolve_seams
from histoseed.inference.store import CHUNK, MemoryStore, TileStore, stored_tiles
from histoseed.segmenters import ModelCard, Segmenter, check_task
from histoseed.segmenters.semantic import SemanticProcessing

__all__ = ["FieldSegmenter", "Precision", "Watcher", "unwatched"]

Watcher = Callable[[int, int | None], None]
"""Called after each tile with the number of new tiles (1) and of objects found so far, None where that is not known."""


@dataclass(frozen=True, slots=True)
class Precision:
    """How the network is run; all of it decides about the bytes of a result.

    Args:
        dtype: Precision of the network.
        batch: Tiles a forward pass.
        workers: Threads that turn maps into objects; the only one that changes nothing.
    """

    dtype: torch.dtype = torch.float32
    batch: int = 1
    workers: int = 1


@dataclass(frozen=True, slots=True)
class FieldSegmenter:
    """Segments one field of one slide.

    Args:
        model: The segmenter.
        slide: Where pixels come from.
        grid: The tiles of the field.
        slide_id: Fingerprint of the slide, part of every object's id.
        how: How the network is run.
        store: Keeps the objects of tiles until all are found; what it has already is not computed again.

    Raises:
        InputError: the model tells areas apart.
    """

    model: Segmenter
    slide: Readable
    grid: TileGrid
    slide_id: str
    how: Precision
    store: TileStore

    def __post_init__(self) -> None:
        check_task(self.model.card, "instance")

    @classmethod
    def in_memory(
        cls, model: Segmenter, slide: Readable, grid: TileGrid, slide_id: str, how: Precision | None = None
    ) -> FieldSegmenter:
        """One that leaves nothing on the disk."""
        return cls(model, slide, grid, slide_id, how or Precision(), MemoryStore())

    @property
    def chunks(self) -> int:
        """Chunks of tiles."""
        return -(-len(self.grid) // CHUNK)

    def tiles_of(self, chunk: int) -> range:
        """Numbers of the tiles of a chunk."""
        return range(chunk * CHUNK, min((chunk + 1) * CHUNK, len(self.grid)))

    def find(self, watch: Watcher | None = None) -> None:
        """Find the objects of every tile that the store does not have.

        Args:
            watch: Told about every tile, those already stored included.
        """
        watch = watch or unwatched
        missing: list[int] = []
        objects = 0
        for chunk in range(self.chunks):
            if self.store.has(chunk):
                objects += self.store.counts(chunk)[0]
                watch(len(self.tiles_of(chunk)), objects)
            else:
                missing.append(chunk)
        how = self.how
        found = tile_objects(
            self.model, self.slide, self.grid, [self.tiles_of(chunk) for chunk in missing],
            dtype=how.dtype, batch=how.batch, workers=how.workers,
        )  # fmt: skip
        with contextlib.closing(found):
            for chunk in missing:
                tiles = []
                for tile in itertools.islice(found, len(self.tiles_of(chunk))):
                    tiles.append(tile)
                    objects += int(tile.owned.sum())
                    watch(1, objects)
                self.store.save(chunk, tiles)

    def tissue_pixels(self) -> int:
        """Pixels of the region, at the model's resolution, that are not white."""
        return sum(self.store.counts(chunk)[1] for chunk in range(self.chunks))

    def instances(self) -> Iterator[Instances]:
        """The objects of the field, each once, in level-0 pixels; one table a row of tiles."""
        how = self.model.card.postprocessing
        assert not isinstance(how, SemanticProcessing)  # noqa: S101 - such models were refused
        least = how.min_area_um2 / self.grid.field.mpp**2
        weights = model_hash(self.model)
        for found in resolve_seams(stored_tiles(self.store, self.chunks), self.grid, least):
            yield self._table(found, weights)

    def all(self, watch: Watcher | None = None) -> Instances:
        """Find everything and hand it out as one table."""
        self.find(watch)
        return Instances.concatenate(list(self.instances()))

    def _table(self, found: FieldObjects, weights: str) -> Instances:
        field, card = self.grid.field, self.model.card
        shapes = shapely.transform(found.geometry, lambda xy: field.to_level0(xy, self.slide.size))
        geometry = np.asarray(shapes, dtype=object)
        best = found.probabilities.argmax(1) if card.classes else None
        return Instances.build(
            geometry,
            class_name=None if best is None else [card.class_names[k] for k in best.tolist()],
            id=object_ids(geometry, self.slide_id, weights),
            score=found.score.astype(np.float64),
            source=card.name,
            measurements=_measurements(found, card),
            colors={entry.name: entry.color for entry in card.classes},
        )


def unwatched(tiles: int, objects: int | None) -> None:
    """Nobody looks."""


def _measurements(found: FieldObjects, card: ModelCard) -> Sequence[dict[str, float]] | None:
    if not card.classes:
        return None
    names = [f"Probability: {name}" for name in card.class_names]
    rounded = np.round(found.probabilities.astype(np.float64), 4)
    return [dict(zip(names, row, strict=True)) for row in rounded.tolist()]
