"""Whether what a run starts from has seen the scored patches before, with a sentence why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from histoseed.datasets import Dataset
from histoseed.datasets.relations import RELATIONS, named
from histoseed.encoders import EncoderCard
from histoseed.workflows.evaluation.exposure import exposure

if TYPE_CHECKING:
    from histoseed.segmenters import ModelCard

__all__ = ["Seen", "seen_by"]

Answer = Literal["yes", "no", "unknown"]
_ORDER: tuple[Answer, ...] = ("yes", "unknown", "no")


class Seen(NamedTuple):
    """The answer and its reason."""

    answer: Answer
    why: str


def seen_by(test: Dataset, *, encoder: EncoderCard, weights: str, models: Sequence[ModelCard]) -> Seen:
    """Whether the scored patches, or their slides, were seen in training before the run.

    Args:
        test: The scored patches.
        encoder: The encoder's card.
        weights: Those that the encoder started from before any training told by ``models``: ``random``, ``bundled``,
            ``hub``, or anything else for a file.
        models: Cards of the trained models that the run starts from; the bundled one where its encoder is used.
    """
    answers = [*(_of_model(test, card) for card in models)]
    as_published = weights == "hub" or (weights != "bundled" and encoder.hub_id is None and encoder.group == "general")
    if weights == "random":
        answers.append(Seen("no", "The encoder started from random weights."))
    elif as_published:  # some weights can only be had as a file
        answers.append(_of_card(encoder))
    elif weights != "bundled":
        answers.append(
            Seen("unknown", f"The weights of {encoder.name} come from a file that does not say what it saw.")
        )
    worst = min(answers, key=lambda one: _ORDER.index(one.answer), default=Seen("unknown", "Nothing is known."))
    sentences = dict.fromkeys(one.why for one in answers if one.answer == worst.answer)
    return Seen(worst.answer, " ".join(sentences))


def _of_card(card: EncoderCard) -> Seen:
    if card.group == "general":
        return Seen("no", f"{card.name} was pre-trained on general pictures.")
    return Seen("unknown", f"The slides that {card.name} was pre-trained on are not published patch by patch.")


def _of_model(test: Dataset, card: ModelCard) -> Seen:
    """By the names of data sets, patients, slides and patches."""
    found = exposure(test, card)
    if found.warnings:
        return Seen("yes", " ".join(found.warnings))
    trained = [entry.name for entry in card.data]
    for text in _relations(test.name, trained):
        return Seen(
            "unknown", f"{card.name!r}: {text} No patient or slide of the scored patches is named in its training."
        )
    if found.notes:
        return Seen("no", " ".join(found.notes))
    return Seen(
        "no", f"{card.name!r} was trained on {', '.join(dict.fromkeys(trained))}; names of data sets were compared."
    )


def _relations(name: str, trained: Iterable[str]) -> list[str]:
    """What is known of this data set together with one of the others."""
    pairs = [(name, other) for other in trained] + [(other, name) for other in trained]
    return [
        relation.text
        for relation in RELATIONS
        if any(named(first, relation.first) and named(second, relation.second) for first, second in pairs)
    ]
