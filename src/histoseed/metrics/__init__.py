"""Metrics: pure functions over one sparse contingency table of two label images, and accumulators that merge.

Every metric goes three steps: check the images and fold them into a :class:`Contingency`, fold the table into
sufficient statistics, turn statistics into a number. Scores of a set of images come from an :class:`Accumulator`
under a named protocol and carry its name (``docs/metrics.md``).
"""

from __future__ import annotations

from histoseed.metrics.accumulator import Accumulator, paired_intervals
from histoseed.metrics.answers import SIZE_EDGES, AnswerRows, PromptAccumulator, SizeStratum
from histoseed.metrics.areas import (
    AREAS,
    AreaAccumulator,
    AreaRows,
    area_confusion,
    area_dice,
    paired_area_intervals,
)
from histoseed.metrics.bootstrap import (
    Interval,
    bootstrap_interval,
    bootstrap_intervals,
    paired_difference,
    paired_differences,
)
from histoseed.metrics.classes import class_confusion, class_iou_sums, classes_of, confusion_of_pairs
from histoseed.metrics.contingency import Contingency, Objects, contingency
from histoseed.metrics.counts import r2_counts
from histoseed.metrics.detection import (
    DEFAULT_RADIUS_UM,
    DetectionScore,
    DetectionStatistics,
    detection_f1,
    detection_pairs,
    detection_statistics,
)
from histoseed.metrics.failures import PREDICTED_OUTCOMES, TRUTH_OUTCOMES, Failures, SizeBin, failures
from histoseed.metrics.matching import match_points, max_weight_matching
from histoseed.metrics.overlap import (
    Overlap,
    aji,
    aji_plus,
    aji_plus_statistics,
    aji_statistics,
    dice,
    dice_statistics,
    mean_matched_iou,
)
from histoseed.metrics.panoptic import (
    PanopticQuality,
    PanopticStatistics,
    matched_pairs,
    panoptic_quality,
    panoptic_statistics,
)
from histoseed.metrics.power_law import PowerLaw, expected_gain, fit_power_law
from histoseed.metrics.prompted import PromptedOverlap, mask_overlap, prompted_overlap, prompted_statistics
from histoseed.metrics.protocols import PROTOCOLS, Protocol, get_protocol
from histoseed.metrics.robustness import (
    Block,
    Robustness,
    crossed_blocks,
    nearest_others,
    neighbour_kinds,
    robustness_index,
)
from histoseed.metrics.rows import Rows, image_row
from histoseed.metrics.scores import Score, Scores
from histoseed.metrics.scoring import compute_scores
from histoseed.metrics.shape import hausdorff95, hausdorff95_of_pairs
from histoseed.metrics.usability import (
    PUBLISHED_USABILITY,
    USABILITY,
    Usability,
    compactness,
    perimeter,
    smoothness,
    solidity,
    usability,
)

__all__ = [
    "AREAS",
    "DEFAULT_RADIUS_UM",
    "PREDICTED_OUTCOMES",
    "PROTOCOLS",
    "PUBLISHED_USABILITY",
    "SIZE_EDGES",
    "TRUTH_OUTCOMES",
    "USABILITY",
    "Accumulator",
    "AnswerRows",
    "AreaAccumulator",
    "AreaRows",
    "Block",
    "Contingency",
    "DetectionScore",
    "DetectionStatistics",
    "Failures",
    "Interval",
    "Objects",
    "Overlap",
    "PanopticQuality",
    "PanopticStatistics",
    "PowerLaw",
    "PromptAccumulator",
    "PromptedOverlap",
    "Protocol",
    "Robustness",
    "Rows",
    "Score",
    "Scores",
    "SizeBin",
    "SizeStratum",
    "Usability",
    "aji",
    "aji_plus",
    "aji_plus_statistics",
    "aji_statistics",
    "area_confusion",
    "area_dice",
    "bootstrap_interval",
    "bootstrap_intervals",
    "class_confusion",
    "class_iou_sums",
    "classes_of",
    "compactness",
    "compute_scores",
    "confusion_of_pairs",
    "contingency",
    "crossed_blocks",
    "detection_f1",
    "detection_pairs",
    "detection_statistics",
    "dice",
    "dice_statistics",
    "expected_gain",
    "failures",
    "fit_power_law",
    "get_protocol",
    "hausdorff95",
    "hausdorff95_of_pairs",
    "image_row",
    "mask_overlap",
    "match_points",
    "matched_pairs",
    "max_weight_matching",
    "mean_matched_iou",
    "nearest_others",
    "neighbour_kinds",
    "paired_area_intervals",
    "paired_difference",
    "paired_differences",
    "paired_intervals",
    "panoptic_quality",
    "panoptic_statistics",
    "perimeter",
    "prompted_overlap",
    "prompted_statistics",
    "r2_counts",
    "robustness_index",
    "smoothness",
    "solidity",
    "usability",
]
