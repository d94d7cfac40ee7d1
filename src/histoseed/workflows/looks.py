"""What an encoder and a model see in windows of tissue: one embedding each, and how unsure the model is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from histoseed.datasets import Crop, Dataset
from histoseed.geometry import Region
from histoseed.slides import Slide, Stain, normalised, pixel_scale
from histoseed.slides.stains_density import GLASS, density
from histoseed.workflows.patches import needed_mpp
from histoseed.workflows.progress import Progress, Silent

if TYPE_CHECKING:
    import torch

    from histoseed.encoders import FeaturePyramid
    from histoseed.segmenters import Segmenter

__all__ = ["Looks", "Window", "crop_pictures", "look_at", "shows_tissue", "window_picture"]

_BATCH = 8

Window = npt.NDArray[np.uint8]
"""(S, S, 3) RGB at the resolution of the network."""


@dataclass(frozen=True, slots=True)
class Looks:
    """What is seen in windows.

    Args:
        features: Mean of the deepest map of each window. Shape (N, D), float32.
        uncertainty: Of the model, 0 to 1, see :func:`histoseed.segmenters.uncertainty_of`. Shape (N,), float64; None
            without a model.
    """

    features: npt.NDArray[np.float32]
    uncertainty: npt.NDArray[np.float64] | None


def look_at(
    windows: Iterable[Window],
    encoder: FeaturePyramid,
    model: Segmenter | None = None,
    *,
    dtype: torch.dtype | None = None,
    progress: Progress | None = None,
) -> Looks:
    """Embed windows, and measure how unsure a model is of them.

    Args:
        windows: RGB (S, S, 3) uint8, all of one size, at the resolution of the network; see :func:`crop_pictures`.
        encoder: In evaluation mode, on its device.
        model: The model that asks, in evaluation mode.
        dtype: Precision of the model; None means float32. Embeddings are always computed in float32.
        progress: Told about every window; it must have been started.
    """
    import torch

    from histoseed.segmenters import uncertainty_of

    told = progress or Silent()
    device = encoder.mean.device
    features: list[npt.NDArray[np.float32]] = []
    uncertainty: list[float] = []
    for batch in _batches(windows):
        x = torch.from_numpy(np.stack(batch)).to(device).permute(0, 3, 1, 2).float().div_(255)
        with torch.inference_mode():
            features.append(encoder(x)[-1].float().mean((2, 3)).cpu().numpy())
        if model is not None:
            maps = model.predict(x, dtype=dtype or torch.float32)
            uncertainty += [
                uncertainty_of(maps.image(k), shows_tissue(window), model.card) for k, window in enumerate(batch)
            ]
        told.advance(len(batch))
    rows = np.concatenate(features) if features else np.zeros((0, encoder.channels[-1]), np.float32)
    return Looks(rows, np.array(uncertainty) if model is not None else None)


def _batches(windows: Iterable[Window]) -> Iterator[list[Window]]:
    source = iter(windows)
    while batch := list(islice(source, _BATCH)):
        yield batch


def shows_tissue(picture: Window) -> npt.NDArray[np.bool_]:
    """Which pixels are no glass. (H, W, 3) -> (H, W)."""
    tissue: npt.NDArray[np.bool_] = density(picture).mean(-1) >= GLASS
    return tissue


def window_picture(slide: Slide, x: float, y: float, side: float, *, mpp: float, pixels: int) -> Window:
    """A square of a slide as a network sees it.

    Args:
        slide: Its resolution is known.
        x: Left border, level-0 pixels.
        y: Upper border, level-0 pixels.
        side: Width and height, level-0 pixels.
        mpp: Microns per pixel of the network.
        pixels: Rows and columns that it wants. A smaller square is continued by its mirror image, at the same scale.

    Raises:
        UnknownMppError: the slide's resolution is unknown.
    """
    scale = pixel_scale(Region(x, y, side, side, mpp), slide.mpp, where=slide.path)
    own = min(pixels, max(1, round(side / scale)))
    picture = slide.read(Region(x, y, side, side, mpp * side / scale / own))[:own, :own]
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, pixels - height), (0, pixels - width), (0, 0)), mode="symmetric")


def crop_pictures(
    dataset: Dataset,
    crops: Sequence[Crop],
    model_mpp: float,
    *,
    mpp: float | None = None,
    stain: Stain | None = None,
) -> Iterator[Window]:
    """The pictures of crops, at the resolution of a network, all of one size; a patch is read once.

    Args:
        dataset: The data set.
        crops: Its crops, those of one patch one after the other. Smaller ones are mirrored to the size of the largest.
        model_mpp: Microns per pixel of the network.
        mpp: Assumed where a patch states none.
        stain: The look that the network wants.

    Raises:
        UnknownMppError: neither the patch nor the caller knows the resolution.
    """
    from histoseed.inference import ArraySlide

    pixels = max((round(crop.side_um / model_mpp) for crop in crops), default=0)
    for patch_id, of_patch in groupby(crops, key=lambda crop: crop.patch_id):
        patch = dataset.patch(patch_id)
        scale = needed_mpp(patch.mpp, mpp, patch_id)
        with normalised(ArraySlide(patch.image, mpp=scale, name=patch_id), stain) as slide:
            for crop in of_patch:
                yield window_picture(slide, crop.x, crop.y, crop.side, mpp=model_mpp, pixels=pixels)
