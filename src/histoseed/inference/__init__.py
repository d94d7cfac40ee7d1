"""Segmenting slides of any size: tiles, seams, streaming writers."""

from histoseed.inference.arrays import ArraySlide
from histoseed.inference.folding import folded
from histoseed.inference.grid import MARGIN, STRIDE, Field, TileGrid
from histoseed.inference.identity import model_hash
from histoseed.inference.results import Target, write_results
from histoseed.inference.segmenting import FieldSegmenter, Precision
from histoseed.inference.store import DiskStore, MemoryStore, TileStore
from histoseed.inference.tables import read_nuclei

__all__ = [
    "MARGIN",
    "STRIDE",
    "ArraySlide",
    "DiskStore",
    "Field",
    "FieldSegmenter",
    "MemoryStore",
    "Precision",
    "Target",
    "TileGrid",
    "TileStore",
    "folded",
    "model_hash",
    "read_nuclei",
    "write_results",
]
