"""The parts of the verb ``evaluate``: who is judged, on what terms, what came of it, and the report."""

from histoseed.workflows.evaluation.classes import ClassMatch, match_classes
from histoseed.workflows.evaluation.exposure import Exposure, exposure
from histoseed.workflows.evaluation.kinds import ScoredKinds, scored_kinds
from histoseed.workflows.evaluation.report import render_report
from histoseed.workflows.evaluation.result import Comparison, Evaluation
from histoseed.workflows.evaluation.subjects import Answer, ModelSubject, PredictedSubject, Subject, subject_of
from histoseed.workflows.evaluation.tally import Tally, Truth, truth_of

__all__ = [
    "Answer",
    "ClassMatch",
    "Comparison",
    "Evaluation",
    "Exposure",
    "ModelSubject",
    "PredictedSubject",
    "ScoredKinds",
    "Subject",
    "Tally",
    "Truth",
    "exposure",
    "match_classes",
    "render_report",
    "scored_kinds",
    "subject_of",
    "truth_of",
]
