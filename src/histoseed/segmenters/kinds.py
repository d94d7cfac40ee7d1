"""The kinds of segmenters: one row each."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from torch import nn

from histoseed.errors import InputError
from histoseed.segmenters.cellvit import CellVitRepresentation, HoverProcessing, build_cellvit
from histoseed.segmenters.entries import CellVitEntry, DecoderEntry, InstansegEntry, StarEntry
from histoseed.segmenters.instances import PostProcessing
from histoseed.segmenters.instanseg import InstansegProcessing, InstansegRepresentation, build_instanseg
from histoseed.segmenters.interface import DenseMaps, Found, Representation
from histoseed.segmenters.skip import SkipRepresentation, build_skip
from histoseed.segmenters.stardist import StarProcessing, StarRepresentation, build_stardist

if TYPE_CHECKING:
    from histoseed.segmenters.card import ModelCard

__all__ = ["KINDS", "Kind", "instances_of", "kind_of"]


@dataclass(frozen=True, slots=True)
class Kind:
    """Everything that belongs to one ``decoder.kind``.

    Args:
        entry: Class of the build arguments in the card; without arguments it gives the defaults.
        processing: Class of the thresholds in the card; without arguments it gives the defaults.
        representation: What the maps mean.
        build: Makes the architecture from the entry, the encoder's channels and strides, and the number of raw maps.
            Its ``forward(image, features)`` takes the image (N, 3, H, W) in [-1, 1] and the encoder's maps, and
            returns the raw maps.
    """

    entry: Callable[[], Any]
    processing: Callable[[], Any]
    representation: Representation
    build: Callable[[Any, list[int], list[int], int], nn.Module]


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "skip": Kind(DecoderEntry, PostProcessing, SkipRepresentation(), build_skip),
        "cellvit": Kind(CellVitEntry, HoverProcessing, CellVitRepresentation(), build_cellvit),
        "stardist": Kind(StarEntry, StarProcessing, StarRepresentation(), build_stardist),
        "instanseg": Kind(InstansegEntry, InstansegProcessing, InstansegRepresentation(), build_instanseg),
    }
)
"""By the name that stands in ``decoder.kind`` and after ``--decoder``."""


def kind_of(name: str) -> Kind:
    """The row of a kind.

    Raises:
        InputError: there is none of that name; the error gives the nearest.

    >>> kind_of("skip").representation.outputs(0)
    7
    """
    if name not in KINDS:
        close = difflib.get_close_matches(name, KINDS) or list(KINDS)
        raise InputError(f"There is no decoder {name!r}.", where="--decoder", fix=f"Use {' or '.join(close)}.")
    return KINDS[name]


def instances_of(maps: DenseMaps, size: tuple[int, int], card: ModelCard, mpp: float) -> Found:
    """The instances of one image, with their classes.

    Args:
        maps: Of one image, see :meth:`DenseMaps.image`.
        size: Rows and columns to look at, from the upper left; what the maps have beyond is padding.
        card: The model's card.
        mpp: Microns per pixel.
    """
    found = kind_of(card.decoder.kind).representation.instances(maps, size, card.postprocessing, mpp)
    return found if maps.cells is None else replace(found, classes=maps.cells.probabilities(found.labels))
