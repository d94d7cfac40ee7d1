"""Embeddings of samples: the mean of the deepest tokens, of a square or of those under a nucleus."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from histoseed.datasets import Crop, Dataset
from histoseed.workflows.looks import window_picture
from histoseed.workflows.patches import needed_mpp
from histoseed.workflows.progress import Progress
from histoseed.workflows.robustness.samples import Nucleus, Sample

if TYPE_CHECKING:
    from histoseed.encoders import FeaturePyramid

__all__ = ["embed_samples", "nucleus_weights"]

_POINT_UM = 4.0
"""Radius of the disc that stands for a nucleus known by a point: about that of a nucleus."""


def embed_samples(
    dataset: Dataset,
    samples: Sequence[Sample],
    encoder: FeaturePyramid,
    encoder_mpp: float,
    told: Progress,
    *,
    mpp: float | None = None,
) -> npt.NDArray[np.float32]:
    """One embedding a sample; a square that holds several is seen once.

    Args:
        dataset: Where they come from.
        samples: Those of one patch one after the other.
        encoder: In evaluation mode, on its device.
        encoder_mpp: Microns per pixel that it wants.
        told: Told about every sample.
        mpp: Assumed where a patch states none.

    Returns:
        Shape (N, D), in the order of the samples.
    """
    import torch

    from histoseed.inference import ArraySlide

    out = np.zeros((len(samples), encoder.channels[-1]), np.float32)
    numbered = list(enumerate(samples))
    for patch_id, of_patch in groupby(numbered, key=lambda one: one[1].crop.patch_id):
        patch = dataset.patch(patch_id)
        scale = needed_mpp(patch.mpp, mpp, patch_id)
        group = sorted(of_patch, key=lambda one: (one[1].crop.y, one[1].crop.x))
        with ArraySlide(patch.image, mpp=scale, name=patch_id) as slide:
            for crop, members in groupby(group, key=lambda one: one[1].crop):
                pixels = max(1, round(crop.side * scale / encoder_mpp))
                seen = window_picture(slide, crop.x, crop.y, crop.side, mpp=encoder_mpp, pixels=pixels)
                window = torch.from_numpy(seen).to(encoder.mean.device)
                with torch.inference_mode():
                    tokens = encoder(window.permute(2, 0, 1)[None].float() / 255)[-1][0].float().cpu().numpy()
                for index, sample in members:
                    weights = _weights(patch.labels, sample, scale, (tokens.shape[1], tokens.shape[2]))
                    out[index] = (tokens * weights).sum((1, 2)) / weights.sum()
                    told.advance(1)
    return out


def _weights(
    labels: npt.NDArray[np.int32], sample: Sample, mpp: float, grid: tuple[int, int]
) -> npt.NDArray[np.float32]:
    if sample.nucleus is None:
        return np.ones(grid, np.float32)
    return nucleus_weights(labels, sample.nucleus, sample.crop, mpp, grid)


def nucleus_weights(
    labels: npt.NDArray[np.int32], nucleus: Nucleus, crop: Crop, mpp: float, grid: tuple[int, int]
) -> npt.NDArray[np.float32]:
    """How much of each token's cell the nucleus covers.

    Args:
        labels: Mask of the patch, (H, W).
        nucleus: The nucleus; a box covers its box, a point a disc of 4 um.
        crop: The square that the tokens show.
        mpp: Microns per pixel of the patch.
        grid: Rows and columns of the tokens.

    Returns:
        Shape ``grid``, float32; the token under its middle counts where it covers no pixel.
    """
    import cv2

    x0, y0, x1, y1 = nucleus.box
    window = (slice(crop.y, crop.y + crop.side), slice(crop.x, crop.x + crop.side))
    rows, columns = np.ogrid[window]
    if nucleus.label is not None:
        covered = labels[window] == nucleus.label
    elif nucleus.kind == "point":
        covered = (columns + 0.5 - x0) ** 2 + (rows + 0.5 - y0) ** 2 <= (_POINT_UM / mpp) ** 2
    else:
        covered = (columns + 0.5 >= x0) & (columns + 0.5 < x1) & (rows + 0.5 >= y0) & (rows + 0.5 < y1)
    weights: npt.NDArray[np.float32] = cv2.resize(
        covered.astype(np.float32), (grid[1], grid[0]), interpolation=cv2.INTER_AREA
    )
    if not weights.any():
        row = int(np.clip(((y0 + y1) / 2 - crop.y) / crop.side * grid[0], 0, grid[0] - 1))
        column = int(np.clip(((x0 + x1) / 2 - crop.x) / crop.side * grid[1], 0, grid[1] - 1))
        weights[row, column] = 1
    return weights
