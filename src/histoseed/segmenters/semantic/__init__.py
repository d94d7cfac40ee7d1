"""The kind ``semantic``: a class for every pixel, on the architecture of the skip decoder; no objects."""

from histoseed.segmenters.semantic.decoder import SemanticDecoder, build_semantic
from histoseed.segmenters.semantic.representation import (
    AreaMaps,
    SemanticProcessing,
    SemanticRepresentation,
    SemanticTargets,
    class_map,
)

__all__ = [
    "AreaMaps",
    "SemanticDecoder",
    "SemanticProcessing",
    "SemanticRepresentation",
    "SemanticTargets",
    "build_semantic",
    "class_map",
]
