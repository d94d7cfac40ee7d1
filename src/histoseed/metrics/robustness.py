"""Robustness index of embeddings: are neighbours of one biological class, or of one centre?

For every sample the nearest others (cosine; none of its own case) are counted by whether they share its biological
class and its medical centre: SS both, SO the class only, OS the centre only, OO neither. Two definitions are published:

- ``pathorob``: SO / (SO + OS), from 0 (centre decides) to 1 (biology decides); 0.5 where embeddings know neither
  (Koemen et al., 2025, "Towards robust foundation models for digital pathology", arXiv 2507.17845);
- ``dejong``: (SS + SO) / (SS + OS), above 1 where biology decides, 1 where embeddings know neither
  (de Jong et al., 2025, "Current pathology foundation models are unrobust to medical center differences",
  arXiv 2501.18055).

Chance is 0.5 and 1 only where class and centre are balanced and crossed. Both are therefore computed in every block of
two classes and two centres whose four cells are filled, with equally many samples a cell, and averaged over blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.metrics.bootstrap import Interval, bootstrap_intervals

__all__ = ["Block", "Robustness", "crossed_blocks", "nearest_others", "neighbour_kinds", "robustness_index"]

Ints = npt.NDArray[np.int64]

_BLOCK = 512


class Block(NamedTuple):
    """Two classes in two centres.

    Args:
        classes: The classes.
        centres: The centres.
    """

    classes: tuple[str, str]
    centres: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Robustness:
    """Both indices of one encoder.

    Args:
        pathorob: SO / (SO + OS), mean over blocks, with an interval from resampled cases.
        dejong: (SS + SO) / (SS + OS), likewise.
        k: Neighbours a sample.
        accuracy: Balanced accuracy of predicting the class from k neighbours, mean over blocks.
        centre_accuracy: The same for the centre: what embeddings know of where a picture comes from.
        blocks: Blocks with their counts (SS, SO, OS, OO).
        samples: Samples that were compared.
    """

    pathorob: Interval
    dejong: Interval
    k: int
    accuracy: float
    centre_accuracy: float
    blocks: tuple[tuple[Block, tuple[int, int, int, int]], ...]
    samples: int


def crossed_blocks(classes: Sequence[str], centres: Sequence[str], *, least: int = 1) -> list[Block]:
    """Every two classes and two centres whose four cells hold at least ``least`` samples, in alphabetical order.

    >>> crossed_blocks(["a", "b", "a", "b", "c"], ["x", "x", "y", "y", "y"])
    [Block(classes=('a', 'b'), centres=('x', 'y'))]
    """
    cells, counts = np.unique(
        np.stack([np.asarray(classes, str), np.asarray(centres, str)], 1), axis=0, return_counts=True
    )
    filled = {(str(a), str(b)) for (a, b), count in zip(cells, counts, strict=True) if count >= least}
    return [
        Block(pair, places)
        for pair in combinations(sorted({a for a, _ in filled}), 2)
        for places in combinations(sorted({b for _, b in filled}), 2)
        if all((a, b) in filled for a in pair for b in places)
    ]


def nearest_others(embeddings: npt.ArrayLike, cases: Sequence[str], count: int) -> Ints:
    """The nearest samples of other cases, by cosine distance, nearest first; ties in the order of the rows.

    Args:
        embeddings: One row a sample. Shape (N, D).
        cases: Slide or patient of each sample: its own are no neighbours.
        count: How many.

    Returns:
        Rows (N, count), int64; -1 where a sample has fewer others.
    """
    rows = np.asarray(embeddings, np.float64)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    points = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    own = np.unique(np.asarray(cases, str), return_inverse=True)[1]
    out = np.full((len(points), count), -1, np.int64)
    for first in range(0, len(points), _BLOCK):
        part = slice(first, first + _BLOCK)
        likeness = np.where(own[part, None] == own, -np.inf, points[part] @ points.T)
        order = np.argsort(-likeness.round(12), axis=1, kind="stable")[:, :count]
        valid = np.isfinite(np.take_along_axis(likeness, order, axis=1))
        out[part, : order.shape[1]] = np.where(valid, order, -1)
    return out


def neighbour_kinds(neighbours: Ints, classes: Sequence[str], centres: Sequence[str]) -> Ints:
    """How many neighbours of each sample are SS, SO, OS and OO.

    Args:
        neighbours: Rows of the neighbours, -1 for none. Shape (N, k).
        classes: Biological class of each sample.
        centres: Centre of each sample.

    Returns:
        Shape (N, 4), int64.
    """
    kind, place = (np.unique(np.asarray(names, str), return_inverse=True)[1] for names in (classes, centres))
    same_kind = kind[neighbours] == kind[:, None]
    same_place = place[neighbours] == place[:, None]
    there = neighbours >= 0
    cells = [same_kind & same_place, same_kind & ~same_place, ~same_kind & same_place, ~same_kind & ~same_place]
    counts: Ints = np.stack([(cell & there).sum(1) for cell in cells], 1).astype(np.int64)
    return counts


def balanced_accuracy(neighbours: Ints, names: Sequence[str]) -> float:
    """Mean recall over names when each sample is called what most of its neighbours are; ties go to the nearer ones."""
    values, own = np.unique(np.asarray(names, str), return_inverse=True)
    nearer = np.linspace(1e-6, 0, neighbours.shape[1])
    votes = np.stack([((own[neighbours] == v) & (neighbours >= 0)) @ (1 + nearer) for v in range(len(values))], 1)
    right = votes.argmax(1) == own
    return float(np.mean([right[own == v].mean() for v in range(len(values))]))


def robustness_index(
    embeddings: npt.ArrayLike,
    classes: Sequence[str],
    centres: Sequence[str],
    cases: Sequence[str],
    *,
    k: int | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Robustness:
    """Both indices over all blocks of two classes and two centres.

    Args:
        embeddings: One row a sample. Shape (N, D).
        classes: Biological class of each sample.
        centres: Centre of each sample: the confounder.
        cases: Slide or patient of each sample: its own are no neighbours, and whole cases are resampled.
        k: Neighbours; None takes, of 1, 3, 5, 7, 9, 11, 21, 31 ... 601, the number that predicts the class best (mean
            over blocks, the smallest of equals), as PathoROB does.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.

    Raises:
        InputError: no two classes and two centres are crossed, or no sample has a neighbour of another case.
    """
    names, places, own = (np.asarray(column, str) for column in (classes, centres, cases))
    blocks = crossed_blocks(names.tolist(), places.tolist())
    if not blocks:
        what = "No two classes occur in the same two centres: class and centre cannot be told apart."
        raise InputError(what, where="robustness", fix="Take a data set in which centres share classes.")
    rows = np.asarray(embeddings)
    members = [np.flatnonzero(np.isin(names, block.classes) & np.isin(places, block.centres)) for block in blocks]
    tables = [nearest_others(rows[m], own[m].tolist(), min(len(m) - 1, 601)) for m in members]
    most = min(int((table >= 0).sum(1).min()) for table in tables)
    if most < 1:
        what = "A sample has no neighbour of another case."
        raise InputError(what, where="robustness", fix="Take a data set with several slides a centre and class.")
    tried = [k] if k is not None else [n for n in (1, 3, 5, 7, 9, *range(11, 602, 10)) if n <= most]
    if tried[0] > most or tried[0] < 1:
        raise InputError(f"{tried[0]} neighbours of at most {most}.", where="--neighbours", fix="Ask for fewer.")
    scores = [np.mean([balanced_accuracy(t[:, :n], names[m].tolist()) for t, m in zip(tables, members, strict=True)])
              for n in tried]  # fmt: skip
    best = int(np.argmax(np.round(scores, 9)))
    chosen = tried[best]
    per_case, totals = _by_case(tables, members, names, places, own, chosen)
    intervals = bootstrap_intervals(per_case, _indices, None, n=resamples, seed=seed)
    centre_accuracy = np.mean(
        [balanced_accuracy(t[:, :chosen], places[m].tolist()) for t, m in zip(tables, members, strict=True)]
    )
    return Robustness(
        pathorob=intervals["pathorob"],
        dejong=intervals["dejong"],
        k=chosen,
        accuracy=float(scores[best]),
        centre_accuracy=float(centre_accuracy),
        blocks=tuple(zip(blocks, totals, strict=True)),
        samples=len(np.unique(np.concatenate(members))),
    )


def _by_case(  # noqa: PLR0917 - one caller
    tables: Sequence[Ints],
    members: Sequence[Ints],
    names: npt.NDArray[np.str_],
    places: npt.NDArray[np.str_],
    own: npt.NDArray[np.str_],
    k: int,
) -> tuple[Ints, list[tuple[int, int, int, int]]]:
    """Counts of each case and block (cases, blocks, 4), and of each block."""
    values, number = np.unique(own, return_inverse=True)
    counts = np.zeros((len(values), len(tables), 4), np.int64)
    for block, (table, rows) in enumerate(zip(tables, members, strict=True)):
        kinds = neighbour_kinds(table[:, :k], names[rows].tolist(), places[rows].tolist())
        np.add.at(counts[:, block], number[rows], kinds)
    counts = counts[counts.any((1, 2))]
    totals = [(int(a), int(b), int(c), int(d)) for a, b, c, d in counts.sum(0)]
    return counts, totals


def _indices(per_case: Ints) -> dict[str, float]:
    """Both indices from counts (cases, blocks, 4): means over the blocks where they are defined."""
    both, of_class, of_centre, _ = per_case.sum(0).T.astype(np.float64)

    def mean(above: npt.NDArray[np.float64], below: npt.NDArray[np.float64]) -> float:
        defined = below > 0
        return float((above[defined] / below[defined]).mean()) if defined.any() else float("nan")

    return {
        "pathorob": mean(of_class, of_class + of_centre),
        "dejong": mean(both + of_class, both + of_centre),
    }
