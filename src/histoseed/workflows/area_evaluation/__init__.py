"""The parts of ``evaluate`` for areas: the truth, the answers, what came of it, and the report."""

from histoseed.workflows.area_evaluation.answers import area_answer, area_classes, areas_of_subject, is_semantic
from histoseed.workflows.area_evaluation.pictures import AreaExtremes
from histoseed.workflows.area_evaluation.report import render_area_report
from histoseed.workflows.area_evaluation.result import AreaComparison, AreaEvaluation
from histoseed.workflows.area_evaluation.tally import AreaTally
from histoseed.workflows.area_evaluation.truth import Areas, AreaTruth, area_truth

__all__ = [
    "AreaComparison",
    "AreaEvaluation",
    "AreaExtremes",
    "AreaTally",
    "AreaTruth",
    "Areas",
    "area_answer",
    "area_classes",
    "area_truth",
    "areas_of_subject",
    "is_semantic",
    "render_area_report",
]
