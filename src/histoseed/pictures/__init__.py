"""Pictures of annotations and results: overlays, contact sheets, comparisons, plots, HTML reports.

Everything takes arrays and plain values and gives an array (H, W, 3) uint8, PNG bytes or text; nothing here reads or
writes a file.
"""

from __future__ import annotations

from histoseed.pictures.areas import draw_areas
from histoseed.pictures.budget_curves import BudgetPanel, Curve, budget_curves
from histoseed.pictures.cells import Strong
from histoseed.pictures.charts import confusion_matrix, paired_differences, size_histogram
from histoseed.pictures.colors import OUTCOMES, UNCLASSIFIED, Colors, label_colors, palette
from histoseed.pictures.compare import OUTCOME_CODES, comparison, error_map, outcome_codes
from histoseed.pictures.cost_chart import CostPoint, cost_chart, pareto_front
from histoseed.pictures.critical_difference import critical_difference_diagram
from histoseed.pictures.curves import learning_curve, loss_curve
from histoseed.pictures.dataset_charts import ClassObjects
from histoseed.pictures.dataset_sheet import SheetPatch, dataset_sheet
from histoseed.pictures.figures import Theme, Themed
from histoseed.pictures.html import Report
from histoseed.pictures.interval_chart import interval_chart
from histoseed.pictures.number_curves import NumberPanel, Points, number_curves
from histoseed.pictures.numbered_boxes import numbered_boxes
from histoseed.pictures.overlay import Strokes, draw_instances, draw_outlines, outline_mask
from histoseed.pictures.panels import Style
from histoseed.pictures.raster import Picture, downscale, jpeg_bytes, png_bytes
from histoseed.pictures.sheet import contact_sheet

__all__ = [
    "OUTCOMES",
    "OUTCOME_CODES",
    "UNCLASSIFIED",
    "BudgetPanel",
    "ClassObjects",
    "Colors",
    "CostPoint",
    "Curve",
    "NumberPanel",
    "Picture",
    "Points",
    "Report",
    "SheetPatch",
    "Strokes",
    "Strong",
    "Style",
    "Theme",
    "Themed",
    "budget_curves",
    "comparison",
    "confusion_matrix",
    "contact_sheet",
    "cost_chart",
    "critical_difference_diagram",
    "dataset_sheet",
    "downscale",
    "draw_areas",
    "draw_instances",
    "draw_outlines",
    "error_map",
    "interval_chart",
    "jpeg_bytes",
    "label_colors",
    "learning_curve",
    "loss_curve",
    "number_curves",
    "numbered_boxes",
    "outcome_codes",
    "outline_mask",
    "paired_differences",
    "palette",
    "pareto_front",
    "png_bytes",
    "size_histogram",
]
