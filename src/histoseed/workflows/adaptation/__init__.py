"""The parts of the verb ``adapt``: what is adapted, the new model, what is written."""

from histoseed.workflows.adaptation.fitting import Fit, fit
from histoseed.workflows.adaptation.kinds import check_start, trained_by
from histoseed.workflows.adaptation.lessons import Lessons, lessons_of, task_options
from histoseed.workflows.adaptation.model import new_model
from histoseed.workflows.adaptation.parts import (
    ADDING,
    Parts,
    choose_parts,
    classifier_of,
    decoder_body,
    decoder_kind,
    named_encoder,
    seen_before,
    start_model,
    usual_method,
)
from histoseed.workflows.adaptation.results import write_model
from histoseed.workflows.adaptation.selecting import Select, order_by
from histoseed.workflows.adaptation.stain import StainChoice, stain_pictures

__all__ = [
    "ADDING",
    "Fit",
    "Lessons",
    "Parts",
    "Select",
    "StainChoice",
    "check_start",
    "choose_parts",
    "classifier_of",
    "decoder_body",
    "decoder_kind",
    "fit",
    "lessons_of",
    "named_encoder",
    "new_model",
    "order_by",
    "seen_before",
    "stain_pictures",
    "start_model",
    "task_options",
    "trained_by",
    "usual_method",
    "write_model",
]
