"""Data sets as a training of a promptable model sees them: what trains, what is kept apart, what is left for a test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from histoseed.datasets import Dataset, Patch
from histoseed.datasets.splits import deal_patches
from histoseed.errors import DatasetError, InputError
from histoseed.licences import commercial_use
from histoseed.prompting import Window, WindowPolicy
from histoseed.workflows.annotated import draw_patches
from histoseed.workflows.prompting.asking import read_window

if TYPE_CHECKING:
    from histoseed.segmenters import TrainingData
    from histoseed.training.prompted import PromptedPlan, Subject

__all__ = ["KeptApart", "Shares", "TaughtObjects", "draw_objects"]

KeptApart = Literal["none", "within", "split"]
"""Where validation objects come from: nowhere, a quarter of the groups that are drawn, the split ``val``."""
Shares = tuple[float, float, float]
"""Of training, validation and test objects; they sum to 1."""

_WITHIN = {"train": 0.75, "val": 0.25}


@dataclass(frozen=True, slots=True, eq=False)
class TaughtObjects:
    """What a model is trained on.

    Args:
        training: Objects that train.
        validation: Objects kept apart; none where nothing was asked for.
        data: One entry a data set, for the card.
        patches: Patch ids by part (train, val, test), for ``run.json``; those of several data sets follow their name.
    """

    training: list[Subject]
    validation: list[Subject]
    data: tuple[TrainingData, ...]
    patches: dict[str, list[str]]


def draw_objects(
    datasets: Sequence[Dataset],
    policy: WindowPolicy,
    plan: PromptedPlan,
    *,
    kept_apart: KeptApart = "none",
    shares: Shares | None = None,
    patches: int | None = None,
    max_objects: int | None = None,
    mpp: float | None = None,
) -> TaughtObjects:
    """The objects of a training. No group (patient or slide) is in two parts.

    Args:
        datasets: Each is dealt out by itself.
        policy: Windows of the model.
        plan: Settings of the loop.
        kept_apart: See :data:`KeptApart`.
        shares: Deal all groups out anew, whatever split the data set has; None takes of a data set with a split
            ``train`` that part alone.
        patches: Train on so many crops of 64 um of each data set; None takes whole patches, all of them.
        max_objects: Most objects that train, drawn at random over all data sets; nested for one seed.
        mpp: Assumed where a patch states none.

    Raises:
        DatasetError: nothing is outlined, or too few groups for the parts.
        InputError: names of data sets that are alike, numbers that make no sense, or ``kept_apart`` with ``shares``.
    """
    names = [data.name for data in datasets]
    if len(set(names)) < len(names):
        raise InputError("Two data sets have the same name.", where=", ".join(names), fix="Give each of them once.")
    if max_objects is not None and max_objects < 1:
        raise InputError(f"{max_objects} objects teach nothing.", where="--max-objects", fix="Ask for at least 1.")
    if shares is not None and kept_apart != "none":
        fix = "Leave --validation out: its share is the second number."
        raise InputError("Shares say already what is kept apart.", where=f"--validation {kept_apart}", fix=fix)
    training: list[Subject] = []
    validation: list[Subject] = []
    entries: list[tuple[Dataset, Sequence[Patch] | Dataset, list[Subject]]] = []
    shown: dict[str, list[str]] = {}
    for data in datasets:
        parts = _parts(data, kept_apart, shares, plan.seed)
        prefix = f"{data.name}/" if len(datasets) > 1 else ""
        taught = _drawn(parts["train"], patches, plan.seed, mpp)
        for part, selected in parts.items():
            ids = _ids(taught) if part == "train" else selected.patch_ids
            shown.setdefault(part, []).extend(prefix + key for key in ids)
        found = _subjects(taught, prefix, policy, plan, mpp)
        training += found
        entries.append((data, taught, found))
        validation += _subjects(parts["val"], prefix, policy, plan, mpp) if "val" in parts else []
    if not training:
        raise DatasetError("No patch has an outlined object.", where=datasets[0].path)
    if "val" in shown and not validation:
        raise DatasetError("No patch that is kept apart has an outlined object.", where=datasets[0].path)
    chosen = training if max_objects is None else _some(training, max_objects, plan.seed)
    left = {subject.id for subject in chosen}
    return TaughtObjects(
        chosen,
        validation,
        tuple(_entry(data, taught, sum(s.id in left for s in found)) for data, taught, found in entries),
        shown,
    )


def _parts(data: Dataset, kept_apart: KeptApart, shares: Shares | None, seed: int) -> dict[str, Dataset]:
    """Selections that train, are kept apart, and are left for a test."""
    if shares is not None:
        if len(shares) != 3 or min(shares) < 0 or not np.isclose(sum(shares), 1) or not shares[0]:
            fix = "Give three numbers that sum to 1, for instance 0.7,0.15,0.15."
            raise InputError(f"{shares} are not the shares of training, validation and test.", where="--split", fix=fix)
        return _dealt(data, {k: v for k, v in zip(("train", "val", "test"), shares, strict=True) if v}, seed)
    splits = set(data.patches["split"].drop_nulls().to_list())
    training = data.select(split="train") if "train" in splits else data
    if kept_apart == "within":
        return _dealt(training, _WITHIN, seed)
    if kept_apart == "split":
        if not {"train", "val"} <= splits:
            fix = "Run `histoseed dataset split`, or use --validation within."
            raise InputError(
                "The data set has no split into train and val.", where=f"{data.name}, --validation", fix=fix
            )
        return {"train": training, "val": data.select(split="val")}
    return {"train": training}


def _dealt(data: Dataset, shares: dict[str, float], seed: int) -> dict[str, Dataset]:
    part_of = deal_patches(data, shares, seed)
    return {name: data.select(patch_ids=[key for key, part in part_of.items() if part == name]) for name in shares}


def _drawn(training: Dataset, count: int | None, seed: int, mpp: float | None) -> Sequence[Patch] | Dataset:
    """Whole patches stay on the disk; crops, which are few, are held."""
    if count is None:
        return training
    # What trains is settled; a split that the table states as well must not choose once more.
    settled = replace(training, patches=training.patches.with_columns(split=pl.lit(None, dtype=pl.String)))
    return draw_patches(settled, count, seed, mpp=mpp).patches


def _subjects(
    patches: Sequence[Patch] | Dataset, prefix: str, policy: WindowPolicy, plan: PromptedPlan, mpp: float | None
) -> list[Subject]:
    from histoseed.training.prompted import PromptPicture, subjects_of

    found = []
    for number, patch in enumerate(patches):
        scale = patch.mpp if patch.mpp is not None else mpp
        size = (patch.labels.shape[1], patch.labels.shape[0])
        reader = _Reader(patches, number, scale, patch.patch_id)
        picture = PromptPicture(prefix + patch.patch_id, size, scale, reader, patch.ignore)
        found += subjects_of(picture, patch.labels, policy, plan)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Reader:
    """Reads windows of a patch as service reads those of a slide; of a data set, from the disk each time."""

    patches: Sequence[Patch] | Dataset
    number: int
    mpp: float | None
    name: str

    def __call__(self, window: Window) -> npt.NDArray[np.uint8]:
        from histoseed.inference import ArraySlide

        held = self.patches
        image = (held.patch(self.number) if isinstance(held, Dataset) else held[self.number]).image
        with ArraySlide(image, mpp=self.mpp, name=self.name) as slide:
            return read_window(slide, window)


def _some(subjects: list[Subject], most: int, seed: int) -> list[Subject]:
    order = np.random.default_rng([seed, 7]).permutation(len(subjects))[:most]
    return [subjects[i] for i in sorted(order.tolist())]


def _ids(patches: Sequence[Patch] | Dataset) -> list[str]:
    return patches.patch_ids if isinstance(patches, Dataset) else [patch.patch_id for patch in patches]


def _groups(patches: Sequence[Patch] | Dataset) -> set[str]:
    """Patients or slides, without reading a picture of a data set."""
    if isinstance(patches, Dataset):
        columns = ("group", "patient", "slide", "patch_id")
        return {str(next(row[c] for c in columns if row[c])) for row in patches.patches.iter_rows(named=True)}
    return {patch.group or patch.patient or patch.slide or patch.patch_id for patch in patches}


def _entry(data: Dataset, patches: Sequence[Patch] | Dataset, objects: int) -> TrainingData:
    from histoseed.segmenters import TrainingData

    return TrainingData(
        name=data.name,
        licence=data.info.licence,
        commercial=commercial_use(data.info.licence),
        patches=len(patches),
        instances=objects,
        kinds={"mask": objects},
        trained=f"{objects:,} outlines: prompts and their answers",
        groups=tuple(sorted(_groups(patches))),
    )
