"""Regions and resolutions, components of masks, and the exact way between label images and polygons."""

from histoseed.geometry.components import components, fill_holes, largest_component
from histoseed.geometry.outlines import label_to_polygons
from histoseed.geometry.raster import PixelSpans, paint_spans, pixel_spans, polygons_to_label
from histoseed.geometry.regions import MPP_RANGE, Region, known_mpp
from histoseed.geometry.simplify import Simplified, simplify_outline, vertex_count
from histoseed.geometry.validity import make_outlines_valid

__all__ = [
    "MPP_RANGE",
    "PixelSpans",
    "Region",
    "Simplified",
    "components",
    "fill_holes",
    "known_mpp",
    "label_to_polygons",
    "largest_component",
    "make_outlines_valid",
    "paint_spans",
    "pixel_spans",
    "polygons_to_label",
    "simplify_outline",
    "vertex_count",
]
