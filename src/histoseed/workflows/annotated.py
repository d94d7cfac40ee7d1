"""Data set -> annotated pictures for training: the draw of few patches, resolution, partial annotation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from histoseed.datasets import CROP_UM, Dataset, Patch, annotated_crops, crop_patch
from histoseed.errors import DatasetError, UnknownMppError

if TYPE_CHECKING:
    from histoseed.training import Picture

__all__ = ["Annotated", "draw_patches", "pictures_of"]

RING_UM = 2.0
"""Partly annotated patches: background is what lies within this distance of an annotated object."""


@dataclass(frozen=True, slots=True)
class Annotated:
    """What a model is adapted on.

    Args:
        patches: The annotated patches, in the order of the draw.
        instances: Objects on them.
        groups: Patients or slides they come from, sorted.
    """

    patches: list[Patch]
    instances: int
    groups: tuple[str, ...]


def draw_patches(dataset: Dataset, count: int | None, seed: int, *, mpp: float | None = None) -> Annotated:
    """The annotated patches of a run.

    Args:
        dataset: Its patches of split "train", or all where there is no such split.
        count: How many crops of 64 um; None takes whole patches, all of them.
        seed: Names the draw; draws of one seed are nested.
        mpp: Assumed where a patch states none.

    Raises:
        DatasetError: nothing is annotated.
        UnknownMppError: a crop in micrometres needs an mpp.
        InputError: more crops are asked for than there are.
    """
    from histoseed.training import nested_draw

    splits = set(dataset.patches["split"].drop_nulls().to_list())
    training = dataset.select(split="train") if "train" in splits else dataset
    if count is None:
        patches = list(training)
    else:
        crops = annotated_crops(training, CROP_UM, mpp=mpp)
        if not crops:
            raise DatasetError("No patch has an outlined object.", where=dataset.path)
        groups = [crop.group or crop.patch_id for crop in crops]
        chosen = nested_draw(groups, [crop.objects for crop in crops], count, seed)
        patches = [crop_patch(training.patch(crops[i].patch_id), crops[i].x, crops[i].y, crops[i].side) for i in chosen]
    instances = sum(len(patch.label_ids) for patch in patches)
    if instances == 0:
        raise DatasetError("No patch has an outlined object.", where=dataset.path)
    names = {patch.group or patch.patient or patch.slide or patch.patch_id for patch in patches}
    return Annotated(patches, instances, tuple(sorted(names)))


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
        scale = patch.mpp if patch.mpp is not None else mpp
        if scale is None:
            fix = "Say it with --mpp, for instance --mpp 0.25 for a scan at 40x."
            raise UnknownMppError("The microns per pixel are not known.", where=f"patch {patch.patch_id}", fix=fix)
        ignore = patch.ignore
        if ignore_unlabelled or not patch.exhaustive:
            far = _far_from_objects(patch.labels, RING_UM / scale)
            ignore = far if ignore is None else ignore | far
        classes = patch.class_ids.astype(np.int64) if patch.classes else None
        pictures.append(
            Picture(patch.image, patch.labels, classes, ignore, scale / model_mpp, patch.group or patch.patch_id)
        )
    return pictures


def _far_from_objects(labels: npt.NDArray[np.int32], reach: float) -> npt.NDArray[np.bool_]:
    """Pixels further than ``reach`` pixels from any object. (H, W) bool."""
    from scipy.ndimage import distance_transform_edt

    if not labels.any():
        return np.ones(labels.shape, bool)
    far: npt.NDArray[np.bool_] = distance_transform_edt(labels == 0) > reach
    return far
