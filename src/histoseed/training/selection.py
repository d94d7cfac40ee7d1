"""Which crops are worth annotating next: spread in embedding space, or where a model is unsure. Pure functions.

All orders are nested: what is chosen first does not depend on how many are asked for. Slides take turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.training.sampling import nested_draw
from histoseed.wording import agreed

__all__ = ["Selection", "diverse_order", "select_crops", "uncertain_order"]

Selection = Literal["random", "diverse", "uncertain"]

_TIERS = 3
"""Uncertain crops are taken from the most uncertain third first."""
_FARTHEST = 4.0
"""Squared distance of opposite directions."""
_BLOCK = 256

Features = npt.NDArray[np.floating]


def select_crops(
    how: Selection,
    groups: Sequence[str],
    objects: npt.ArrayLike,
    count: int,
    seed: int,
    *,
    features: Features | None = None,
    uncertainty: npt.ArrayLike | None = None,
    least: int = 5,
) -> list[int]:
    """Indices of ``count`` candidate crops, in the order in which they would be annotated.

    Args:
        how: ``random``: :func:`nested_draw`; ``diverse``: :func:`diverse_order`; ``uncertain``:
            :func:`uncertain_order`.
        groups: Slide or patient of each candidate.
        objects: Objects of each candidate. Crops with fewer than ``least`` come last. Shape (N,).
        count: How many to choose.
        seed: Names the draw; ``uncertain`` leaves nothing to chance.
        features: One embedding a candidate; not for ``random``. Shape (N, D).
        uncertainty: Of each candidate, at least 0; for ``uncertain``. Shape (N,).
        least: Fewest objects of a crop worth annotating.

    Raises:
        InputError: more are asked for than there are, no such selection, or what it needs is missing.

    >>> embeddings = np.array([[1.0, 0.0], [1.0, 0.01], [0.0, 1.0], [0.0, 1.01]])
    >>> first, second = select_crops("diverse", ["a"] * 4, [9] * 4, 2, seed=0, features=embeddings)
    >>> (first < 2) != (second < 2)
    True
    """
    if how == "random":
        return nested_draw(groups, objects, count, seed, least=least)
    if how not in {"diverse", "uncertain"}:
        raise InputError(f"There is no selection {how!r}.", where="--select", fix="Use random, diverse or uncertain.")
    if features is None or (how == "uncertain" and uncertainty is None):
        what = f"The selection {how} needs {'embeddings' if features is None else 'a model that is unsure somewhere'}."
        raise InputError(what, where="--select", fix="Use random.")
    _check_count(count, len(groups))
    rich = np.asarray(objects) >= least
    chosen: list[int] = []
    for part in (np.flatnonzero(rich), np.flatnonzero(~rich)):
        wanted = min(count - len(chosen), len(part))
        if wanted == 0:
            continue
        names, known = [groups[i] for i in part.tolist()], features[chosen]
        if how == "diverse":
            order = diverse_order(features[part], names, wanted, seed, known=known)
        else:
            order = uncertain_order(np.asarray(uncertainty)[part], features[part], names, wanted, known=known)
        chosen += part[order].tolist()
    return chosen


def diverse_order(
    features: Features, groups: Sequence[str], count: int, seed: int, *, known: Features | None = None
) -> list[int]:
    """Candidates that together stand for all: greedy k-means++ in embedding space, slides taking turns.

    At each step a few candidates are drawn with a probability proportional to their squared distance from what is
    chosen; the one that leaves the smallest sum of squared distances stays (Arthur and Vassilvitskii, 2007, with
    several trials a step). Unlike the farthest point, which is often an artefact, it lies where many others are.

    Args:
        features: One embedding a candidate; only its direction counts. Shape (N, D).
        groups: Slide or patient of each candidate.
        count: How many to choose, at most N.
        seed: Of the draws.
        known: Embeddings of what is annotated already. Shape (K, D).

    Raises:
        InputError: more are asked for than there are.
    """
    _check_count(count, len(groups))
    points = _directions(features)
    rng = np.random.default_rng(seed)
    nearest = _nearest(points, known)
    trials = 2 + int(np.log(len(points)))
    left = np.ones(len(points), bool)
    names = np.asarray(groups)
    turns = rng.permutation(np.unique(names)).tolist()
    chosen: list[int] = []
    while len(chosen) < count:
        for turn in turns:
            own = np.flatnonzero(left & (names == turn))
            if len(own) == 0 or len(chosen) == count:
                continue
            weight = nearest[own] if np.isfinite(nearest[own]).all() else np.ones(len(own))
            chances = weight / weight.sum() if weight.sum() > 0 else np.full(len(own), 1 / len(own))
            drawn = np.unique(rng.choice(own, size=trials, p=chances))
            after = [np.minimum(nearest, _squared(points, points[i])) for i in drawn]
            best = int(np.argmin([distances.sum() for distances in after]))
            nearest = after[best]
            chosen.append(int(drawn[best]))
            left[drawn[best]] = False
    return chosen


def uncertain_order(
    uncertainty: npt.ArrayLike,
    features: Features,
    groups: Sequence[str],
    count: int,
    *,
    known: Features | None = None,
) -> list[int]:
    """Candidates where a model is unsure, that differ from one another, and that stand for many others of the kind.

    The uncertainty is the weight of a candidate in the sum of squared distances from what is chosen (CLUE, Prabhu et
    al., 2021, with greedy choice instead of k-means); each step takes what lowers that sum most, among the most
    uncertain third first. Slides take turns, the one with the best candidate first. Nothing is left to chance.

    Args:
        uncertainty: Of each candidate, at least 0. Shape (N,).
        features: One embedding a candidate; only its direction counts. Shape (N, D).
        groups: Slide or patient of each candidate.
        count: How many to choose, at most N.
        known: Embeddings of what is annotated already. Shape (K, D).

    Raises:
        InputError: more are asked for than there are.
    """
    _check_count(count, len(groups))
    points = _directions(features)
    unsure = np.asarray(uncertainty, np.float64)
    above = np.searchsorted(np.sort(-unsure), -unsure)  # how many are more uncertain; equal ones share a third
    tier = above * _TIERS // len(unsure)
    nearest = np.minimum(_nearest(points, known), _FARTHEST)
    names = np.asarray(groups)
    chosen: list[int] = []
    served: set[str] = set()
    left = np.ones(len(points), bool)
    while len(chosen) < count:
        waiting = left & (tier == tier[left].min()) & ~np.isin(names, list(served))
        if not waiting.any():
            served.clear()
            continue
        pool = np.flatnonzero(waiting)
        gain = _gains(points, pool, nearest, unsure)
        # Where all that is left repeats what is chosen, uncertainty alone decides.
        best = int(pool[np.lexsort((-unsure[pool], -gain.round(12)))[0]])
        chosen.append(best)
        left[best] = False
        served.add(str(names[best]))
        nearest = np.minimum(nearest, _squared(points, points[best]))
    return chosen


def _gains(
    points: npt.NDArray[np.float64],
    pool: npt.NDArray[np.intp],
    nearest: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """By how much each of the pool would lower the weighted mean of squared distances."""
    gains = np.empty(len(pool))
    for first in range(0, len(pool), _BLOCK):  # N x N distances may be many
        rows = points[pool[first : first + _BLOCK]]
        squared = 2 - 2 * rows @ points.T
        gains[first : first + _BLOCK] = (nearest - squared).clip(0) @ weight / len(points)
    return gains


def _check_count(count: int, available: int) -> None:
    if not 1 <= count <= available:
        asked = agreed("{count} {patch was|patches were} asked for", count)
        what = f"{asked}; there {agreed('{is|are} {count}', available)}."
        raise InputError(what, where="--patches", fix=f"Ask for 1 to {available}.")


def _directions(features: Features) -> npt.NDArray[np.float64]:
    """Rows of length 1; a row of zeros stays."""
    rows = np.asarray(features, np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    directions: npt.NDArray[np.float64] = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return directions


def _squared(points: npt.NDArray[np.float64], point: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Squared distance of every row from one of them; exactly 0 from itself."""
    difference = points - point
    squared: npt.NDArray[np.float64] = np.einsum("nd,nd->n", difference, difference)
    return squared


def _nearest(points: npt.NDArray[np.float64], known: Features | None) -> npt.NDArray[np.float64]:
    """Squared distance of every row from the nearest known one; infinite where nothing is known."""
    nearest = np.full(len(points), np.inf)
    for point in () if known is None else _directions(known):
        nearest = np.minimum(nearest, _squared(points, point))
    return nearest
