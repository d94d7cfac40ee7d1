"""Which encoder goes with which decoder, method and task; what does not go says why."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from histoseed.encoders import EncoderCard
from histoseed.segmenters.entries import Task
from histoseed.segmenters.kinds import kind_of
from histoseed.segmenters.methods import METHODS
from histoseed.segmenters.spatial_adapter import why_no_adapter

__all__ = ["why_not", "why_not_for"]

_OF_NUCLEI: Mapping[str, str] = MappingProxyType(
    {
        "cellvit": "its maps are offsets within single nuclei",
        "stardist": "its maps are rays from the middle of single nuclei",
        "instanseg": "its maps gather the pixels of single nuclei",
    }
)
"""Why a decoder cannot tell areas apart."""


def why_not_for(task: Task, decoder: str) -> str | None:
    """Why a decoder makes no sense for a task, or None where it does.

    Args:
        task: ``instance`` or ``semantic``; the latter has the architecture of ``skip``.
        decoder: One of :data:`histoseed.segmenters.KINDS`.

    Raises:
        InputError: there is no such decoder.

    >>> why_not_for("semantic", "skip") is None
    True
    >>> why_not_for("semantic", "stardist")
    'its maps are rays from the middle of single nuclei, and areas have none: leave --decoder out, or say skip'
    """
    kind = kind_of(decoder)
    if task == "semantic" and decoder in _OF_NUCLEI:
        return f"{_OF_NUCLEI[decoder]}, and areas have none: leave --decoder out, or say skip"
    if task == "instance" and kind.task != "instance":
        return "it tells areas apart and finds no nuclei: use --task semantic"
    return None


def why_not(card: EncoderCard, decoder: str, method: str) -> str | None:
    """Why a combination makes no sense, or None where it does.

    What only the built network tells (for instance whether it has layers that LoRA can change) is said by
    :func:`histoseed.segmenters.methods.prepare`.

    Args:
        card: The encoder's card.
        decoder: One of :data:`histoseed.segmenters.KINDS`.
        method: One of :data:`histoseed.segmenters.methods.METHODS`.

    Raises:
        InputError: there is no such decoder.

    >>> from histoseed.encoders import get_card
    >>> why_not(get_card("bundled"), "cellvit", "full") is None
    True
    >>> why_not(get_card("bundled"), "skip", "lora")
    'the bundled encoder is made of convolutions, and LoRA changes linear layers: use full, it is small'
    """
    kind_of(decoder)
    if method not in METHODS:
        return f"there is no method {method!r}: use one of {', '.join(METHODS)}"
    if card.family == "bundled" and method == "lora":
        return "the bundled encoder is made of convolutions, and LoRA changes linear layers: use full, it is small"
    if method == "adapter":
        return "it is no plain vision transformer: use full" if card.family == "bundled" else why_no_adapter(card)
    if method == "side-branch" and card.dims is not None and len(card.dims) < 3:
        return "the side branch is joined to two maps below the deepest, and this encoder has too few: use lora or full"
    return None
