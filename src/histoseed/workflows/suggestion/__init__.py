"""The parts of the verb ``suggest``: sources, places, networks, choice, files, the learning curve."""

from histoseed.workflows.suggestion.choice import Suggestion, choose_places
from histoseed.workflows.suggestion.curve import Curve, Training, measure_curve
from histoseed.workflows.suggestion.eyes import Eyes, open_eyes
from histoseed.workflows.suggestion.places import Place, places_of, thin_out
from histoseed.workflows.suggestion.results import write_suggestions
from histoseed.workflows.suggestion.sources import Annotated, Source, Sources, sources_of

__all__ = [
    "Annotated",
    "Curve",
    "Eyes",
    "Place",
    "Source",
    "Sources",
    "Suggestion",
    "Training",
    "choose_places",
    "measure_curve",
    "open_eyes",
    "places_of",
    "sources_of",
    "thin_out",
    "write_suggestions",
]
