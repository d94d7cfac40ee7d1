"""The kind ``instanseg``: spatial embeddings, seeds and a classifier of pixels (Goldsborough et al., 2024)."""

from histoseed.segmenters.instanseg.decoder import EMBEDDING, InstansegDecoder, PixelWeights, build_instanseg
from histoseed.segmenters.instanseg.instances import REACH, UNIT, InstansegProcessing, instanseg_labels
from histoseed.segmenters.instanseg.representation import MAPS, InstansegMaps, InstansegRepresentation, moved
from histoseed.segmenters.instanseg.targets import MOST_SEEDS, InstansegTargets

__all__ = [
    "EMBEDDING",
    "MAPS",
    "MOST_SEEDS",
    "REACH",
    "UNIT",
    "InstansegDecoder",
    "InstansegMaps",
    "InstansegProcessing",
    "InstansegRepresentation",
    "InstansegTargets",
    "PixelWeights",
    "build_instanseg",
    "instanseg_labels",
    "moved",
]
