"""A model's answer to one patch, on the patch's own pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from histoseed.annotations import Instances
from histoseed.errors import UnknownMppError
from histoseed.geometry import Region, known_mpp, polygons_to_label
from histoseed.settings import read_settings
from histoseed.slides import normalised

if TYPE_CHECKING:
    import torch

    from histoseed.segmenters import Segmenter

__all__ = ["PatchPrediction", "needed_mpp", "predict_patch"]


class PatchPrediction(NamedTuple):
    """Objects of one patch; row k of every column is label k + 1.

    Args:
        labels: (H, W) int32, 0 = background, labels 1..n without gaps.
        class_ids: (n + 1,) int32: class index of each label in the order of the model's classes, from 1; all 0 for a
            model without classes.
        probabilities: (n, C) float32 class probabilities.
        instances: The same objects with outline, score and source, in the patch's own pixels.
    """

    labels: npt.NDArray[np.int32]
    class_ids: npt.NDArray[np.int32]
    probabilities: npt.NDArray[np.float32]
    instances: Instances


def needed_mpp(stated: float | None, assumed: float | None, patch_id: str) -> float:
    """The microns per pixel of a patch: what it states, else what is to be assumed.

    Raises:
        UnknownMppError: neither is known.
    """
    scale = known_mpp(stated) or known_mpp(assumed)
    if scale is None:
        fix = "Say it with --mpp, for instance --mpp 0.25 for a scan at 40x."
        raise UnknownMppError("The microns per pixel are not known.", where=f"patch {patch_id}", fix=fix)
    return scale


def predict_patch(
    model: Segmenter,
    image: npt.NDArray[np.uint8],
    mpp: float,
    dtype: torch.dtype | None = None,
    *,
    name: str = "patch",
) -> PatchPrediction:
    """Segment an image in memory, just as ``segment`` does a slide: same tiles, same seams, same outlines.

    The image is brought to the resolution of the model; outlines found there are scaled back as polygons and drawn on
    the pixels of the image, so that borders are right to a fraction of a pixel. An object too small to cover the centre
    of any pixel is dropped.

    Args:
        model: The segmenter, on the device where it is to run.
        image: (H, W, 3) uint8, RGB.
        mpp: Microns per pixel of the image.
        dtype: Precision of the network; None means float32.
        name: Stands for the image in messages and in the ids of the objects.

    Raises:
        InputError: not an RGB image, or an mpp that is not believable.
    """
    import torch

    from histoseed.inference import ArraySlide, Field, FieldSegmenter, Precision, TileGrid

    with normalised(ArraySlide(image, mpp=mpp, name=name), model.card.stain) as slide:
        width, height = slide.size
        field = Field.over(Region(0, 0, width, height), slide.size, mpp, model.card.mpp)
        grid = TileGrid(field, read_settings().tile_size)
        how = Precision(dtype=dtype or torch.float32)
        found = FieldSegmenter.in_memory(model, slide, grid, name, how).all()
    return _drawn(found, (height, width), model.card.class_names)


def _drawn(found: Instances, shape: tuple[int, int], classes: list[str]) -> PatchPrediction:
    """Outlines as a label image; objects without a pixel are left out."""
    labels = polygons_to_label(found.geometry, shape)
    visible = np.bincount(labels.ravel(), minlength=len(found) + 1)[1:] > 0
    number = np.concatenate([[0], np.cumsum(visible)]).astype(np.int32)
    kept = found.select(visible)
    index = {name: k for k, name in enumerate(classes, start=1)}
    chances = [[row[f"Probability: {name}"] for name in classes] for row in kept.measurements]
    return PatchPrediction(
        labels=number[labels],
        class_ids=np.array([0, *(index.get(name, 0) for name in kept.class_name)], dtype=np.int32),
        probabilities=np.array(chances, dtype=np.float32).reshape(len(kept), len(classes)),
        instances=kept,
    )
