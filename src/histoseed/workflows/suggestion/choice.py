"""Which of the places are proposed, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from histoseed.training import diverse_order, uncertain_order
from histoseed.workflows.looks import Looks
from histoseed.workflows.suggestion.places import Place

__all__ = ["Suggestion", "choose_places"]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A region worth annotating.

    Args:
        number: 1 is to be annotated first; the first k of n are those of k.
        source: Slide, or patch of the data set.
        group: Slide or patient.
        x: Left border, level-0 pixels of the slide, or pixels of the patch.
        y: Upper border.
        width: Extent, pixels.
        height: Extent, pixels.
        size_um: Side, micrometres.
        tissue: Share of tissue.
        stands_for: Share of the candidates that are more like this region than like any other that is proposed.
        distance: Cosine distance from the nearest annotated region, 0 to 2; None where nothing is annotated.
        uncertainty: Of the model, 0 to 1; None without a model.
        uncertainty_rank: Share of the candidates of which the model is surer; None without a model.
        reason: The same in words.
    """

    number: int
    source: str
    group: str
    x: int
    y: int
    width: int
    height: int
    size_um: float
    tissue: float
    stands_for: float
    distance: float | None
    uncertainty: float | None
    uncertainty_rank: float | None
    reason: str = ""

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def choose_places(places: Sequence[Place], looks: Looks, known: Looks, n: int, seed: int) -> list[Suggestion]:
    """Propose regions.

    Args:
        places: The candidates.
        looks: What is seen in them; with an uncertainty, the model decides.
        known: What is seen in places that are annotated.
        n: How many, at most as many as there are candidates.
        seed: Of the draws, where no model decides.
    """
    groups = [place.field.group for place in places]
    if looks.uncertainty is None:
        order = diverse_order(looks.features, groups, n, seed, known=known.features)
    else:
        order = uncertain_order(looks.uncertainty, looks.features, groups, n, known=known.features)
    near = _cosine(looks.features, looks.features[order])
    owner = np.bincount(near.argmin(1), minlength=n) / len(places)
    away = _cosine(looks.features[order], known.features).min(1) if len(known.features) else None
    unsure = looks.uncertainty
    ranks = None if unsure is None else [float((unsure < unsure[i]).mean()) for i in order]
    out = []
    for k, i in enumerate(order):
        place = places[i]
        one = Suggestion(
            number=k + 1,
            source=place.field.name,
            group=place.field.group,
            x=place.x,
            y=place.y,
            width=place.side,
            height=place.side,
            size_um=place.side * place.field.mpp,
            tissue=place.tissue,
            stands_for=float(owner[k]),
            distance=None if away is None else float(away[k]),
            uncertainty=None if unsure is None else float(unsure[i]),
            uncertainty_rank=None if ranks is None else ranks[k],
        )
        out.append(replace(one, reason=_reason(one)))
    return out


def _cosine(a: npt.NDArray[np.floating], b: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Cosine distances (len(a), len(b))."""
    first, second = (
        np.asarray(rows, np.float64) / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12) for rows in (a, b)
    )
    distances: npt.NDArray[np.float64] = 1 - first @ second.T
    return distances


def _reason(one: Suggestion) -> str:
    """One sentence for the annotator."""
    parts = [f"stands for {one.stands_for:.0%} of the candidates"]
    if one.uncertainty_rank is not None:
        parts.insert(0, f"the model is surer in {one.uncertainty_rank:.0%} of the candidates")
        parts[1] = f"stands for {one.stands_for:.0%} of them"
    if one.distance is not None:
        parts.append(f"cosine distance {one.distance:.2f} from what is annotated")
    text = "; ".join(parts)
    return text[0].upper() + text[1:]
