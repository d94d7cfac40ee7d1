"""The kind ``cellvit``: nucleus, horizontal-vertical and type maps from separate branches (Hörst et al., 2024)."""

from histoseed.segmenters.cellvit.decoder import HEADS, CellVitDecoder, build_cellvit, paper_widths
from histoseed.segmenters.cellvit.instances import HoverProcessing, hover_labels
from histoseed.segmenters.cellvit.representation import CellVitMaps, CellVitRepresentation
from histoseed.segmenters.cellvit.targets import CellVitTargets, hover_offsets

__all__ = [
    "HEADS",
    "CellVitDecoder",
    "CellVitMaps",
    "CellVitRepresentation",
    "CellVitTargets",
    "HoverProcessing",
    "build_cellvit",
    "hover_labels",
    "hover_offsets",
    "paper_widths",
]
