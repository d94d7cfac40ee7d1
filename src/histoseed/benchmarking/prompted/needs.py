"""What an arm of promptable models needs, and why it cannot be had."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from histoseed.benchmarking.lacking import lacking_weights, listed
from histoseed.benchmarking.needs import Why, located
from histoseed.benchmarking.prompted.arms import PromptArm
from histoseed.benchmarking.prompted.plan import PromptArmEntry
from histoseed.encoders import EncoderCard, get_card
from histoseed.encoders.choose import is_path
from histoseed.encoders.registry import why_unavailable
from histoseed.encoders.store import WeightsStore
from histoseed.errors import HistoseedError
from histoseed.prompting.sam import get_promptable_card
from histoseed.prompting.sam.cards import TRIALS
from histoseed.workflows.fingerprints import fingerprint

__all__ = ["prompt_arm"]


def prompt_arm(
    entry: PromptArmEntry, choice: Mapping[str, Any], places: MutableMapping[str, str], roots: Sequence[Path]
) -> PromptArm:
    """The arm of a combination.

    Args:
        entry: Of the plan.
        choice: One value of each of its lists.
        places: Fingerprint -> path; what is found is added.
        roots: Where files of the plan are looked for.

    Raises:
        Why: it cannot be run.
    """
    try:
        weights, mark = _model(choice["model"], entry.weights, places, roots)
        fusion = _fusion(entry, choice, places, roots)
    except HistoseedError as error:
        raise Why(str(error)) from error
    # What lies elsewhere on every machine is told by its name; its fingerprint says which it is.
    name = Path(choice["model"]).name if Path(choice["model"]).is_absolute() else choice["model"]
    told: dict[str, Any] = {"model": name, "weights": weights, "file": mark, **fusion}
    if choice["method"] != "none":
        told |= {
            "method": choice["method"], "train": tuple(sorted(choice["train"].split("+"))),
            "patches": choice["patches"], "training": entry.training(choice["prompts"], choice["loss"]),
        }  # fmt: skip
    return PromptArm(**told)


def _model(
    model: str, weights: str | None, places: MutableMapping[str, str], roots: Sequence[Path]
) -> tuple[str, str | None]:
    """Where the weights of a promptable model come from, and their fingerprint where they are a file."""
    if model == "bundled":
        return "bundled", None
    if is_path(model):
        return "path", _remember(model, places, roots)
    card = get_promptable_card(model)
    if card.arch is None:
        raise Why(f"{card.name} cannot be built: {card.reason}.")
    if card.name in TRIALS:
        return "random", None
    return _stored(card.weights_card(), weights, places, roots)


def _fusion(
    entry: PromptArmEntry, choice: Mapping[str, Any], places: MutableMapping[str, str], roots: Sequence[Path]
) -> dict[str, Any]:
    """The fields of an arm that say how a histology encoder is fused in."""
    if choice["fusion"] == "none":
        return {}
    from histoseed.prompting.fusion import get_fusion_card  # noqa: PLC0415 - imports torch

    card = get_card(choice["histology"])
    if (reason := why_unavailable(card)) is not None:
        raise Why(f"{card.name} cannot be built: {reason}.")
    weights, mark = _stored(card, entry.histology_weights, places, roots)
    return {
        "fusion": get_fusion_card(choice["fusion"]).name, "histology": choice["histology"],
        "histology_weights": weights, "histology_file": mark, "tiles": entry.tiles,
    }  # fmt: skip


def _stored(
    card: EncoderCard, weights: str | None, places: MutableMapping[str, str], roots: Sequence[Path]
) -> tuple[str, str | None]:
    """Random weights, those of the store, or a file.

    Raises:
        Why: they are not there.
    """
    if card.family == "bundled" and weights in (None, "bundled"):
        return "bundled", None
    if weights == "random":
        return "random", None
    if weights in (None, "hub"):
        if WeightsStore().file(card) is None:
            lacks = lacking_weights(card)
            raise Why(lacks.why, lacks)
        return "hub", None
    return "file", _remember(str(weights), places, roots)


def _remember(name: str, places: MutableMapping[str, str], roots: Sequence[Path]) -> str:
    path = located(name, roots)
    if path is None:
        raise Why(f"There is no {name!r} in {listed(roots)}.")
    mark = fingerprint(path)
    places[mark] = str(path.absolute())
    return mark
