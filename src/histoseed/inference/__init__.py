"""Segmenting slides of any size: tiles, seams, streaming writers; units of work on many machines.

The names are imported when they are first used: what starts workers must not wait for torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from histoseed.inference.area_outlines import count_areas
    from histoseed.inference.area_results import class_strips, write_area_results
    from histoseed.inference.areas import FieldMapper
    from histoseed.inference.arrays import ArraySlide
    from histoseed.inference.folding import folded
    from histoseed.inference.grid import MARGIN, STRIDE, Field, TileGrid
    from histoseed.inference.identity import model_hash
    from histoseed.inference.products import PRODUCTS, FieldWork, Product
    from histoseed.inference.results import Target, write_results
    from histoseed.inference.segmenting import FieldSegmenter, Precision
    from histoseed.inference.store import DiskStore, MemoryStore, TileStore
    from histoseed.inference.tables import read_nuclei

__all__ = [
    "MARGIN",
    "PRODUCTS",
    "STRIDE",
    "ArraySlide",
    "DiskStore",
    "Field",
    "FieldMapper",
    "FieldSegmenter",
    "FieldWork",
    "MemoryStore",
    "Precision",
    "Product",
    "Target",
    "TileGrid",
    "TileStore",
    "class_strips",
    "count_areas",
    "folded",
    "model_hash",
    "read_nuclei",
    "write_area_results",
    "write_results",
]

_HOME = {
    "MARGIN": "grid",
    "PRODUCTS": "products",
    "STRIDE": "grid",
    "ArraySlide": "arrays",
    "DiskStore": "store",
    "Field": "grid",
    "FieldMapper": "areas",
    "FieldSegmenter": "segmenting",
    "FieldWork": "products",
    "MemoryStore": "store",
    "Precision": "segmenting",
    "Product": "products",
    "Target": "results",
    "TileGrid": "grid",
    "TileStore": "store",
    "class_strips": "area_results",
    "count_areas": "area_outlines",
    "folded": "folding",
    "model_hash": "identity",
    "read_nuclei": "tables",
    "write_area_results": "area_results",
    "write_results": "results",
}
"""Name -> the module of this room that has it."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
