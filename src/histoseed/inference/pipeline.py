"""Reading, network and post-processing side by side, with results in the order of the tiles.

One thread reads ahead, the caller's thread runs the network, a pool of threads turns maps into results. The queues are
bounded, so that memory does not grow when one of them is slower. Batches are made of consecutive tiles of one chunk
whatever the number of threads, hence equal bytes for any number of them.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from histoseed.geometry import Region
from histoseed.inference.grid import Field, FieldTile, TileGrid
from histoseed.inference.objects import TileObjects, dark_pixels, find_objects
from histoseed.segmenters import DenseMaps, ModelCard, Segmenter

__all__ = ["Finder", "Readable", "tile_objects", "tile_results"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class Readable(Protocol):
    """What can be segmented: a slide, or an array that poses as one."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of level 0, pixels."""

    def read(self, region: Region) -> npt.NDArray[np.uint8]:
        """(H, W, 3) RGB pixels of a region at its resolution; threads may call it at the same time."""


@dataclass(frozen=True, slots=True)
class Finder(Generic[Result]):
    """What becomes of the maps of one tile; threads call it at the same time.

    Args:
        find: From the maps of a window, its dark pixels, the tile, the field and the card to a result.
        nothing: The result of a tile whose window is white all over: the network is not shown it.
        white: Show the network such windows as well.
    """

    find: Callable[[DenseMaps, npt.NDArray[np.bool_], FieldTile, Field, ModelCard], Result]
    nothing: Callable[[FieldTile, ModelCard], Result]
    white: bool = False


@dataclass(frozen=True, slots=True)
class _Window:
    """The pixels of a tile: the whole window, and which pixels of its part inside the field are not white."""

    tile: FieldTile
    image: npt.NDArray[np.uint8]
    dark: npt.NDArray[np.bool_]


def tile_objects(
    model: Segmenter,
    slide: Readable,
    grid: TileGrid,
    chunks: Iterable[Sequence[int]],
    *,
    dtype: torch.dtype,
    batch: int,
    workers: int,
) -> Generator[TileObjects]:
    """The objects of some tiles, in the order given; arguments as in :func:`tile_results`."""
    finder = Finder(find_objects, lambda tile, card: TileObjects.none(tile.index, len(card.classes)))
    return tile_results(model, slide, grid, chunks, finder, dtype=dtype, batch=batch, workers=workers)


def tile_results(
    model: Segmenter,
    slide: Readable,
    grid: TileGrid,
    chunks: Iterable[Sequence[int]],
    finder: Finder[Result],
    *,
    dtype: torch.dtype,
    batch: int,
    workers: int,
) -> Generator[Result]:
    """What is found in some tiles, in the order given.

    Args:
        model: The segmenter; its card's mpp is that of the grid's field.
        slide: Where pixels come from.
        grid: The tiles.
        chunks: Numbers of tiles; no batch crosses from one chunk to the next.
        finder: Turns maps into results.
        dtype: Precision of the network.
        batch: Tiles a forward pass.
        workers: Threads that turn maps into results.
    """
    groups = [group for chunk in chunks for group in _groups(chunk, batch)]
    network = _Network(model, grid, dtype, finder)
    with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(workers, "objects") as pool:
        windows = _ahead(lambda group: [_read(slide, grid, index) for index in group], groups, reader, 2)
        waiting: deque[Future[Result]] = deque()
        try:
            for group in windows:
                waiting.extend(network.submit(group, pool))
                while len(waiting) > max(batch, workers) + workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
            windows.close()


def _groups(chunk: Sequence[int], batch: int) -> Iterator[Sequence[int]]:
    return (chunk[first : first + batch] for first in range(0, len(chunk), batch))


def _ahead(work: Callable[[Item], Result], items: Iterable[Item], pool: Executor, count: int) -> Generator[Result]:
    """``map`` that keeps ``count`` results in the making."""
    source = iter(items)
    futures = deque(pool.submit(work, item) for item in itertools.islice(source, count))
    try:
        while futures:
            result = futures.popleft().result()
            futures.extend(pool.submit(work, item) for item in itertools.islice(source, 1))
            yield result
    finally:
        for future in futures:
            future.cancel()


def _read(slide: Readable, grid: TileGrid, index: int) -> _Window:
    tile, field = grid[index], grid.field
    width, height = min(tile.width, field.width - tile.x), min(tile.height, field.height - tile.y)
    image = slide.read(field.region(tile.x, tile.y, width, height))
    # Mirrored pixels disturb a network least; the objects in them are left away again.
    window = np.pad(image, ((0, tile.height - height), (0, tile.width - width), (0, 0)), mode="symmetric")
    return _Window(tile, window, dark_pixels(image))


@dataclass(frozen=True, slots=True)
class _Network(Generic[Result]):
    """The stage in the middle."""

    model: Segmenter
    grid: TileGrid
    dtype: torch.dtype
    finder: Finder[Result]

    def submit(self, group: Sequence[_Window], pool: Executor) -> list[Future[Result]]:
        """Run the network on the windows of a group that show anything, and hand the maps over."""
        card, field = self.model.card, self.grid.field
        shown = [window for window in group if self._is_shown(window)]
        maps = iter(self._maps(shown) if shown else [])
        futures: list[Future[Result]] = []
        for window in group:
            if self._is_shown(window):
                futures.append(pool.submit(self.finder.find, next(maps), window.dark, window.tile, field, card))
            else:
                futures.append(pool.submit(self.finder.nothing, window.tile, card))
        return futures

    def _is_shown(self, window: _Window) -> bool:
        return self.finder.white or bool(window.dark.any())

    def _maps(self, windows: Sequence[_Window]) -> list[DenseMaps]:
        device = next(self.model.parameters()).device
        pixels = torch.from_numpy(np.stack([window.image for window in windows])).to(device)
        maps = self.model.predict(pixels.permute(0, 3, 1, 2).float().div_(255), dtype=self.dtype)
        return [maps.image(i) for i in range(len(windows))]
