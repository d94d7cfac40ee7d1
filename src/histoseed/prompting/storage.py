"""A trained promptable model on disk: a folder with ``model.json`` (task ``prompt``) and ``model.safetensors``.

``kind`` in ``model.json`` says what lies there: ``roi`` is the bundled kind (:mod:`histoseed.prompting.roi`), ``sam`` a
model of the SAM family. Of weights that a hub has, only what was trained is stored; of all others, everything.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import Field
from safetensors.torch import save

from histoseed._version import __version__
from histoseed.files import sha256_of, write_bytes, write_json
from histoseed.licences import Commercial, combined_licence, most_restrictive
from histoseed.prompting.folders import card_from_facts, put_tensors, read_prompt_folder
from histoseed.prompting.fusion.entry import FusionEntry, from_entry, histology_tensors, to_entry
from histoseed.prompting.fusion.model import FusedSam
from histoseed.prompting.methods import prepare_promptable
from histoseed.prompting.sam.cards import PromptableCard
from histoseed.prompting.sam.loading import load_promptable
from histoseed.segmenters import TrainingData
from histoseed.segmenters.card import EncoderEntry
from histoseed.segmenters.entries import Frozen
from histoseed.segmenters.methods import MethodOptions
from histoseed.segmenters.model import CARD, WEIGHTS, read_weights

if TYPE_CHECKING:
    from histoseed.prompting.sam.model import Precision, SamPromptable

__all__ = ["SamEntry", "TrainedSamCard", "load_trained_sam", "read_trained_card", "write_trained_sam"]

FORMAT_VERSION = 1
"""Version of the folder; a newer one is refused."""
_HISTOLOGY = "histology."
"""Before the names of a histology encoder's tensors, in a fused network and in the file."""


class SamEntry(Frozen):
    """The model that the training began with.

    Args:
        card: Its :class:`~histoseed.prompting.sam.PromptableCard`, with revision and hash of the weights.
        weights: Where they came from, in words.
        stored: Whether all of them are in this folder; else they are downloaded from the hub.
    """

    card: dict[str, Any]
    weights: str
    stored: bool


class TrainedSamCard(Frozen):
    """Everything about a trained model of the SAM family that is not a weight.

    Args:
        format_version: See :data:`FORMAT_VERSION`.
        histoseed: Version of the library that wrote it.
        name: How people call it.
        licence: Of the weights that it was made from, both where a histology encoder is joined in; what the data allow
            stands with them.
        commercial: Whether all of them allow commercial use.
        sam: What the training began with.
        fusion: How features of a histology encoder are joined in; None where there is none.
        method: What of the image encoder trained.
        data: What it was trained on.
        training: Settings of the training.
        metrics: Measured scores.
        weights_sha256: Hash of the file of weights.
    """

    format_version: int = FORMAT_VERSION
    histoseed: str = __version__
    task: Literal["prompt"] = "prompt"
    kind: Literal["sam"] = "sam"
    name: str
    licence: str | None = None
    commercial: Commercial = "unknown"
    sam: SamEntry
    fusion: FusionEntry | None = None
    method: MethodOptions = MethodOptions()
    data: tuple[TrainingData, ...] = ()
    training: dict[str, Any] = Field(default_factory=dict)
    metrics: tuple[dict[str, Any], ...] = ()
    weights_sha256: str | None = None


def write_trained_sam(
    model: SamPromptable, folder: Path, *, method: MethodOptions, facts: Mapping[str, Any]
) -> TrainedSamCard:
    """Write both files into an existing folder; the card goes last and names the hash of the weights.

    Args:
        model: As it was trained.
        folder: Where to.
        method: It was prepared with.
        facts: ``name``, ``data``, ``training``, ``metrics`` of the card.

    Raises:
        OutputError: the folder cannot be written.
    """
    stored = not model.weights.startswith("hub, ")
    fused = model if isinstance(model, FusedSam) else None
    state = _stored(model, everything=stored) | ({} if fused is None else histology_tensors(fused))
    state = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    write_bytes(folder / WEIGHTS, save(state, metadata={"format": "pt"}))
    entry = SamEntry(card=model.card.as_dict(), weights=model.weights, stored=stored)
    joined = None if fused is None else to_entry(fused)
    sources: list[PromptableCard | EncoderEntry] = [model.card, *([] if joined is None else [joined.histology])]
    card = TrainedSamCard(
        sam=entry, licence=combined_licence([(one.name, one.licence) for one in sources]),
        commercial=most_restrictive([one.commercial for one in sources]), fusion=joined, method=method,
        weights_sha256=sha256_of(folder / WEIGHTS), **facts,
    )  # fmt: skip
    write_json(folder / CARD, card.model_dump(mode="json"))
    return card


def load_trained_sam(folder: Path, *, device: str = "cpu", precision: Precision = "float32") -> SamPromptable:
    """A trained model, in evaluation mode.

    Args:
        folder: Where its files lie.
        device: ``cpu``, ``cuda``, ``cuda:1``.
        precision: ``bfloat16`` computes in mixed precision.

    Raises:
        ModelError: no model, a damaged card, a wrong hash, weights that do not fit, a download that is impossible.
        DependencyError: the package transformers is absent.
    """
    card = read_trained_card(folder)
    state = read_weights(folder, card.weights_sha256)
    base = card_from_facts(PromptableCard, card.sam.card, folder / CARD)
    # Random weights are as good as any where all of them are replaced.
    weights = "random" if card.sam.stored else "hub"
    model = load_promptable(base, weights=weights, device=device, precision=precision)
    if card.fusion is not None:
        model = from_entry(card.fusion, model, state)
        state = {key: value for key, value in state.items() if not key.startswith(_HISTOLOGY)}
    prepare_promptable(model, card.method)
    put_tensors(_stored(model, everything=card.sam.stored), state, folder / WEIGHTS)
    model.network.requires_grad_(requires_grad=False)
    model.weights, model.title = card.sam.weights, card.name
    return model


def read_trained_card(folder: Path) -> TrainedSamCard:
    """The card of a trained model of the SAM family.

    Raises:
        ModelError: none stands there, it is damaged, or a newer histoseed wrote it.
    """
    return read_prompt_folder(folder, TrainedSamCard, FORMAT_VERSION)


def _stored(model: SamPromptable, *, everything: bool) -> dict[str, torch.Tensor]:
    """Tensors by the names that they have in the file, in a fixed order."""
    parts = model.parts()
    head = {f"head.{k}": v for k, v in parts.head.state_dict(keep_vars=True).items()}
    own = parts.encoder.state_dict(keep_vars=True)
    encoder = {f"encoder.{k}": v for k, v in own.items() if everything or v.requires_grad}
    if not everything:
        return head | encoder
    known = {id(tensor) for tensor in (head | encoder).values()}
    rest = model.network.state_dict(keep_vars=True)
    # By identity: the codes of places have two names in the network.
    fixed = {id(v): (f"fixed.{k}", v) for k, v in rest.items() if id(v) not in known and not k.startswith(_HISTOLOGY)}
    return head | encoder | dict(fixed.values())
