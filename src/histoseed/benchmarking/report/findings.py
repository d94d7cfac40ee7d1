"""Everything that the report says, worked out once: who stands where, with what interval, in which order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from histoseed.benchmarking.report.arms import Arm, Names, alphabetical, arm_of
from histoseed.benchmarking.report.ranking import Ranking, rank
from histoseed.benchmarking.report.repeats import Repeats, repeats_of
from histoseed.benchmarking.report.resampling import Estimate
from histoseed.benchmarking.report.results import Budget, Results, score_name
from histoseed.benchmarking.report.variance import Components, variance_components

__all__ = ["RANDOM_NOTICE", "Findings", "findings_of"]

RANDOM_NOTICE = "Random weights: not a ranking"
"""Stands above every plot of a report in which an encoder started from random weights."""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found.

    Args:
        results: All runs.
        names: Names of all arms, also of those that failed or are missing.
        arms: The arms with results, in the order in which they are shown.
        repeats: Data set -> what is resampled on it.
        estimates: Score of every cell, with its interval.
        ranking: None where nothing may or can be ranked.
        failed: Runs that ended in an error.
        missing: Runs that were never begun.
        plan: Name, title, description and protocol.
    """

    results: Results
    names: Names
    arms: tuple[Arm, ...]
    repeats: Mapping[str, Repeats]
    estimates: Mapping[tuple[Arm, str, Budget], Estimate]
    ranking: Ranking | None
    failed: Sequence[Row]
    missing: Sequence[Row]
    plan: Mapping[str, Any]

    @property
    def random(self) -> bool:
        """Whether an encoder started from random weights: then nothing is ranked."""
        return self.results.random

    @property
    def notice(self) -> str:
        """What every plot must say."""
        return RANDOM_NOTICE if self.random else ""

    @property
    def protocol(self) -> Mapping[str, Any]:
        """The protocol of the plan."""
        found = self.plan.get("protocol")
        return found if isinstance(found, Mapping) else {}

    def score_of(self, dataset: str) -> str:
        """Name of the score that is shown of a data set."""
        return score_name(self.results.scores[dataset])

    def score_words(self, datasets: Sequence[str] | None = None) -> str:
        """Name of the score of several data sets; where they differ, of each."""
        chosen = list(self.results.datasets if datasets is None else datasets)
        keys = list(dict.fromkeys(self.results.scores[name] for name in chosen))
        return " / ".join(score_name(key) for key in keys) if keys else score_name(self.results.asked_score)

    def mean_words(self) -> str:
        """Name of the score that arms are compared by: a mean, unless there is a single data set and budget."""
        if self.ranking is None:
            return f"mean {self.score_words()}"
        name = self.score_words([dataset for dataset, _ in self.ranking.cells])
        return name if len(self.ranking.cells) == 1 else f"mean {name}"

    def components(self, budget: Budget | None = None, arm: Arm | None = None) -> Components:
        """Variances of draw and seed, of all cells or those of a budget or an arm."""
        return variance_components(self._cells(budget, arm))

    def _cells(self, budget: Budget | None, arm: Arm | None) -> Iterator[list[list[float]]]:
        for cell in self.results.cells.values() if arm is None else self.results.cells_of(arm):
            if budget is None or cell.runs[0].budget == budget:
                draws = list(cell.by_draw().values())
                # Where every draw takes the same patches, only the training differs.
                yield [[score for draw in draws for score in draw]] if cell.one_choice() else draws


def findings_of(
    rows: Sequence[Row], *, failed: Sequence[Row], missing: Sequence[Row], plan: Mapping[str, Any]
) -> Findings:
    """Work out what the report says.

    Raises:
        InputError: results of another version, or incomplete ones.
    """
    protocol = plan.get("protocol")
    score = protocol.get("score") if isinstance(protocol, Mapping) else None
    results = Results(rows, str(score or "pq"))
    lost = [arm_of(row.get("arm") or {}) for row in (*failed, *missing)]
    names = Names(results.arms, lost)
    repeats = repeats_of(results)
    estimates = {at: repeats[at[1]].estimate(cell) for at, cell in results.cells.items() if math.isfinite(cell.value())}
    ranking = None if results.random else rank(results, repeats)
    ranked = ranking.arms if ranking else ()
    rest = alphabetical((arm for arm in results.arms if arm not in ranked), names)
    return Findings(results, names, (*ranked, *rest), repeats, estimates, ranking, failed, missing, plan)
