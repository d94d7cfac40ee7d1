"""The method ``bitfit``: only biases train (Ben Zaken et al., ACL 2022)."""

from __future__ import annotations

from histoseed.encoders import FeaturePyramid
from histoseed.errors import InputError
from histoseed.segmenters.methods.adapted import AdaptedPyramid
from histoseed.segmenters.methods.options import MethodOptions

__all__ = ["prepare_bitfit"]


def prepare_bitfit(encoder: FeaturePyramid, options: MethodOptions, seed: int) -> AdaptedPyramid:
    """Let the biases of all layers that decide about the maps train, normalisation included; no table of positions.

    Raises:
        InputError: an encoder without biases.
    """
    del seed
    adapted = AdaptedPyramid.of(encoder)
    biases = [name for name in adapted.reached() if name.endswith((".bias", "_bias"))]
    if not biases:
        what = "The encoder has no biases."
        raise InputError(what, where=encoder.card.name, fix="Use last-block, side-branch or full.")
    return adapted.train_only(biases, method=options)
