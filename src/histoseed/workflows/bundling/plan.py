"""What a bundle will hold, and whether the licences of its parts allow that; decided from the model's card alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from histoseed.errors import InputError, ModelError
from histoseed.licences import commercial_use, terms_of

if TYPE_CHECKING:
    from histoseed.segmenters import ModelCard
    from histoseed.segmenters.licensing import ModelPart

__all__ = ["Contents", "Target", "as_in_graph", "gate", "planned_card"]

Target = Literal["open", "private"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What goes into a bundle, or what is left out.

    Args:
        without_encoder: The encoder's published weights are left out; whoever imports the bundle fetches them.
        without_groups: The names of patients and slides that the model was trained on are left out.
        merge: The updates of LoRA are added to the encoder's weights, which are all stored then.
        onnx: ``model.onnx`` is added.
    """

    without_encoder: bool = False
    without_groups: bool = False
    merge: bool = False
    onnx: bool = False


def planned_card(card: ModelCard, contents: Contents, licences: Mapping[str, str]) -> ModelCard:
    """The card as it will stand in the bundle.

    Args:
        card: Of the model.
        contents: What is asked for.
        licences: Part -> licence, see :func:`histoseed.workflows.model_bundle.export_model`.

    Raises:
        InputError: there is nothing to merge, nothing that can be left out, or a licence that is not to be stated.
    """
    from histoseed.segmenters.card import FORMAT_VERSION

    card = _with_licences(card, licences)
    if contents.merge:
        card = _merged(card, contents)
    elif contents.without_encoder and card.encoder.stored:
        card = _without_encoder(card)
    if contents.without_groups:
        card = card.model_copy(update={"data": tuple(one.model_copy(update={"groups": ()}) for one in card.data)})
    entry = card.encoder
    if entry.weights not in {"hub", "random", "bundled"}:  # where they lay on this machine is nobody's business
        entry = entry.model_copy(update={"weights": Path(entry.weights).name})
    return card.model_copy(update={"encoder": entry, "format_version": FORMAT_VERSION})


def gate(card: ModelCard, target: Target, contents: Contents) -> None:
    """Refuse what the licences of the parts forbid.

    Args:
        card: As it will stand in the bundle.
        target: For whom the bundle is.
        contents: What the bundle holds; an ONNX graph holds all of the encoder.

    Raises:
        ModelError: names every part that stands in the way, and what can be done instead.
    """
    from histoseed.segmenters.licensing import decide, parts_of

    parts = parts_of(as_in_graph(card) if contents.onnx else card)
    if decide(parts) in {"open", target}:
        return
    never = [part for part in parts if part.decision == "never"]
    blamed = never or [part for part in parts if part.decision == "private"]
    whose = "; ".join(part.sentence() for part in blamed)
    if not whose:
        alike = " and ".join(part.name for part in parts if part.terms == "share-alike")
        whose = f"{alike} each want the whole under their own licence"
    what = "must not be passed on like this" if never else "cannot be exported as open"
    fix = _instead(card, blamed, target, contents)
    raise ModelError(f"This model {what}: {whose}.", where=card.name, fix=fix)


def as_in_graph(card: ModelCard) -> ModelCard:
    """The card of the model that an ONNX graph holds: all of the encoder, what a method added to it included."""
    from histoseed.segmenters.methods.options import ADDING

    added = card.method is not None and card.method.name in ADDING
    entry = card.encoder.model_copy(update={"stored": True, "changed": card.encoder_changed or added})
    return card.model_copy(update={"encoder": entry})


