"""Segmenters: decoder architectures and the instance representation (targets <-> maps <-> instances)."""

from histoseed.segmenters.card import ClassEntry, DecoderEntry, EncoderEntry, ModelCard, TrainingData
from histoseed.segmenters.decoder import SkipDecoder
from histoseed.segmenters.instances import PostProcessing, class_probabilities, foreground_scores, instance_labels
from histoseed.segmenters.model import (
    Maps,
    Segmenter,
    load_segmenter,
    mix_with,
    read_card,
    save_segmenter,
    start_from,
    write_model_files,
)
from histoseed.segmenters.targets import Targets, make_targets

__all__ = [
    "ClassEntry",
    "DecoderEntry",
    "EncoderEntry",
    "Maps",
    "ModelCard",
    "PostProcessing",
    "Segmenter",
    "SkipDecoder",
    "Targets",
    "TrainingData",
    "class_probabilities",
    "foreground_scores",
    "instance_labels",
    "load_segmenter",
    "make_targets",
    "mix_with",
    "read_card",
    "save_segmenter",
    "start_from",
    "write_model_files",
]
