"""Segmenters: decoder architectures and the instance representation (targets <-> maps <-> instances)."""

from histoseed.segmenters.card import ClassEntry, EncoderEntry, ModelCard, TrainingData
from histoseed.segmenters.combinations import why_not
from histoseed.segmenters.decoder import SkipDecoder
from histoseed.segmenters.entries import CellVitEntry, ClassifierEntry, DecoderEntry, InstansegEntry, StarEntry
from histoseed.segmenters.instances import PostProcessing, class_probabilities, foreground_scores, instance_labels
from histoseed.segmenters.interface import DenseMaps, Found, Representation
from histoseed.segmenters.kinds import KINDS, instances_of, kind_of
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
from histoseed.segmenters.skip import Maps
from histoseed.segmenters.targets import Targets, make_targets

__all__ = [
    "KINDS",
    "METHODS",
    "CellVitEntry",
    "ClassEntry",
    "ClassifierEntry",
    "DecoderEntry",
    "DenseMaps",
    "EncoderEntry",
    "Found",
    "InstansegEntry",
    "Maps",
    "MethodOptions",
    "ModelCard",
    "PostProcessing",
    "Representation",
    "Segmenter",
    "SkipDecoder",
    "StarEntry",
    "Targets",
    "TrainingData",
    "class_probabilities",
    "foreground_scores",
    "instance_labels",
    "instances_of",
    "kind_of",
    "load_segmenter",
    "make_targets",
    "mix_with",
    "prepare",
    "read_card",
    "save_segmenter",
    "start_from",
    "why_not",
    "write_model_files",
]
