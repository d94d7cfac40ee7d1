"""Regions and resolutions, and the exact way between label images and polygons."""

from histoseed.geometry.outlines import label_to_polygons
from histoseed.geometry.raster import PixelSpans, paint_spans, pixel_spans, polygons_to_label
from histoseed.geometry.regions import MPP_RANGE, Region, known_mpp
from histoseed.geometry.validity import make_outlines_valid

__all__ = [
    "MPP_RANGE",
    "PixelSpans",
    "Region",
    "known_mpp",
    "label_to_polygons",
    "make_outlines_valid",
    "paint_spans",
    "pixel_spans",
    "polygons_to_label",
]
