"""Pictures of annotations and results: overlays, contact sheets, comparisons, plots, HTML reports.

Everything takes arrays and plain values and gives an array (H, W, 3) uint8, PNG bytes or text; nothing here reads or
writes a file.
"""

from __future__ import annotations

from histoseed.pictures.charts import confusion_matrix, paired_differences, size_histogram
from histoseed.pictures.colors import OUTCOMES, UNCLASSIFIED, Colors, label_colors, palette
from histoseed.pictures.compare import OUTCOME_CODES, comparison, error_map, outcome_codes
from histoseed.pictures.curves import learning_curve, loss_curve
from histoseed.pictures.dataset_charts import ClassObjects
from histoseed.pictures.dataset_sheet import SheetPatch, dataset_sheet
from histoseed.pictures.figures import Theme
from histoseed.pictures.html import Report
from histoseed.pictures.overlay import draw_instances, draw_outlines, outline_mask
from histoseed.pictures.raster import Picture, downscale, jpeg_bytes, png_bytes
from histoseed.pictures.sheet import contact_sheet

__all__ = [
    "OUTCOMES",
    "OUTCOME_CODES",
    "UNCLASSIFIED",
    "ClassObjects",
    "Colors",
    "Picture",
    "Report",
    "SheetPatch",
    "Theme",
    "comparison",
    "confusion_matrix",
    "contact_sheet",
    "dataset_sheet",
    "downscale",
    "draw_instances",
    "draw_outlines",
    "error_map",
    "jpeg_bytes",
    "label_colors",
    "learning_curve",
    "loss_curve",
    "outcome_codes",
    "outline_mask",
    "paired_differences",
    "palette",
    "png_bytes",
    "size_histogram",
]
