"""The method ``last-block``: the last blocks train, everything before them stays."""

from __future__ import annotations

from histoseed.encoders import FeaturePyramid
from histoseed.errors import InputError
from histoseed.segmenters.methods.adapted import AdaptedPyramid
from histoseed.segmenters.methods.blocks import blocks_of
from histoseed.segmenters.methods.options import MethodOptions

__all__ = ["prepare_last_block"]


def prepare_last_block(encoder: FeaturePyramid, options: MethodOptions, seed: int) -> AdaptedPyramid:
    """Let the last ``options.blocks`` blocks that decide about the maps train, in training mode.

    Raises:
        InputError: fewer blocks than that, or an architecture whose blocks are not recognised.
    """
    del seed
    adapted = AdaptedPyramid.of(encoder)
    reached = adapted.reached()
    inside = [
        (
            f"network.{name}",
            [key for part, _ in block.named_parameters() if (key := f"network.{name}.{part}") in reached],
        )
        for name, block in blocks_of(adapted.network)
    ]
    blocks = [(name, keys) for name, keys in inside if keys]
    if len(blocks) < options.blocks:
        what = f"The encoder has {len(blocks)} blocks that are recognised; {options.blocks} are asked for."
        raise InputError(what, where=encoder.card.name, fix="Use fewer blocks, or bitfit, side-branch or full.")
    last = blocks[-options.blocks :]
    return adapted.train_only(
        [key for _, keys in last for key in keys], live=[name for name, _ in last], method=options
    )
