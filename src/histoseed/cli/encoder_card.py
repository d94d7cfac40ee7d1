"""The card of an encoder for people: what it may be used for, whether its weights are here and how they are had."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from histoseed.encoders import Chosen, EncoderCard

__all__ = ["card_in_words"]

_GROUPS = {
    "histoseed": "part of histoseed",
    "pathology": "made for pathology",
    "general": "made for everyday pictures",
    "segment-anything": "image encoder of a Segment Anything model",
}
_GATES = {
    "none": "free, without a login",
    "click": "gated: the licence must be accepted first",
    "manual": "gated: the owners decide about each request",
    "unavailable": "never released",
}


def card_in_words(chosen: Chosen) -> dict[str, str]:
    """The lines of ``encoders show``; what is not known has none.

    Args:
        chosen: The encoder, and the weights that its name or path stands for.
    """
    card = chosen.card
    lines = {
        "encoder": card.name if isinstance(chosen.weights, Path) else f"{card.name}, {_GROUPS[card.group]}",
        "licence": f"{card.licence or 'not stated'}; commercial use: {card.commercial}",
        "page": card.page or "",
        **_weights(chosen),
        **({} if card.family == "none" else _network(card)),
        "citation": card.citation or "",
        "sources": card.evidence or "",
    }
    return {name: text for name, text in lines.items() if text}


def _weights(chosen: Chosen) -> dict[str, str]:
    """Access, whether they are on this machine, what to do where they are not, and what else is missing here."""
    from histoseed.encoders import why_unavailable
    from histoseed.encoders.hub import how_to_get
    from histoseed.encoders.store import WeightsStore

    card, store = chosen.card, WeightsStore()
    unusable = why_unavailable(card)
    if card.family == "none" or card.gated == "unavailable":
        return {"access": _GATES[card.gated], "usable here": f"no: {unusable}"}
    lines = {"usable here": f"no: {unusable}" if unusable else ""}
    if card.family == "bundled":
        return {"weights here": "yes: they come with histoseed", **lines}
    if chosen.weights != "hub":
        return {"weights here": f"yes: {chosen.weights}", **lines}
    access = {"access": _GATES[card.gated] if card.hub_id else ""}
    path = store.file(card)
    if path is None:
        absent = f"no: nothing in {store.place(card)}"
        return {**access, "weights here": absent, "to get them": "\n".join(how_to_get(card)).replace("`", ""), **lines}
    return {**access, "weights here": f"yes: {path}", **lines}


def _network(card: EncoderCard) -> dict[str, str]:
    """Architecture, input and feature maps."""
    size = "" if card.native_size is None else f", trained on {card.native_size} x {card.native_size} pixels"
    advised = "no resolution is advised" if card.mpp is None else f"{card.mpp:g} um a pixel advised"
    means, deviations = (", ".join(f"{value:g}" for value in values) for values in (card.mean, card.std))
    return {
        "architecture": f"{card.arch} of {card.family}" if card.family != "bundled" else card.arch,
        "parameters": "" if card.params is None else f"{card.params / 1e6:.1f} M",
        "input": f"RGB, {advised}{size}",
        "normalisation": f"mean {means}; standard deviation {deviations}",
        "feature maps": _maps(card),
    }


def _maps(card: EncoderCard) -> str:
    """Channels and strides of the maps."""
    if card.dims is None or card.strides is None:
        return "not known before it is built"
    if len(set(card.strides)) == 1:
        return (
            f"{len(card.dims)} of {card.dims[0]} channels, one value for {card.strides[0]} x {card.strides[0]} pixels"
        )
    return f"{', '.join(map(str, card.dims))} channels at strides {', '.join(map(str, card.strides))}"
