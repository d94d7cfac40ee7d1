"""Whether what a run starts from has seen the scored patches before, with a sentence why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from histoseed.datasets import Dataset
from histoseed.datasets.families import VERDICTS, Verdict
from histoseed.encoders import EncoderCard
from histoseed.workflows.evaluation.exposure import exposure

if TYPE_CHECKING:
    from histoseed.segmenters import ModelCard

__all__ = ["Seen", "seen_by"]


class Seen(NamedTuple):
    """The answer, its reason, and the training data that it is about."""

    answer: Verdict
    why: str
    related: tuple[str, ...] = ()


def seen_by(test: Dataset, *, encoder: EncoderCard, weights: str, models: Sequence[ModelCard]) -> Seen:
    """Whether the scored patches, or their slides, were seen in training before the run.

    Only names are compared, so that "no" is said of random weights only, and of a model that was trained on other
    groups of the same data set and on nothing else.

    Args:
        test: The scored patches.
        encoder: The encoder's card.
        weights: Those that the encoder started from before any training told by ``models``: ``random``, ``bundled``,
            ``hub``, or anything else for a file.
        models: Cards of the trained models that the run starts from; the bundled one where its encoder is used.
    """
    answers = [_of_model(test, card) for card in models]
    as_published = weights == "hub" or (weights != "bundled" and encoder.hub_id is None and encoder.group == "general")
    if weights == "random":
        answers.append(Seen("no", "The encoder started from random weights."))
    elif as_published:  # some weights can only be had as a file
        answers.append(_of_card(encoder))
    elif weights != "bundled":
        answers.append(
            Seen("unknown", f"The weights of {encoder.name} come from a file that does not say what it saw.")
        )
    worst = min(answers, key=lambda one: VERDICTS.index(one.answer), default=Seen("unknown", "Nothing is known."))
    same = [one for one in answers if one.answer == worst.answer]
    related = dict.fromkeys(name for one in same for name in one.related)
    return Seen(worst.answer, " ".join(dict.fromkeys(one.why for one in same)), tuple(related))


def _of_card(card: EncoderCard) -> Seen:
    if card.group == "general":
        return Seen("not listed", f"{card.name} was pre-trained on general pictures; no data set of nuclei is listed.")
    return Seen("unknown", f"The slides that {card.name} was pre-trained on are not published patch by patch.")


def _of_model(test: Dataset, card: ModelCard) -> Seen:
    """By the names of data sets, patients, slides and patches."""
    found = exposure(test, card)
    if found.warnings:
        return Seen(found.verdict, " ".join(found.warnings), found.related)
    if found.verdict == "unknown":
        return Seen("unknown", f"{card.name!r} does not say what it was trained on.")
    if found.verdict == "no":
        return Seen("no", " ".join(found.notes))
    trained = ", ".join(dict.fromkeys(entry.name for entry in card.data))
    what = f"{card.name!r} was trained on {trained}"
    return Seen("not listed", f"{what}; only names were compared, and none is that of this data set or related.")
