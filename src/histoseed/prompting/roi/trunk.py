"""Features of a window that all of its prompts share, from a segmenter with the skip decoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch

from histoseed.segmenters import Segmenter
from histoseed.segmenters.decoder import SkipDecoder
from histoseed.segmenters.targets import DISTANCES, SEMANTIC

__all__ = ["COARSE", "SharedFeatures", "coarse_channels", "fine_channels", "shared_features"]

COARSE = (1, 2, 3)
"""Which of the encoder's maps give context: strides 4, 8 and 16 of the bundled encoder."""


@dataclass(frozen=True, slots=True)
class SharedFeatures:
    """Maps of a batch of windows.

    Args:
        fine: (B, C, H, W): the image in [-1, 1], the segmenter's maps, the last features of its decoder.
        coarse: One map (B, c, h, w) for each of :data:`COARSE`.
        size: Rows and columns of the windows, pixels.
    """

    fine: torch.Tensor
    coarse: tuple[torch.Tensor, ...]
    size: tuple[int, int]


def fine_channels(model: Segmenter) -> int:
    """Channels of :attr:`SharedFeatures.fine`."""
    return 3 + SEMANTIC + DISTANCES + cast("SkipDecoder", model.decoder).head.in_channels


def coarse_channels(model: Segmenter) -> tuple[int, ...]:
    """Channels of each of :attr:`SharedFeatures.coarse`."""
    return tuple(model.encoder.channels[i] for i in COARSE)


def shared_features(
    model: Segmenter, images: torch.Tensor, *, dtype: torch.dtype = torch.float32, gradients: bool = False
) -> SharedFeatures:
    """Run the segmenter, in evaluation mode.

    Args:
        model: The segmenter; its decoder is of the kind ``skip``.
        images: (B, 3, H, W) RGB float in [0, 1]; sides are multiples of 16.
        dtype: Precision of the network.
        gradients: Whether the segmenter trains as well.
    """
    decoder = cast("SkipDecoder", model.decoder)
    given = images.to(memory_format=torch.channels_last)
    mode = torch.enable_grad() if gradients else torch.no_grad()
    with mode, torch.autocast(images.device.type, dtype=dtype, enabled=dtype != torch.float32):
        features = model.encoder(given)
        hidden = decoder.hidden(given * 2 - 1, features)
        raw = decoder.head(hidden).float()
    maps = [raw[:, :SEMANTIC].softmax(1), raw[:, SEMANTIC : SEMANTIC + DISTANCES].tanh()]
    fine = torch.cat([given * 2 - 1, *maps, hidden.float()], 1)
    size = (images.shape[-2], images.shape[-1])
    return SharedFeatures(fine, tuple(features[i].float() for i in COARSE), size)
