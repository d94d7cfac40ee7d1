"""What a model has seen in training, held against what it is judged on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from histoseed.datasets import Dataset
from histoseed.datasets.barcodes import tcga
from histoseed.datasets.families import VERDICTS, Verdict, relation_of

if TYPE_CHECKING:
    from histoseed.segmenters import ModelCard, TrainingData

__all__ = ["Exposure", "exposure"]

_CROP = re.compile(r"_x\d+_y\d+_s\d+$")
"""What :func:`histoseed.datasets.crop_patch` adds to the id of a patch."""

_DERIVED = re.compile(r"derived from (.+?)[.\s]*$", re.IGNORECASE)
"""A leakage note that names what a data set was made of."""


class Exposure(NamedTuple):
    """Sentences for the reader of a score.

    Args:
        warnings: The score is, or may be, too good.
        notes: Good to know, and no objection.
        verdict: Whether the model has seen what it is judged on. ``yes``: a name says so. ``perhaps``: the names are
            related. ``not listed``: no name is; pictures may be there under another one. ``no``: only other groups of
            the same data set were trained on. ``unknown``: the model does not say what it was trained on.
        related: Names of the training data that ``yes`` and ``perhaps`` are about.
    """

    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    verdict: Verdict = "unknown"
    related: tuple[str, ...] = ()


class _Found(NamedTuple):
    """What one entry of the training data tells."""

    verdict: Verdict
    warning: str | None = None
    note: str | None = None


def exposure(dataset: Dataset, card: ModelCard) -> Exposure:
    """Whether a model was trained on what it is judged on.

    Names are compared, not pixels: those of data sets, what leakage notes say of where a data set comes from, and
    patients, slides, groups and patches by their ids.

    Args:
        dataset: The patches that are scored.
        card: What the model says of its training.
    """
    found = [(entry.name, _of_entry(dataset, card.name, entry)) for entry in card.data]
    verdict: Verdict = min((one.verdict for _, one in found), key=VERDICTS.index, default="unknown")
    return Exposure(
        warnings=tuple(dict.fromkeys(one.warning for _, one in found if one.warning)),
        notes=tuple(dict.fromkeys(one.note for _, one in found if one.note)),
        verdict=verdict,
        related=tuple(dict.fromkeys(n for n, one in found if one.verdict == verdict and one.warning)),
    )


def _of_entry(dataset: Dataset, model: str, entry: TrainingData) -> _Found:
    remarks = dataset.info.leakage_notes
    sources = [found[1] for remark in remarks if (found := _DERIVED.match(remark))]
    own = entry.name.casefold() == dataset.name.casefold()
    same = own or any(entry.name.casefold() == source.casefold() for source in sources)
    trained = {_CROP.sub("", name) for name in entry.groups}
    seen, names = _patches_of(dataset, trained)
    if seen:
        where = "this data set" if own else f"the data set {entry.name!r}"
        sure = same or any(tcga(name) is not None for name in names)
        doubt = "" if sure else ", if the names mean the same there"
        share = f"{seen:,} of the {len(dataset):,} patches ({_some(names)})"
        belong = "belongs" if seen == 1 else "belong"
        text = f"{share} {belong} to groups of {where} that {model!r} was trained on{doubt}: the scores are too good."
        return _Found("yes" if sure else "perhaps", text)
    if own and trained:
        text = f"{model!r} was trained on other groups of this data set ({_some(sorted(trained))})."
        return _Found("no", note=text)
    if same:
        origin = "a data set of this name" if own else "what this data set is derived from"
        groups = "names other groups" if trained else "does not say on which groups"
        text = f"{model!r} was trained on {origin} ({entry.name!r}) and {groups}. The scores may be too good."
        return _Found("perhaps" if trained else "yes", text)
    for remark in remarks:
        if _mentions(remark, entry.name):
            text = f"The data set says {remark!r}, and {model!r} was trained on {entry.name!r}."
            return _Found("perhaps", f"{text} The scores may be too good.")
    for name in (dataset.name, *sources):
        reason = relation_of(name, entry.name)
        if reason is not None:
            text = f"{model!r} was trained on {entry.name!r}, and this is {name!r}: {reason}."
            return _Found("perhaps", f"{text} Perhaps it has seen the same pictures, and the scores are too good.")
    return _Found("not listed")


def _mentions(remark: str, name: str) -> bool:
    """Whether a leakage note names a data set, other than to say that nothing is shared with it."""
    text = remark.casefold()
    denied = text.startswith(("no ", "none "))
    return not denied and re.search(rf"(?<![\w-]){re.escape(name.casefold())}(?![\w-])", text) is not None


def _patches_of(dataset: Dataset, groups: set[str]) -> tuple[int, list[str]]:
    """How many patches belong to one of the groups, and which of the groups occur."""
    columns = [dataset.patches[name].to_list() for name in ("group", "patient", "slide", "patch_id")]
    hits = [groups.intersection(row) for row in zip(*columns, strict=True)]
    return sum(map(bool, hits)), sorted(set().union(*hits))


def _some(names: Sequence[str], most: int = 5) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
