"""A semantic model's answer to one patch, on the patch's own pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from histoseed.geometry import Region
from histoseed.settings import read_settings
from histoseed.slides import normalised

if TYPE_CHECKING:
    import torch

    from histoseed.segmenters import Segmenter

__all__ = ["predict_areas"]


def predict_areas(
    model: Segmenter,
    image: npt.NDArray[np.uint8],
    mpp: float,
    dtype: torch.dtype | None = None,
    *,
    name: str = "patch",
) -> npt.NDArray[np.uint8]:
    """The class of every pixel of an image in memory, as ``segment`` decides it for a slide: same tiles, same cores.

    The image is brought to the resolution of the model; each of its own pixels then takes the class of the pixel that
    its centre lies in.

    Args:
        model: The segmenter, of the task *semantic*, on the device where it is to run.
        image: (H, W, 3) uint8, RGB.
        mpp: Microns per pixel of the image.
        dtype: Precision of the network; None means float32.
        name: Stands for the image in messages.

    Returns:
        (H, W) uint8: 0 = background, 1..C the model's classes.

    Raises:
        InputError: a model that finds nuclei, not an RGB image, or an mpp that is not believable.
    """
    import torch

    from histoseed.inference import ArraySlide, Field, FieldMapper, Precision, TileGrid, class_strips

    with normalised(ArraySlide(image, mpp=mpp, name=name), model.card.stain) as slide:
        width, height = slide.size
        field = Field.over(Region(0, 0, width, height), slide.size, mpp, model.card.mpp)
        grid = TileGrid(field, read_settings().tile_size)
        mapper = FieldMapper.in_memory(model, slide, grid, name, Precision(dtype=dtype or torch.float32))
        mapper.find()
        return np.concatenate(list(class_strips(mapper, (height, width), 1.0)))
