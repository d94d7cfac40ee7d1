"""The kinds of segmenters: one row each."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
from torch import nn

from histoseed.errors import InputError
from histoseed.segmenters.cellvit import CellVitRepresentation, HoverProcessing, build_cellvit
from histoseed.segmenters.entries import (
    CellVitEntry,
    DecoderEntry,
    InstansegEntry,
    SemanticEntry,
    StarEntry,
    Task,
)
from histoseed.segmenters.instances import PostProcessing
from histoseed.segmenters.instanseg import InstansegProcessing, InstansegRepresentation, build_instanseg
from histoseed.segmenters.interface import DenseMaps, Found, InstanceRepresentation, Representation
from histoseed.segmenters.semantic import (
    AreaMaps,
    SemanticProcessing,
    SemanticRepresentation,
    build_semantic,
    class_map,
)
from histoseed.segmenters.skip import SkipRepresentation, build_skip
from histoseed.segmenters.stardist import StarProcessing, StarRepresentation, build_stardist

if TYPE_CHECKING:
    from histoseed.segmenters.card import ModelCard

__all__ = ["KINDS", "Kind", "areas_of", "check_task", "instances_of", "kind_of", "kinds_of"]


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
        task: ``instance``: its maps become nuclei, and its representation is an
            :class:`~histoseed.segmenters.interface.InstanceRepresentation`; ``semantic``: a class for every pixel.
    """

    entry: Callable[[], Any]
    processing: Callable[[], Any]
    representation: Representation
    build: Callable[[Any, list[int], list[int], int], nn.Module]
    task: Task = "instance"


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "skip": Kind(DecoderEntry, PostProcessing, SkipRepresentation(), build_skip),
        "cellvit": Kind(CellVitEntry, HoverProcessing, CellVitRepresentation(), build_cellvit),
        "stardist": Kind(StarEntry, StarProcessing, StarRepresentation(), build_stardist),
        "instanseg": Kind(InstansegEntry, InstansegProcessing, InstansegRepresentation(), build_instanseg),
        "semantic": Kind(SemanticEntry, SemanticProcessing, SemanticRepresentation(), build_semantic, "semantic"),
    }
)
"""By the name that stands in ``decoder.kind``; those of the task ``instance`` stand after ``--decoder``, too."""


def kinds_of(task: Task) -> list[str]:
    """Names of the kinds of a task.

    >>> kinds_of("semantic")
    ['semantic']
    """
    return [name for name, kind in KINDS.items() if kind.task == task]


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


def check_task(card: ModelCard, task: Task) -> None:
    """Refuse a model that is for something else.

    Raises:
        InputError: a model that tells areas apart finds no nuclei, and the other way round.
    """
    if card.task == task:
        return
    does = {"instance": "finds nuclei", "semantic": "tells areas apart"}
    what = f"The model {card.name!r} {does[card.task]}; what is wanted is a model that {does[task]}."
    raise InputError(what, where="model", fix=f"Use a model that was adapted with --task {task}.")


def instances_of(maps: DenseMaps, size: tuple[int, int], card: ModelCard, mpp: float) -> Found:
    """The instances of one image, with their classes.

    Args:
        maps: Of one image, see :meth:`DenseMaps.image`.
        size: Rows and columns to look at, from the upper left; what the maps have beyond is padding.
        card: The model's card.
        mpp: Microns per pixel.

    Raises:
        InputError: a model that tells areas apart finds no nuclei.
    """
    check_task(card, "instance")
    representation = cast("InstanceRepresentation", kind_of(card.decoder.kind).representation)
    found = representation.instances(maps, size, card.postprocessing, mpp)
    return found if maps.cells is None else replace(found, classes=maps.cells.probabilities(found.labels))


def areas_of(maps: DenseMaps, size: tuple[int, int], card: ModelCard) -> npt.NDArray[np.uint8]:
    """The class of every pixel of one image: 0 = background, 1..C as in the card. (H, W) uint8.

    Args:
        maps: Of one image, see :meth:`DenseMaps.image`.
        size: Rows and columns to look at, from the upper left; what the maps have beyond is padding.
        card: The model's card.

    Raises:
        InputError: a model that finds nuclei does not tell areas apart.
    """
    check_task(card, "semantic")
    entry = cast("SemanticEntry", card.decoder)
    return class_map(cast("AreaMaps", maps), size, background=entry.background)
