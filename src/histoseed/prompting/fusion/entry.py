"""What ``model.json`` says of a fusion, and the way back to a model."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from typing import Any

import torch
from pydantic import Field
from torch import nn

from histoseed.encoders import EncoderCard
from histoseed.errors import ModelError
from histoseed.prompting.folders import card_from_facts
from histoseed.prompting.fusion.card import MOST_TILES, FusionCard, Kind, Start, Stride, Upsampling
from histoseed.prompting.fusion.histology import Histology
from histoseed.prompting.fusion.loading import histology_encoder
from histoseed.prompting.fusion.model import FusedSam
from histoseed.prompting.sam.model import SamPromptable
from histoseed.segmenters.card import EncoderEntry
from histoseed.segmenters.entries import Frozen
from histoseed.settings import Settings

__all__ = ["FusionEntry", "from_entry", "histology_tensors", "to_entry"]


class FusionEntry(Frozen):
    """The fusion's card, field by field, and the histology encoder.

    ``encoder`` is the histology encoder's :class:`~histoseed.encoders.EncoderCard`, field by field, so that a card of
    one's own is loaded again as well. ``digest`` is the SHA-256 of its weights. Those of a hub and the bundled ones are
    not stored; they are fetched again and must be the same.
    """

    name: str
    kind: Kind
    upsampling: Upsampling
    start: Start
    positions: bool
    query_skip: bool
    stride: Stride
    together: bool
    tiles: int | None = Field(ge=1, le=MOST_TILES)
    histology: EncoderEntry
    encoder: dict[str, Any]
    digest: str

    def card(self) -> FusionCard:
        """The fusion's card."""
        known = {field.name for field in fields(FusionCard)} & set(type(self).model_fields)
        return FusionCard(**{name: getattr(self, name) for name in known})


def to_entry(model: FusedSam) -> FusionEntry:
    """What is stored of a fused model beside SAM's own entry and the tensors of :meth:`FusedSam.parts`."""
    encoder = model.histology.encoder
    card, source = encoder.card, encoder.weights.split(",")[0]
    histology = EncoderEntry(
        name=card.name, weights=source, stored=source not in ("hub", "bundled"), changed=False, revision=card.revision,
        sha256=card.sha256, licence=card.licence, commercial=card.commercial,
    )  # fmt: skip
    facts = {key: value for key, value in model.fusion_card.as_dict().items() if key != "evidence"}
    return FusionEntry(**facts, histology=histology, encoder=card.as_dict(), digest=_digest(encoder))


def histology_tensors(model: FusedSam) -> dict[str, torch.Tensor]:
    """The histology encoder's weights as they go into the model's file; none where they can be fetched again."""
    if not to_entry(model).histology.stored:
        return {}
    return {f"histology.{key}": value for key, value in model.histology.encoder.state_dict().items()}


def from_entry(
    entry: FusionEntry, sam: SamPromptable, tensors: dict[str, Any], *, settings: Settings | None = None
) -> FusedSam:
    """The fused model with random weights in the fusion, which are then loaded like those of every head.

    Args:
        entry: Of ``model.json``.
        sam: The model that was fused, as it was before training.
        tensors: Of the model's file; those of :func:`histology_tensors` are taken from it.
        settings: Where downloads are kept; None reads the environment.

    Raises:
        ModelError: the histology encoder's weights are not there, or not those it was trained with.
    """
    card = card_from_facts(EncoderCard, entry.encoder, f"histology encoder {entry.histology.name}")
    stored = {key.removeprefix("histology."): tensors[key] for key in tensors if key.startswith("histology.")}
    if entry.histology.stored:
        encoder = histology_encoder(card, "random", 0, settings)
        own = encoder.state_dict()
        if {key: value.shape for key, value in own.items()} != {key: value.shape for key, value in stored.items()}:
            raise ModelError("The weights of its histology encoder are not in the file.", where=card.name)
        encoder.load_state_dict(stored)
    else:
        encoder = histology_encoder(card, entry.histology.weights, 0, settings)
    if _digest(encoder) != entry.digest:
        what = "The histology encoder has other weights than those the model was trained with (sha256 differs)."
        raise ModelError(what, where=card.name, fix="Get the weights that model.json names.")
    return FusedSam(sam, Histology(encoder, entry.tiles), entry.card())


def _digest(network: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
