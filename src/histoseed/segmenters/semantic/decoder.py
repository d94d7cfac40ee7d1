"""The architecture: a skip decoder whose maps are the logits of classes."""

from __future__ import annotations

from collections.abc import Sequence

from histoseed.segmenters.decoder import SkipDecoder
from histoseed.segmenters.entries import SemanticEntry

__all__ = ["SemanticDecoder", "build_semantic"]


class SemanticDecoder(SkipDecoder):
    """A skip decoder that knows whether there is background, and by which loss it is trained.

    Args:
        channels: Channels of the encoder's features, see :class:`~histoseed.segmenters.decoder.SkipDecoder`.
        outputs: Channels of the map that is made.
        entry: Widths, background, and the exponent of the focal loss.
    """

    def __init__(self, channels: list[int], outputs: int, entry: SemanticEntry) -> None:
        super().__init__(channels, outputs, widths=entry.widths, image_widths=entry.image_widths)
        self.background = entry.background
        self.focal = entry.focal


def build_semantic(
    entry: SemanticEntry, channels: Sequence[int], strides: Sequence[int], outputs: int
) -> SemanticDecoder:
    """The architecture; it aligns maps by their size and needs no strides."""
    del strides
    return SemanticDecoder(list(channels), outputs, entry)
