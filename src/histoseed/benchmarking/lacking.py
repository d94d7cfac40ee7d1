"""What a plan needs and this machine has not got: data sets and weights, and how they are had."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from histoseed.benchmarking.plan_files import ready_plans
from histoseed.datasets.importers.registry import IMPORTERS
from histoseed.encoders import EncoderCard

__all__ = ["Lacking", "lacking_dataset", "lacking_weights", "listed"]


@dataclass(frozen=True, slots=True)
class Lacking:
    """One thing that is not here.

    Args:
        kind: What it is.
        name: Its name in the plan.
        why: One sentence.
        get: How it is had, one sentence.
    """

    kind: Literal["data set", "weights"]
    name: str
    why: str
    get: str


def lacking_dataset(name: str, roots: Sequence[Path]) -> Lacking:
    """A data set that is not there.

    Args:
        name: Its folder, as the plan names it.
        roots: Where it was looked for; the first is where it should be, unless ready plans lie there.
    """
    ready = roots[0] in {path.parent for path in ready_plans().values()}  # no place for data of users
    target = f"DIR/{name}" if ready else roots[0] / name
    if name in IMPORTERS:
        get = f"histoseed import {name} SOURCE --out {target} (where SOURCE is from: histoseed dataset list {name})"
    elif ready:
        get = f"Import it as {target} (docs/datasets.md), then add --data DIR."
    else:
        get = f"Import it as {target}, or change the plan (docs/datasets.md)."
    return Lacking("data set", name, f"There is no data set {name!r} in {listed(roots)}.", get)


def lacking_weights(card: EncoderCard) -> Lacking:
    """Weights that are not in the store.

    Args:
        card: Of the encoder.
    """
    get = f"histoseed weights get {card.name}"
    if card.gated == "none":
        return Lacking("weights", card.name, f"The weights of {card.name} are not in the store: {get}", get)
    why = f"The weights of {card.name} need an accepted licence ({card.page}), then: {get}"
    return Lacking("weights", card.name, why, f"Accept the licence at {card.page}, then: {get}")


def listed(roots: Sequence[Path]) -> str:
    """The folders that were searched, in words."""
    return " or ".join(map(str, roots))
