"""Who is ranked, on what, and which differences are more than chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histoseed.benchmarking.report.arms import Arm
from histoseed.benchmarking.report.flips import flips_for, holm, sign_flip
from histoseed.benchmarking.report.ranks import Friedman, critical_difference, friedman
from histoseed.benchmarking.report.repeats import Repeats, mean_over
from histoseed.benchmarking.report.resampling import Estimate, estimate
from histoseed.benchmarking.report.results import Budget, Results

__all__ = ["ALPHA", "Pair", "Place", "Ranking", "rank", "shared_cells"]

Floats = npt.NDArray[np.float64]
Place = tuple[str, Budget]

ALPHA = 0.05
"""Below it a corrected p is called a difference."""

ALL_PAIRS = 100
"""Of more arms, only the first is held against each other one; the correction counts all pairs all the same."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two arms held against each other on the same test groups and draws.

    Args:
        first: The arm with the higher mean.
        second: The other one.
        difference: First minus second, with its interval.
        p: Of the sign-flip test over blocks.
        corrected: The same after Holm.
        draws: In how many repeats the first is ahead, of how many.
    """

    first: Arm
    second: Arm
    difference: Estimate
    p: float
    corrected: float
    draws: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Ranking:
    """The ranking of the arms that share results.

    Args:
        arms: Best first.
        overall: Mean over data sets of the mean over budgets, with its interval.
        cells: The data sets and budgets that it is made of.
        left_out: Arms that cannot be ranked, each with the first cell that it lacks.
        blocks: What the tests are made over: (data set, test group or repeat).
        block_units: Data set -> ``test group``, ``draw`` or ``seed``.
        dropped: Blocks without a score of every arm; the Friedman test leaves them out.
        friedman: None with fewer than three arms or two blocks; its ranks are in the order of ``arms``.
        critical: The critical difference; NaN without a Friedman test.
        pairs: Each arm against each other one, in the order of ``arms``.
        family: How many pairs there are, shown or not.
    """

    arms: tuple[Arm, ...]
    overall: Mapping[Arm, Estimate]
    cells: tuple[Place, ...]
    left_out: tuple[tuple[Arm, Place], ...]
    blocks: tuple[tuple[str, str], ...]
    block_units: Mapping[str, str]
    dropped: int
    friedman: Friedman | None
    critical: float
    pairs: tuple[Pair, ...]
    family: int


def shared_cells(results: Results) -> tuple[tuple[Place, ...], tuple[Arm, ...]]:
    """The cells and arms to rank: each arm has a score in each cell, and as many scores as possible take part.

    Of all sets of cells that some arm has, the one with the most (cells x arms) is taken. What needs no adaptation is
    no part of it, unless there is nothing else.
    """
    adapted = any(budget.asked != 0 for budget in results.budgets)
    held: dict[Arm, frozenset[Place]] = {}
    for arm in results.arms:
        places = [(d, b) for d in results.datasets for b in results.budgets if not (adapted and b.asked == 0)]
        held[arm] = frozenset(at for at in places if _scored(results, arm, at))
    best: frozenset[Place] = frozenset()
    who: list[Arm] = []
    whole = frozenset.intersection(*held.values()) if held else frozenset()
    for cells in sorted({*held.values(), whole}, key=lambda cells: (-len(cells), sorted(cells))):
        arms = [arm for arm in results.arms if cells <= held[arm]]
        if len(cells) * len(arms) > len(best) * len(who):
            best, who = cells, arms
    return tuple(sorted(best)), tuple(who)


def _scored(results: Results, arm: Arm, at: Place) -> bool:
    cell = results.cells.get((arm, *at))
    return cell is not None and bool(np.isfinite(cell.value()))


def rank(results: Results, repeats: Mapping[str, Repeats]) -> Ranking | None:
    """Rank the arms; None where no arm has a score."""
    cells, arms = shared_cells(results)
    if not arms:
        return None
    datasets = sorted({name for name, _ in cells})
    parts = [_Part(results, repeats[name], name, [b for d, b in cells if d == name], arms) for name in datasets]
    values = np.mean([part.values for part in parts], axis=0)
    samples = np.mean([part.samples for part in parts], axis=0)
    order = np.argsort(-values, kind="stable")
    arms = tuple(arms[i] for i in order)
    values, samples = values[order], samples[order]
    scores = np.concatenate([part.blocks() for part in parts], axis=1)[order]
    complete = np.isfinite(scores).all(axis=0)
    enough = len(arms) > 2 and np.count_nonzero(complete) > 1
    tested = friedman(scores[:, complete].T) if enough else None
    return Ranking(
        arms=arms,
        overall={arm: estimate(float(values[i]), samples[i], bounded=True) for i, arm in enumerate(arms)},
        cells=cells,
        left_out=tuple(_left_out(results, arms, cells)),
        blocks=tuple(block for part in parts for block in part.names()),
        block_units={part.dataset: part.block_unit for part in parts},
        dropped=int(np.count_nonzero(~complete)),
        friedman=tested,
        critical=critical_difference(len(arms), tested.blocks) if tested else np.nan,
        pairs=tuple(_pairs(arms, values, samples, parts, order)),
        family=len(arms) * (len(arms) - 1) // 2,
    )


def _left_out(results: Results, ranked: Sequence[Arm], cells: Sequence[Place]) -> Iterator[tuple[Arm, Place]]:
    for arm in results.arms:
        if arm not in ranked:
            yield arm, next(at for at in cells if not _scored(results, arm, at))


class _Part:
    """What one data set adds: scores of all ranked arms by budget, repeat and group.

    Args:
        results: All runs.
        repeats: Of this data set.
        dataset: Its name.
        budgets: Those that are ranked.
        arms: Those that are ranked.
    """

    def __init__(
        self, results: Results, repeats: Repeats, dataset: str, budgets: Sequence[Budget], arms: Sequence[Arm]
    ) -> None:
        self.dataset, self.repeats = dataset, repeats
        cells = [[results.cells[arm, dataset, budget] for budget in budgets] for arm in arms]
        self.values = np.array([np.mean([cell.value() for cell in row]) for row in cells])
        self.tables = np.array([[repeats.table(cell) for cell in row] for row in cells])
        self.samples = np.array(
            [np.mean([repeats.resamples.means(t) for t in tables], axis=0) for tables in self.tables]
        )
        # One test group says nothing about other patients; then the draws are what is repeated.
        self.over_groups = len(repeats.groups) > 1
        self.block_unit = "test group" if self.over_groups else repeats.unit

    def names(self) -> list[tuple[str, str]]:
        """The blocks of this data set."""
        inside = self.repeats.groups if self.over_groups else map(str, self.repeats.repeats)
        return [(self.dataset, name) for name in inside]

    def blocks(self) -> Floats:
        """Scores by arm and block, means over budgets and the rest, (arms, blocks) float64."""
        return self._to_blocks(self.tables)

    def differences(self, i: int, others: Sequence[int]) -> tuple[Floats, Floats]:
        """Differences of arm i to others, paired: by block and by repeat, (others, blocks) and (others, repeats)."""
        paired = self.tables[i][None] - self.tables[list(others)]
        return self._to_blocks(paired), mean_over(mean_over(paired, 3), 1)

    def _to_blocks(self, tables: Floats) -> Floats:
        """(arms, budgets, repeats, groups) -> (arms, blocks)."""
        inner = mean_over(tables, 2 if self.over_groups else 3)
        return mean_over(inner, 1)


def _pairs(
    arms: Sequence[Arm], values: Floats, samples: Floats, parts: Sequence[_Part], order: npt.NDArray[np.int64]
) -> Iterator[Pair]:
    ends = range(len(arms) - 1) if len(arms) <= ALL_PAIRS else range(min(1, len(arms) - 1))
    indices = [(i, j) for i in ends for j in range(i + 1, len(arms))]
    if not indices:
        return
    blocks, ahead = [], []
    for i in ends:
        found = [part.differences(int(order[i]), [int(k) for k in order[i + 1 :]]) for part in parts]
        blocks.append(np.concatenate([by_block for by_block, _ in found], axis=1))
        ahead.append(np.concatenate([by_repeat for _, by_repeat in found], axis=1))
    weights = np.concatenate([np.full(len(part.names()), 1 / len(part.names())) for part in parts])
    family = len(arms) * (len(arms) - 1) // 2
    p = sign_flip(np.concatenate(blocks).T, weights, flips=flips_for(family))
    corrected = holm(p, family)
    for k, ((i, j), by_repeat) in enumerate(zip(indices, np.concatenate(ahead), strict=True)):
        known = by_repeat[np.isfinite(by_repeat)]
        difference = estimate(float(values[i] - values[j]), samples[i] - samples[j])
        won = int(np.count_nonzero(known > 0)), len(known)
        yield Pair(arms[i], arms[j], difference, float(p[k]), float(corrected[k]), won)
