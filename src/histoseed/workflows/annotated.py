"""Data set -> annotated pictures for training: the draw of few patches, resolution, partial annotation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

from histoseed.datasets import CROP_UM, OBJECT_KINDS, Crop, Dataset, Patch, annotated_crops, crop_patch
from histoseed.datasets.numbering import label_ids
from histoseed.errors import DatasetError, InputError
from histoseed.slides import Stain
from histoseed.wording import agreed
from histoseed.workflows.known_area import known_area
from histoseed.workflows.patches import needed_mpp

if TYPE_CHECKING:
    from histoseed.training import Picture

__all__ = ["Annotated", "Order", "draw_patches", "in_turns", "pictures_of"]

Order = Callable[[Dataset, Sequence[Crop], int, int], list[int]]
"""Which crops are annotated first: data set, candidates, seed, count -> indices of at most so many candidates."""


@dataclass(frozen=True, slots=True)
class Annotated:
    """What a model is adapted on.

    Args:
        patches: The annotated patches, in the order of the draw.
        instances: Annotated objects that they show.
        kinds: The same by kind, in the order of :data:`histoseed.datasets.OBJECT_KINDS`.
        groups: Patients or slides they come from, sorted.
        sources: The patch of the data set that each of them was cut from.
        stain: The look that their pictures were given; None: as they are.
        stain_left: Patches of the data set whose look could not be changed, and why.
    """

    patches: list[Patch]
    instances: int
    kinds: dict[str, int]
    groups: tuple[str, ...]
    sources: tuple[str, ...]
    stain: Stain | None = None
    stain_left: tuple[str, ...] = ()


def draw_patches(
    dataset: Dataset,
    count: int | None,
    seed: int,
    *,
    nuclei: int | None = None,
    mpp: float | None = None,
    order: Order | None = None,
) -> Annotated:
    """The annotated patches of a run.

    Args:
        dataset: Its patches of split "train", or all where there is no such split.
        count: How many crops of 64 um; None takes whole patches, all of them.
        seed: Names the draw; draws of one seed are nested.
        nuclei: Instead of ``count``: crops are drawn until they show at least so many annotated objects.
        mpp: Assumed where a patch states none.
        order: Which crops come first; None draws them at random, slides taking turns.

    Raises:
        DatasetError: nothing is annotated.
        UnknownMppError: a crop in micrometres needs an mpp.
        InputError: more crops or nuclei are asked for than there are, or both.
    """
    if count is not None and nuclei is not None:
        raise InputError("Patches and nuclei are two ways to say how much.", where="--nuclei", fix="Give one of them.")
    if order is not None and count is None and nuclei is None:
        what = "Every patch is taken, so there is nothing to select."
        raise InputError(what, where="--select", fix="Say how many with --patches or --nuclei.")
    splits = set(dataset.patches["split"].drop_nulls().to_list())
    training = dataset.select(split="train") if "train" in splits else dataset
    if count is None and nuclei is None:
        patches = list(training)
        sources = list(training.patch_ids)
        shown = [_kinds_of(training.objects(patch.patch_id), patch, patch.labels) for patch in patches]
    else:
        patches, sources, shown = _drawn(training, count, nuclei, seed, mpp, order or in_turns)
    kinds = sum(shown, Counter[str]())
    if not kinds.total():
        raise _nothing(dataset)
    names = {patch.group or patch.patient or patch.slide or patch.patch_id for patch in patches}
    by_kind = {kind: kinds[kind] for kind in OBJECT_KINDS}
    return Annotated(patches, kinds.total(), by_kind, tuple(sorted(names)), tuple(sources))


def _nothing(dataset: Dataset) -> DatasetError:
    return DatasetError("No patch has an annotated nucleus.", where=dataset.path)


def in_turns(training: Dataset, crops: Sequence[Crop], seed: int, count: int) -> list[int]:
    """At random, slides taking turns; an :data:`Order`."""
    from histoseed.training import nested_draw

    del training
    groups = [crop.group or crop.patch_id for crop in crops]
    return nested_draw(groups, [crop.objects for crop in crops], count, seed)


def _drawn(  # noqa: PLR0917 - one caller
    training: Dataset, count: int | None, nuclei: int | None, seed: int, mpp: float | None, order: Order
) -> tuple[list[Patch], list[str], list[Counter[str]]]:
    """Crops in the order of the draw, the patches they are cut from, and their objects by kind."""
    for row in training.patches.iter_rows(named=True):
        needed_mpp(row["mpp"], mpp, row["patch_id"])
    crops = annotated_crops(training, CROP_UM, mpp=mpp)
    if not crops:
        raise _nothing(training)
    if nuclei is not None and nuclei < 1:
        raise InputError(f"{nuclei} nuclei teach nothing.", where="--nuclei", fix="Ask for at least 1.")
    patches: list[Patch] = []
    sources: list[str] = []
    shown: list[Counter[str]] = []
    found = 0
    # A crop has at least one nucleus by its centre; only where its pixels lie beyond the crop, more crops are needed.
    wanted = [count or 0] if nuclei is None else [min(nuclei, len(crops)), len(crops)]
    for most in wanted:
        for i in order(training, crops, seed, most)[len(patches) :]:
            if nuclei is not None and found >= nuclei:
                return patches, sources, shown
            crop, whole = crops[i], training.patch(crops[i].patch_id)
            patches.append(crop_patch(whole, crop.x, crop.y, crop.side))
            sources.append(crop.patch_id)
            window = whole.labels[crop.y : crop.y + crop.side, crop.x : crop.x + crop.side]
            shown.append(_kinds_of(training.objects(crop.patch_id), patches[-1], window))
            found += shown[-1].total()
    if nuclei is not None and found < nuclei:
        asked = agreed("{count} {nucleus was|nuclei were} asked for", nuclei)
        what = f"{asked}; all crops of the data set show {found:,}."
        raise InputError(what, where="--nuclei", fix=f"Ask for 1 to {found}, or leave it out.")
    return patches, sources, shown


def _kinds_of(objects: pl.DataFrame, patch: Patch, labels: npt.NDArray[np.int32]) -> Counter[str]:
    """Annotated objects that a patch shows, by kind.

    Args:
        objects: The rows of the patch that it is, or was cut from.
        patch: Its marks are counted where their centre is inside.
        labels: Its label image, in the numbers of the rows.
    """
    height, width = patch.labels.shape
    inside = patch.marks.inside(width, height)
    rows = objects.filter(pl.col("label").is_in(pl.Series(label_ids(labels)).implode()))
    return Counter([*rows["kind"], *["point"] * len(inside.points), *["box"] * len(inside.boxes)])


def pictures_of(
    patches: list[Patch], model_mpp: float, *, mpp: float | None = None, ignore_unlabelled: bool = False
) -> list[Picture]:
    """Patches as the training room wants them.

    Args:
        patches: Annotated patches.
        model_mpp: Microns per pixel of the network.
        mpp: Assumed where a patch states none.
        ignore_unlabelled: Treat every patch as partly annotated; those marked as not exhaustive always are.

    Raises:
        UnknownMppError: a patch without an mpp.
    """
    from histoseed.training import Picture

    pictures = []
    for patch in patches:
        scale = needed_mpp(patch.mpp, mpp, patch.patch_id)
        known = known_area(patch, scale, partly=ignore_unlabelled or not patch.exhaustive)
        pictures.append(
            Picture(
                patch.image,
                patch.labels,
                patch.class_ids.astype(np.int64) if patch.classes else None,
                known.unlabelled,
                scale / model_mpp,
                patch.group or patch.patch_id,
                organ=patch.organ or "",
                marks=patch.marks.outside(patch.ignore),
                background=known.background,
            )
        )
    return pictures
