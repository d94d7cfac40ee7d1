"""The array of a window as a SAM network takes it. Each preparation repeats the one its authors publish."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image
from skimage.transform import resize

from histoseed.prompting.sam.cards import PromptableCard
from histoseed.prompting.sam.frame import Frame

__all__ = ["prepared"]

Picture = npt.NDArray[np.uint8]


def prepared(picture: Picture, frame: Frame, card: PromptableCard) -> torch.Tensor:
    """A window's pixels, resized and normalised.

    Args:
        picture: (H, W, 3) uint8 RGB.
        frame: Of the window.
        card: Says how.

    Returns:
        (1, 3, side, side) float32, zeros where padded.
    """
    if card.pixels == "window-range":
        return _channels_first(_window_range(picture, frame))
    if card.pixels == "channel-range":
        picture = _channel_range(picture)
    if card.resize == "stretched":
        pixels = _stretched(picture, frame.side)
    else:
        size = (frame.columns, frame.rows)
        image = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR)
        pixels = _channels_first(np.asarray(image, np.float32) / np.float32(255))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (card.mean, card.std))
    return F.pad((pixels - mean) / std, (0, frame.side - frame.columns, 0, frame.side - frame.rows))


def _stretched(picture: Picture, side: int) -> torch.Tensor:
    pixels = _channels_first(picture.astype(np.float32) / np.float32(255))
    if pixels.shape[-2:] == (side, side):
        return pixels
    return F.interpolate(pixels, (side, side), mode="bilinear", align_corners=False, antialias=True)


def _window_range(picture: Picture, frame: Frame) -> npt.NDArray[np.float32]:
    """As MedSAM: bicubic in 8 bits, then from the least to the greatest value of all channels together."""
    size = (frame.rows, frame.columns)
    if picture.shape[:2] != size:
        resized = resize(picture, size, order=3, preserve_range=True, anti_aliasing=True)  # type: ignore[no-untyped-call]
        picture = resized.astype(np.uint8)
    low, high = int(picture.min()), int(picture.max())
    return ((picture.astype(np.float64) - low) / max(high - low, 1e-8)).astype(np.float32)


def _channel_range(picture: Picture) -> Picture:
    """As micro-sam: each channel from its least to its greatest value, in 8 bits."""
    values = picture.astype(np.float32)
    values -= values.min((0, 1))
    values /= values.max((0, 1)) + np.float32(1e-7)
    return np.asarray(values * np.float32(255), np.uint8)


def _channels_first(values: npt.NDArray[np.float32]) -> torch.Tensor:
    """(H, W, 3) -> (1, 3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))[None]
