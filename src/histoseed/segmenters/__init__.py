"""Segmenters: decoder architectures and the instance representation (targets <-> maps <-> instances)."""

from histoseed.segmenters.card import ClassEntry, EncoderEntry, ModelCard, TrainingData
from histoseed.segmenters.combinations import why_not, why_not_for
from histoseed.segmenters.decoder import SkipDecoder
from histoseed.segmenters.entries import (
    CellVitEntry,
    ClassifierEntry,
    DecoderEntry,
    InstansegEntry,
    SemanticEntry,
    StarEntry,
    Task,
)
from histoseed.segmenters.instances import PostProcessing, class_probabilities, foreground_scores, instance_labels
from histoseed.segmenters.interface import DenseMaps, Found, InstanceRepresentation, Representation
from histoseed.segmenters.kinds import KINDS, areas_of, check_task, instances_of, kind_of, kinds_of
from histoseed.segmenters.methods import METHODS, MethodOptions, prepare
from histoseed.segmenters.model import (
    Segmenter,
    load_segmenter,
    mix_with,
    read_card,
    save_segmenter,
    start_from,
    write_model_files,
)
from histoseed.segmenters.semantic import AreaMaps
from histoseed.segmenters.skip import Maps
from histoseed.segmenters.targets import Targets, make_targets
from histoseed.segmenters.uncertainty import uncertainty_of

__all__ = [
    "KINDS",
    "METHODS",
    "AreaMaps",
    "CellVitEntry",
    "ClassEntry",
    "ClassifierEntry",
    "DecoderEntry",
    "DenseMaps",
    "EncoderEntry",
    "Found",
    "InstanceRepresentation",
    "InstansegEntry",
    "Maps",
    "MethodOptions",
    "ModelCard",
    "PostProcessing",
    "Representation",
    "Segmenter",
    "SemanticEntry",
    "SkipDecoder",
    "StarEntry",
    "Targets",
    "Task",
    "TrainingData",
    "areas_of",
    "check_task",
    "class_probabilities",
    "foreground_scores",
    "instance_labels",
    "instances_of",
    "kind_of",
    "kinds_of",
    "load_segmenter",
    "make_targets",
    "mix_with",
    "prepare",
    "read_card",
    "save_segmenter",
    "start_from",
    "uncertainty_of",
    "why_not",
    "why_not_for",
    "write_model_files",
]
