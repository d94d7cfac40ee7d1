"""The licence gate: what the parts of a model allow, and whether the model may be passed on.

A model is made from its encoder's weights and from data sets, and each brings a licence along. What a licence allows
depends on how the part enters the model: :data:`RULES` is the whole table. The gate reads the model's card; it is
bookkeeping, no legal advice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from histoseed.encoders import get_card
from histoseed.licences import Commercial, Terms, strictest, terms_of
from histoseed.segmenters.card import ModelCard

__all__ = ["RULES", "Decision", "ModelPart", "Use", "decide", "parts_of"]

Use = Literal["trained-on", "left-out", "included", "changed"]
"""How a part enters a model.

trained-on  a data set; nothing of it is in the files
left-out    an encoder whose weights are not in the files: they are fetched by their hash
included    an encoder whose weights are in the files as they were published
changed     an encoder whose weights are in the files, wholly or in part, and are no longer as they were published
"""

Decision = Literal["open", "private", "never"]
"""``open``: to anybody. ``private``: to those who have accepted the licences of all parts. ``never``: to nobody."""

_STRICTNESS: tuple[Decision, ...] = ("open", "private", "never")


def _row(trained_on: Decision, left_out: Decision, included: Decision, changed: Decision) -> Mapping[Use, Decision]:
    return MappingProxyType({"trained-on": trained_on, "left-out": left_out, "included": included, "changed": changed})


RULES: Mapping[Terms | Literal["gated"], Mapping[Use, Decision]] = MappingProxyType(
    {
        "permissive": _row("open", "open", "open", "open"),
        "share-alike": _row("open", "open", "open", "open"),
        "unknown": _row("private", "private", "private", "private"),
        "non-commercial": _row("private", "private", "private", "private"),
        "no-derivatives": _row("private", "private", "private", "never"),
        "gated": _row("private", "open", "never", "private"),
    }
)
"""Terms and use -> who may get the model. ``gated`` holds beside the terms, for weights that one must ask for."""

_BECAUSE: Mapping[Terms, str] = MappingProxyType(
    {
        "permissive": "is free for any use",
        "share-alike": "must be passed on under the same licence",
        "unknown": "is not known to allow it",
        "non-commercial": "forbids commercial use",
        "no-derivatives": "forbids passing on what was made from it",
    }
)

_HOW: Mapping[Use, str] = MappingProxyType(
    {
        "trained-on": "the model was trained on it",
        "left-out": "its weights are not in the files",
        "included": "its weights are in the files",
        "changed": "its weights, changed by training, are in the files",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelPart:
    """Something a model was made from.

    Args:
        key: ``encoder``, or ``data:NAME``.
        name: Of the encoder or the data set.
        licence: As it is stated; None where it is not.
        commercial: Whether it allows commercial use.
        terms: What licence and commercial use demand together.
        gated: Whether one must ask for the weights.
        use: How it enters the model.
    """

    key: str
    name: str
    licence: str | None
    commercial: Commercial
    terms: Terms
    gated: bool = False
    use: Use

    @property
    def decision(self) -> Decision:
        """Who may get a model with this part."""
        decisions = [RULES[self.terms][self.use], *([RULES["gated"][self.use]] if self.gated else [])]
        return max(decisions, key=_STRICTNESS.index)

    def sentence(self) -> str:
        """The part, its licence and its use in words.

        >>> ModelPart(key="data:a", name="a", licence="CC0-1.0", commercial="yes", terms="permissive",
        ...           use="trained-on").sentence()
        'a (CC0-1.0): the licence is free for any use; the model was trained on it'
        """
        gate = ", the weights must be asked for" if self.gated else ""
        why = _BECAUSE[self.terms]
        return f"{self.name} ({self.licence or 'no licence stated'}): the licence {why}{gate}; {_HOW[self.use]}"


def parts_of(card: ModelCard) -> list[ModelPart]:
    """The encoder, then the data sets in the order of the card; a data set that was used twice stands once.

    Raises:
        ModelError: an encoder that this histoseed does not know.
    """
    parts = {"encoder": _encoder(card)}
    for data in card.data:
        key = f"data:{data.name}"
        part = ModelPart(
            key=key, name=data.name, licence=data.licence, commercial=data.commercial,
            terms=_terms(data.licence, data.commercial), use="trained-on",
        )  # fmt: skip
        known = parts.get(key)
        if known is None or strictest([known.terms, part.terms]) != known.terms:
            parts[key] = part
    return list(parts.values())


def decide(parts: Sequence[ModelPart]) -> Decision:
    """Who may get a model of these parts: what the strictest of them says.

    Two parts that each demand their own licence for the whole cannot be open together.
    """
    alike = {(part.licence or "").casefold() for part in parts if part.terms == "share-alike"}
    together: Decision = "private" if len(alike) > 1 else "open"
    return max([together, *(part.decision for part in parts)], key=_STRICTNESS.index)


def _encoder(card: ModelCard) -> ModelPart:
    entry = card.encoder
    drawn = entry.weights == "random"  # nobody's work
    return ModelPart(
        key="encoder",
        name=entry.name,
        licence="none: its weights were drawn at random" if drawn else entry.licence,
        commercial="yes" if drawn else entry.commercial,
        terms="permissive" if drawn else _terms(entry.licence, entry.commercial),
        gated=not drawn and get_card(entry.name).gated != "none",
        use="changed" if card.encoder_changed else "included" if entry.stored else "left-out",
    )


def _terms(licence: str | None, commercial: Commercial) -> Terms:
    """What is said in the text, and what is known beside it."""
    known: Mapping[Commercial, Terms] = {"yes": "permissive", "unknown": "unknown", "no": "non-commercial"}
    return strictest([terms_of(licence), known[commercial]])
