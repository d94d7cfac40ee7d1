"""What segmenting a slide gives, by the task of the model: nuclei, or areas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from histoseed.annotations import Instances
from histoseed.inference.area_results import write_area_results
from histoseed.inference.area_tiles import AreaStore
from histoseed.inference.areas import FieldMapper
from histoseed.inference.grid import TileGrid
from histoseed.inference.pipeline import Readable
from histoseed.inference.results import write_results
from histoseed.inference.segmenting import FieldSegmenter, Precision, Watcher
from histoseed.inference.store import DiskStore, MemoryStore
from histoseed.segmenters import Segmenter, Task

__all__ = ["PRODUCTS", "FieldWork", "Product"]


class FieldWork(Protocol):
    """The work on one field of one slide."""

    def find(self, watch: Watcher | None = None) -> None:
        """Work on every tile that is not done."""

    def all(self, watch: Watcher | None = None) -> Instances:
        """Work on every tile, and hand out one table in level-0 pixels."""


@dataclass(frozen=True, slots=True)
class Product:
    """What a task gives.

    Args:
        counted: What is counted, in the plural; a key of ``summary.json``.
        formats: Files that can be written.
        work: From model, slide, grid, fingerprint of the slide, precision and a folder for what is needed on the way
            (None: memory) to the work.
        write: Writes the files, see :func:`histoseed.inference.write_results`.
    """

    counted: str
    formats: tuple[str, ...]
    work: Callable[[Segmenter, Readable, TileGrid, str, Precision, Path | None], FieldWork]
    write: Callable[..., tuple[dict[str, Any], Instances]]


def _nuclei(  # noqa: PLR0917 - one signature for all tasks
    model: Segmenter, slide: Readable, grid: TileGrid, slide_id: str, how: Precision, work: Path | None
) -> FieldWork:
    store = MemoryStore() if work is None else DiskStore(work / "tiles")
    return FieldSegmenter(model, slide, grid, slide_id, how, store)


def _areas(  # noqa: PLR0917 - one signature for all tasks
    model: Segmenter, slide: Readable, grid: TileGrid, slide_id: str, how: Precision, work: Path | None
) -> FieldWork:
    return FieldMapper(model, slide, grid, slide_id, how, AreaStore(None if work is None else work / "tiles"))


PRODUCTS: Mapping[Task, Product] = MappingProxyType(
    {
        "instance": Product("objects", ("geojson", "parquet", "labels", "overlay"), _nuclei, write_results),
        "semantic": Product("areas", ("geojson", "classes", "overlay"), _areas, write_area_results),
    }
)
