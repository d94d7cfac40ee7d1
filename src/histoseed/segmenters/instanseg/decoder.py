"""The architecture of an InstanSeg-type segmenter: the skip decoder and a tiny network that sees single pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy.special import expit
from torch import nn

from histoseed.segmenters.decoder import SkipDecoder
from histoseed.segmenters.entries import InstansegEntry

__all__ = ["EMBEDDING", "InstansegDecoder", "PixelWeights", "build_instanseg"]

EMBEDDING = 2
"""Channels of the spatial embedding, and as many of its spread."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PixelWeights:
    """The tiny network as arrays: three layers of weights (outputs, inputs) and biases, SiLU between them."""

    layers: tuple[tuple[Floats, Floats], ...]

    def __call__(self, x: Floats) -> Floats:
        """(..., 4) -> logit (...)."""
        for number, (weight, bias) in enumerate(self.layers):
            x = x @ weight.T + bias
            if number < len(self.layers) - 1:
                x = x * expit(x)
        out: Floats = x[..., 0]
        return out


class InstansegDecoder(SkipDecoder):
    """Embedding, spread, seed and class maps, and the classifier of pixels against a seed.

    Args:
        channels: Of the encoder's maps.
        outputs: Channels of the maps.
        widths: See :class:`~histoseed.segmenters.decoder.SkipDecoder`.
        image_widths: See there.
        hidden: Units of the two hidden layers of the pixel classifier, at least 5.

    The classifier starts as "points to nearly the same place": where it starts at random, whole seeds claim everything
    or nothing, which the published training mends by epochs of a simpler loss.
    """

    def __init__(
        self,
        channels: list[int],
        outputs: int,
        *,
        widths: tuple[int, int, int, int],
        image_widths: tuple[int, int],
        hidden: int,
    ) -> None:
        super().__init__(channels, outputs, widths=widths, image_widths=image_widths)
        first, second, last = nn.Linear(2 * EMBEDDING, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, 1)
        self.pixels = nn.Sequential(first, nn.SiLU(), second, nn.SiLU(), last)
        with torch.no_grad():
            for layer in (first, second, last):
                layer.weight.mul_(0.1)
                layer.bias.zero_()
            # SiLU(k d) + SiLU(-k d) grows like k |d|; the logit is positive where |dx| + |dy| is below about 1.4 units.
            first.weight[:4, :EMBEDDING] = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
            second.weight[0, :4] = -1.0
            second.bias[0] = 4.0
            last.weight[0, 0] = 1.0
            last.bias[0] = -1.0

    def pixel_weights(self) -> PixelWeights:
        """The classifier as it is now, on the processor."""
        layers = [layer for layer in self.pixels if isinstance(layer, nn.Linear)]
        return PixelWeights(tuple((_array(layer.weight), _array(layer.bias)) for layer in layers))


def _array(tensor: torch.Tensor) -> Floats:
    return tensor.detach().float().cpu().numpy().copy()


def build_instanseg(
    entry: InstansegEntry, channels: Sequence[int], strides: Sequence[int], outputs: int
) -> InstansegDecoder:
    """The architecture of a card's entry; it aligns maps by their size and needs no strides."""
    del strides
    return InstansegDecoder(
        list(channels), outputs, widths=entry.widths, image_widths=entry.image_widths, hidden=entry.hidden
    )
