"""Which encoder goes with which decoder and method; what does not go says why."""

from __future__ import annotations

from histoseed.encoders import EncoderCard
from histoseed.segmenters.kinds import kind_of
from histoseed.segmenters.methods import METHODS
from histoseed.segmenters.spatial_adapter import why_no_adapter

__all__ = ["why_not"]


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
        return f"there is no method {method!r}; methods are {', '.join(METHODS)}"
    if card.family == "bundled" and method == "lora":
        return "the bundled encoder is made of convolutions, and LoRA changes linear layers: use full, it is small"
    if method == "adapter":
        return "it is no plain vision transformer: use full" if card.family == "bundled" else why_no_adapter(card)
    if method == "side-branch" and card.dims is not None and len(card.dims) < 3:
        return "the side branch is joined to two maps below the deepest, and this encoder has too few: use lora or full"
    return None
