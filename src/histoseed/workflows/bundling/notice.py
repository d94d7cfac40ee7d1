"""``LICENCES.txt``: what a bundle was made from and what follows, for people."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from histoseed.encoders import get_card
from histoseed.workflows.bundling.plan import Target

if TYPE_CHECKING:
    from histoseed.segmenters import ModelCard
    from histoseed.segmenters.licensing import ModelPart

__all__ = ["licence_notice"]

_WIDTH = 100

_USES = {
    "trained-on": "The model was trained on it; none of its images or annotations is in this bundle.",
    "left-out": "Its weights are not in this bundle: they are fetched from where they are published.",
    "included": "Its weights are in this bundle as they were published.",
    "changed": "Its weights are in this bundle, changed by training.",
}


def licence_notice(card: ModelCard, parts: list[ModelPart], target: Target, stated: Mapping[str, str]) -> str:
    """The text of ``LICENCES.txt``.

    Args:
        card: As it stands in the bundle.
        parts: What the model was made from, see :func:`histoseed.segmenters.licensing.parts_of`.
        target: For whom the bundle is written.
        stated: Parts whose licence is what the exporter says of them.
    """
    title = f"Licences of the model {card.name!r}"
    lines = [title, "=" * len(title), "", *_wrapped(_audience(target)), ""]
    for part in parts:
        lines += [
            *_wrapped(f"{'Encoder' if part.key == 'encoder' else 'Data set'} {part.name}"),
            *_facts(part, card, stated=part.key in stated),
        ]
    terms = {part.terms for part in parts}
    follows = [
        text
        for term, text in (
            ("non-commercial", "No commercial use."),
            ("no-derivatives", "Do not pass on weights that were made from these by further training."),
            ("share-alike", "Whoever passes the model on does so under the licence that demands it, see above."),
            ("unknown", "Of some parts nothing is known: ask whoever made them."),
        )
        if term in terms
    ]
    lines += ["What follows from all parts together", *(f"  - {text}" for text in follows or ["Name the sources."]), ""]
    lines += _wrapped(
        "This text was generated from model.json by histoseed. It is bookkeeping, no legal advice; the licences "
        "themselves decide."
    )
    return "\n".join(lines) + "\n"


def _audience(target: Target) -> str:
    if target == "open":
        return "This bundle may be passed on to anybody."
    return (
        "PRIVATE. This bundle must not be published. It is for people who have accepted the licences of all parts "
        "that are listed here."
    )


def _facts(part: ModelPart, card: ModelCard, *, stated: bool) -> list[str]:
    licence = f"{part.licence} (stated by whoever exported the model)" if stated else part.licence or "not stated"
    facts: dict[str, Any] = {"licence": licence, "commercial use": part.commercial}
    if part.key == "encoder":
        published = get_card(part.name)
        drawn = card.encoder.weights == "random"
        facts |= {
            "access": "must be asked for" if part.gated else None,
            "page": None if drawn else published.page,
            "revision": card.encoder.revision,
            "sha256": card.encoder.sha256,
            "citation": published.citation,
        }
    else:
        facts["note"] = "; ".join(data.note for data in card.data if data.name == part.name and data.note) or None
    facts["use"] = _USES[part.use]
    return [line for key, value in facts.items() if value is not None for line in _wrapped(f"{key}: {value}", "  ")] + [
        ""
    ]


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=indent, subsequent_indent=indent and indent + "  ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
