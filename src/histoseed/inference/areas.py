"""From a slide and a semantic model to the class of every pixel, and to outlines of areas in level-0 pixels."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations import Instances
from histoseed.inference.area_outlines import AreaOutlines, connected_areas
from histoseed.inference.area_tiles import AreaStore, find_areas, has_background, no_areas
from histoseed.inference.grid import TileGrid
from histoseed.inference.identity import model_hash, object_ids
from histoseed.inference.pipeline import Finder, Readable, tile_results
from histoseed.inference.segmenting import Precision, Watcher, unwatched
from histoseed.inference.store import CHUNK
from histoseed.segmenters import Segmenter, check_task

__all__ = ["FieldMapper"]


@dataclass(frozen=True, slots=True)
class FieldMapper:
    """Tells the areas of one field of one slide apart.

    A pixel's class is decided by the tile whose core it lies in, and by nothing else.

    Args:
        model: The segmenter, of the task *semantic*.
        slide: Where pixels come from.
        grid: The tiles of the field.
        slide_id: Fingerprint of the slide, part of every area's id.
        how: How the network is run.
        store: Keeps the classes of tiles until all are done; what it has already is not computed again.

    Raises:
        InputError: the model finds nuclei.
    """

    model: Segmenter
    slide: Readable
    grid: TileGrid
    slide_id: str
    how: Precision
    store: AreaStore

    def __post_init__(self) -> None:
        check_task(self.model.card, "semantic")

    @classmethod
    def in_memory(
        cls, model: Segmenter, slide: Readable, grid: TileGrid, slide_id: str, how: Precision | None = None
    ) -> FieldMapper:
        """One that leaves nothing on the disk."""
        return cls(model, slide, grid, slide_id, how or Precision(), AreaStore(None))

    def find(self, watch: Watcher | None = None) -> None:
        """Decide the class of every pixel of the tiles that the store does not have.

        Args:
            watch: Told about every tile, those already stored included; areas are counted at the end only.
        """
        watch = watch or unwatched
        missing: list[int] = []
        for chunk in self._chunks():
            if self.store.has(chunk):
                watch(len(self._tiles_of(chunk)), None)
            else:
                missing.append(chunk)
        how, finder = self.how, Finder(find_areas, no_areas, white=not has_background(self.model.card))
        found = tile_results(
            self.model, self.slide, self.grid, [self._tiles_of(chunk) for chunk in missing], finder,
            dtype=how.dtype, batch=how.batch, workers=how.workers,
        )  # fmt: skip
        with contextlib.closing(found):
            for chunk in missing:
                tiles = []
                for tile in itertools.islice(found, len(self._tiles_of(chunk))):
                    tiles.append(tile)
                    watch(1, None)
                self.store.save(chunk, tiles)

    def tissue_pixels(self) -> npt.NDArray[np.int64]:
        """Pixels of the region that are not white, at the model's resolution, by class. (C + 1,), background first."""
        return np.asarray(np.sum([self.store.tissue(chunk) for chunk in self._chunks()], axis=0), dtype=np.int64)

    def bands(self) -> Iterator[npt.NDArray[np.uint8]]:
        """The class image of the region at the model's resolution, a row of tiles at a time. (h, width) uint8."""
        tiles = (tile for chunk in self._chunks() for tile in self.store.load(chunk))
        for _ in range(self.grid.rows):
            yield np.concatenate([tile.classes for tile in itertools.islice(tiles, self.grid.columns)], axis=1)

    def class_image(self) -> npt.NDArray[np.uint8]:
        """The class image of the region at the model's resolution, whole. (H, W) uint8."""
        return np.concatenate(list(self.bands()))

    def areas(self) -> Iterator[tuple[Instances, npt.NDArray[np.int64]]]:
        """The connected areas in level-0 pixels, each once, and how many pixels of the model's resolution they have."""
        weights = model_hash(self.model)
        for found in connected_areas(self.bands()):
            yield self._table(found, weights), found.pixels

    def all(self, watch: Watcher | None = None) -> Instances:
        """Find everything and hand it out as one table."""
        self.find(watch)
        return Instances.concatenate([areas for areas, _ in self.areas()])

    def _table(self, found: AreaOutlines, weights: str) -> Instances:
        field, card = self.grid.field, self.model.card
        corner = np.array(field.inner[:2], np.float64)
        shapes = shapely.transform(found.geometry, lambda xy: field.to_level0(xy + corner, self.slide.size))
        geometry = np.asarray(shapes, dtype=object)
        return Instances.build(
            geometry,
            class_name=[card.class_names[k - 1] for k in found.classes.tolist()],
            id=object_ids(geometry, self.slide_id, weights),
            source=card.name,
            colors={entry.name: entry.color for entry in card.classes},
        )

    def _chunks(self) -> range:
        return range(-(-len(self.grid) // CHUNK))

    def _tiles_of(self, chunk: int) -> range:
        return range(chunk * CHUNK, min((chunk + 1) * CHUNK, len(self.grid)))
