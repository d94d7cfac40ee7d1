"""What a model has seen in training, held against what it is judged on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from histoseed.datasets import Dataset

if TYPE_CHECKING:
    from histoseed.segmenters import ModelCard, TrainingData

__all__ = ["Exposure", "exposure"]

_CROP = re.compile(r"_x\d+_y\d+_s\d+$")
"""What :func:`histoseed.datasets.crop_patch` adds to the id of a patch."""


class Exposure(NamedTuple):
    """Sentences for the reader of a score.

    Args:
        warnings: The score is, or may be, too good.
        notes: Good to know, and no objection.
    """

    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def exposure(dataset: Dataset, card: ModelCard) -> Exposure:
    """Whether a model was trained on what it is judged on.

    Names are compared, not pixels: data-set names, and patients, slides, groups and patches by their ids.

    Args:
        dataset: The patches that are scored.
        card: What the model says of its training.
    """
    warnings: list[str] = []
    notes: list[str] = []
    for entry in card.data:
        found, harmless = _of_entry(dataset, card.name, entry)
        warnings.extend(found)
        notes.extend(harmless)
    return Exposure(tuple(dict.fromkeys(warnings)), tuple(dict.fromkeys(notes)))


def _of_entry(dataset: Dataset, model: str, entry: TrainingData) -> tuple[list[str], list[str]]:
    same = entry.name.casefold() == dataset.name.casefold()
    trained = {_CROP.sub("", name) for name in entry.groups}
    seen, names = _patches_of(dataset, trained)
    if seen:
        where = "this data set" if same else f"the data set {entry.name!r}"
        doubt = "" if same else ", if the names mean the same there"
        share = f"{seen:,} of the {len(dataset):,} patches ({_some(names)})"
        belong = "belongs" if seen == 1 else "belong"
        text = f"{share} {belong} to groups of {where} that {model!r} was trained on{doubt}: the scores are too good."
        return [text], []
    if same and not trained:
        text = f"{model!r} was trained on a data set of this name ({entry.name!r}) and does not say on which groups."
        return [f"{text} The scores may be too good."], []
    if same:
        return [], [f"{model!r} was trained on other groups of this data set ({_some(sorted(trained))})."]
    for remark in dataset.info.leakage_notes:
        if entry.name.casefold() in remark.casefold():
            text = f"The data set says {remark!r}, and {model!r} was trained on {entry.name!r}."
            return [f"{text} The scores may be too good."], []
    return [], []


def _patches_of(dataset: Dataset, groups: set[str]) -> tuple[int, list[str]]:
    """How many patches belong to one of the groups, and which of the groups occur."""
    columns = [dataset.patches[name].to_list() for name in ("group", "patient", "slide", "patch_id")]
    hits = [groups.intersection(row) for row in zip(*columns, strict=True)]
    return sum(map(bool, hits)), sorted(set().union(*hits))


def _some(names: Sequence[str], most: int = 5) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