def _with_licences(card: ModelCard, stated: Mapping[str, str]) -> ModelCard:
    """The card with what the exporter states of parts whose licence is not known; nothing that is known is changed."""
    from histoseed.segmenters.licensing import parts_of

    parts = {part.key: part for part in parts_of(card)}
    for key, licence in stated.items():
        if key not in parts:
            fix = f"Parts are {', '.join(parts)}."
            raise InputError(f"The model has no part {key!r}.", where="--licence", fix=fix)
        if parts[key].terms != "unknown":
            what = f"The licence of {key} is known ({parts[key].licence}) and is not replaced."
            raise InputError(what, where="--licence", fix="Leave it out.")
        if terms_of(licence) == "unknown":
            fix = "Name a well-known one, for instance CC0-1.0, CC-BY-4.0, Apache-2.0, CC-BY-NC-4.0."
            raise InputError(f"The licence {licence!r} is not known here.", where="--licence", fix=fix)
        update = {"licence": licence, "commercial": commercial_use(licence)}
        if key == "encoder":
            card = card.model_copy(update={"encoder": card.encoder.model_copy(update=update)})
        else:
            data = [one.model_copy(update=update) if f"data:{one.name}" == key else one for one in card.data]
            card = card.model_copy(update={"data": tuple(data)})
    return card


def _merged(card: ModelCard, contents: Contents) -> ModelCard:
    from histoseed.segmenters import MethodOptions

    if card.method is None or card.method.name != "lora":
        raise InputError("There are no updates of LoRA to merge.", where="--merge", fix="Leave it out.")
    if contents.without_encoder:
        what = "Merged weights are the encoder's; they cannot be left out."
        raise InputError(what, where="--merge --without-encoder", fix="Leave one of them out.")
    entry = card.encoder.model_copy(update={"stored": True, "changed": True, "frozen": True})
    return card.model_copy(update={"encoder": entry, "method": MethodOptions(name="frozen")})


def _without_encoder(card: ModelCard) -> ModelCard:
    why = _why_kept(card)
    if why is not None:
        what = f"The encoder's weights cannot be left out: {why}."
        raise InputError(what, where="--without-encoder", fix="Leave the option out.")
    left = card.encoder.model_copy(update={"stored": False, "weights": "hub", "changed": False})
    return card.model_copy(update={"encoder": left})


def _why_kept(card: ModelCard) -> str | None:
    """Why the encoder's weights cannot be left out, or None."""
    entry = card.encoder
    if card.encoder_changed:
        return "they were changed by training, and nobody else has them"
    if entry.weights == "random":
        return "they were drawn at random"
    if entry.weights == "bundled":
        return "they come with histoseed, free for any use"
    return "their hash is not known" if entry.sha256 is None else None


def _instead(card: ModelCard, blamed: Sequence[ModelPart], target: Target, contents: Contents) -> str:
    """What can be done."""
    never = blamed[:1] and blamed[0].decision == "never"
    advice = [_encoder_instead(card, target, contents)] if never else []
    unknown = next((part.key for part in blamed if part.terms == "unknown"), None)
    if unknown is not None:
        advice.append(f"state the licence if you know it: --licence '{unknown}=CC-BY-4.0'")
    if not never:
        advice.append("add --private: for people who have accepted these licences themselves")
    text = "; or ".join(advice)
    return f"{text[:1].upper()}{text[1:]}."


def _encoder_instead(card: ModelCard, target: Target, contents: Contents) -> str:
    """What helps where nobody may get the encoder's weights as they are in the files; only what does help is said."""
    from histoseed.segmenters.licensing import decide, parts_of

    ways = [("leave --onnx out", "the graph holds the encoder's weights", card)] if contents.onnx else []
    if card.encoder.stored and _why_kept(card) is None:
        option = "leave --onnx out and add --without-encoder" if contents.onnx else "add --without-encoder"
        why = "the bundle names the encoder's weights by their hash, and whoever imports it fetches them"
        ways.append((option, why, _without_encoder(card)))
    for option, why, other in ways:
        found = decide(parts_of(other))
        if found != "never":
            private = " and --private" if "add" in option else " and add --private"
            return f"{option}{'' if found in {'open', target} else private}: {why}"
    if contents.merge:
        return "leave --merge out"
    if card.encoder_changed:
        again = "adapt again with --method frozen, lora, adapter or side-branch, which leave the encoder as it is"
        return f"{again}; its weights can then be left out"
    return "adapt again: this model does not say which weights they are, so that they cannot be left out"
