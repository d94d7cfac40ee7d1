"""The kind ``stardist``: star-convex polygons on a grid of two pixels (Schmidt et al., 2018)."""

from histoseed.segmenters.stardist.instances import StarProcessing, star_labels, suppressed
from histoseed.segmenters.stardist.representation import UNIT, StarMaps, StarRepresentation, build_stardist
from histoseed.segmenters.stardist.targets import (
    GRID,
    RAYS,
    StarTargets,
    directions,
    normalised_depth,
    radial_distances,
)

__all__ = [
    "GRID",
    "RAYS",
    "UNIT",
    "StarMaps",
    "StarProcessing",
    "StarRepresentation",
    "StarTargets",
    "build_stardist",
    "directions",
    "normalised_depth",
    "radial_distances",
    "star_labels",
    "suppressed",
]
