"""What an arm of a plan needs, and why it cannot be had: encoders, weights, starts, combinations."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from histoseed.benchmarking.arms import Arm
from histoseed.benchmarking.lacking import Lacking, lacking_weights, listed
from histoseed.benchmarking.plan import DEFAULT, ArmEntry, ModelEntry
from histoseed.encoders import EncoderCard, choose_encoder, get_card
from histoseed.encoders.choose import is_path
from histoseed.encoders.registry import why_unavailable
from histoseed.encoders.store import WeightsStore
from histoseed.errors import InputError, ModelError
from histoseed.inference.executors import Unit
from histoseed.workflows.adaptation import usual_method
from histoseed.workflows.fingerprints import fingerprint

__all__ = ["Trained", "Why", "arm_of", "located"]

_ADDING = ("lora", "adapter", "side-branch")
"""Methods after which the encoder is no plain one any more."""


class Why(Exception):  # noqa: N818 - no error: the reason for what is missing
    """Why something cannot be run.

    Args:
        why: One sentence.
        lacks: What could be got, and is not here.
    """

    def __init__(self, why: str, lacks: Lacking | None = None) -> None:
        super().__init__(why)
        self.lacks = lacks


@dataclass(frozen=True, slots=True)
class Trained:
    """A model that is trained before the runs."""

    unit: Unit
    arm: Arm
    task: str = "instance"


def located(name: str, roots: Sequence[Path]) -> Path | None:
    """A path of the plan: absolute, below the folder of data, or beside the plan."""
    return next((path for root in roots if (path := root / name).exists()), None)


def arm_of(
    entry: ArmEntry | ModelEntry,
    choice: Mapping[str, Any],
    trained: Mapping[str, Trained | str],
    places: MutableMapping[str, str],
    roots: Sequence[Path],
) -> tuple[Arm, Trained | None]:
    """The arm of a combination.

    Raises:
        Why: it cannot be run.
    """
    encoder, source = str(choice["encoder"]), str(choice["source"])
    model = None
    wanted = encoder.removeprefix("model:") if encoder.startswith("model:") else source
    if wanted in trained:
        one = trained[wanted]
        if isinstance(one, str):
            raise Why(f"The model {wanted!r} is missing: {one}")
        model = one
    card = _card(encoder, model, roots)
    method = choice["method"]
    if method == DEFAULT:
        method = usual_method(None if source == "none" else card.name)
    reason = _why_not_combined(card, choice["decoder"], method)
    if reason is not None:
        raise Why(reason)
    weights, mark, is_random = _weights(card, encoder, choice["weights"], model, places, roots)
    arm = Arm(
        encoder=encoder, weights=weights, file=mark, decoder=choice["decoder"], method=method, source=source,
        selection=choice["selection"], stain=choice["stain"], classifier=entry.classifier, steps=entry.steps,
        batch=entry.batch, learning_rate=entry.learning_rate, model_mpp=entry.model_mpp, balance=entry.balance,
        options=dict(entry.set), model=None if model is None else model.unit.key, random_weights=is_random,
    )  # fmt: skip
    reason = _why_not_start(arm, model) or _why_not_selected(arm)
    if reason is not None:
        raise Why(reason)
    return arm, model


def _card(encoder: str, model: Trained | None, roots: Sequence[Path]) -> EncoderCard:
    """The encoder's card.

    Raises:
        Why: it cannot be built, or nothing lies at its path.
    """
    if encoder.startswith("model:") and model is not None:
        if model.arm.method in _ADDING:
            raise Why(
                f"The model was adapted by {model.arm.method}, which adds to its encoder: it is no plain encoder."
            )
        return get_card(model.arm.encoder)
    if is_path(encoder):
        path = located(encoder, roots)
        if path is None:
            raise Why(f"There is no {encoder!r} in {listed(roots)}.")
        return _card_at(path)
    card = get_card(encoder)
    unavailable = why_unavailable(card)
    if unavailable is not None:
        raise Why(f"{card.name} cannot be built: {unavailable}.")
    return card


@cache
def _card_at(path: Path) -> EncoderCard:
    try:
        return choose_encoder(path).card
    except InputError as error:
        raise Why(str(error)) from error


def _weights(  # noqa: PLR0917 - one caller
    card: EncoderCard,
    encoder: str,
    weights: str | None,
    model: Trained | None,
    places: MutableMapping[str, str],
    roots: Sequence[Path],
) -> tuple[str, str | None, bool]:
    """Where the weights come from, their fingerprint where they are a file, and whether they began as random numbers.

    Raises:
        Why: there are no such weights.
    """
    began_random = model is not None and model.arm.random_weights
    if encoder.startswith("model:"):
        return "file", None, began_random
    if is_path(encoder):
        path = located(encoder, roots)
        return "path", None if path is None else _remember(path, places), path is not None and _began_random(path)
    usual = "bundled" if card.family == "bundled" else "hub"
    name = weights or (usual if model is None else model.arm.weights)
    if name == "random":
        return name, None, model is None or began_random
    if name == "bundled":
        if card.family != "bundled":
            raise Why("Only the encoder bundled has weights in this package.")
        return name, None, False
    if name == "hub":
        _check_store(card)
        return name, None, False
    path = located(name, roots)
    if path is None:
        raise Why(f"There is no weights file {name!r} in {listed(roots)}.")
    return "file", _remember(path, places), _began_random(path)


def _began_random(path: Path) -> bool:
    """Whether the card of a model says that its encoder, or the one that this was taken from, began as random numbers.

    Args:
        path: A model folder or its file of weights; of anything else nothing is known.
    """
    from histoseed.segmenters import read_card  # noqa: PLC0415 - imports torch
    from histoseed.segmenters.model import is_model_file  # noqa: PLC0415

    seen: set[Path] = set()
    while path not in seen and (path.is_dir() or is_model_file(path)):
        seen.add(path)
        try:
            weights = read_card(path if path.is_dir() else path.parent).encoder.weights
        except ModelError:
            return False
        if weights == "random":
            return True
        path = Path(weights)  # of another model, whose encoder was taken
    return False


def _remember(path: Path, places: MutableMapping[str, str]) -> str:
    mark = fingerprint(path)
    places[mark] = str(path.absolute())
    return mark


def _check_store(card: EncoderCard) -> None:
    """Weights of the hub lie in the store.

    Raises:
        Why: they do not.
    """
    if card.family == "bundled":
        raise Why("The encoder bundled has weights in this package, not on a hub.")
    if WeightsStore().file(card) is None:
        lacks = lacking_weights(card)
        raise Why(lacks.why, lacks)


def _why_not_start(arm: Arm, model: Trained | None) -> str | None:
    """Why an arm cannot start from its source."""
    if arm.source == "none":
        return None
    if any(name.startswith("decoder.") for name in arm.options):
        return "The start gives the decoder as it is: its fields cannot be set."
    if model is None:
        fits = (arm.encoder, arm.weights, arm.decoder) == ("bundled", "bundled", "skip")
        return None if fits else "The bundled model has the encoder bundled with its weights, and the decoder skip."
    if model.task != "instance":
        return f"The model {arm.source!r} finds no nuclei: take its encoder, model:{arm.source}."
    names = ["encoder", "weights", "decoder", "stain"]
    if model.arm.method in _ADDING:
        names.append("method")
    other = next((name for name in names if getattr(arm, name) != getattr(model.arm, name)), None)
    return None if other is None else f"The start {arm.source!r} has the {other} {getattr(model.arm, other)}."


def _why_not_combined(card: EncoderCard, decoder: str, method: str) -> str | None:
    from histoseed.segmenters.combinations import why_not  # noqa: PLC0415 - imports torch

    reason = why_not(card, decoder, method)
    return None if reason is None else f"{reason[:1].upper()}{reason[1:]}."


def _why_not_selected(arm: Arm) -> str | None:
    """Why patches cannot be selected in this way."""
    if arm.selection == "quality":
        return "There is no predictor of annotation quality yet."
    if arm.selection == "uncertain" and arm.source == "none":
        return "Only a trained start can be unsure: the selection 'uncertain' needs a source."
    return None
