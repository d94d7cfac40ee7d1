"""Scores by size of the object, and the sizes of which there was no data."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from histoseed.benchmarking.prompted.report.cells import mean_cell, score_name, with_count
from histoseed.benchmarking.prompted.report.experiments import Experiment
from histoseed.benchmarking.prompted.results import Stratum
from histoseed.benchmarking.report.document import Table, Value

__all__ = ["empty_strata", "size_table"]

_Ends = tuple[float, float]


def size_table(found: Experiment, score: str) -> Table | None:
    """A score by size of the object; strata without any object have no column.

    Args:
        found: The experiment.
        score: Name of the score.

    Returns:
        None where no result has strata with objects.
    """
    counts = {ends: numbers for ends, numbers in _counts(found).items() if any(numbers)}
    rows: list[list[Value]] = []
    for one in found.results:
        own = {_ends(stratum): stratum.scores.get(score) for stratum in one.by_size}
        if own:
            rows.append([found.label(one, whole=True), *(mean_cell(own.get(ends)) for ends in counts)])
    if not counts:
        return None
    header = ["result", *(with_count(_range(*ends), numbers) for ends, numbers in counts.items())]
    caption = f"{score_name(score)} by longer side of the object's box, level-0 pixels (objects)"
    return Table(caption, header, rows, "l" + "r" * len(counts), folded=found.folds(rows))


def empty_strata(found: Experiment) -> list[str]:
    """Ranges of size of which there was no object in any result, neighbours as one."""
    return list(_empty(found))


def _empty(found: Experiment) -> Iterator[str]:
    for there, run in itertools.groupby(_counts(found).items(), key=lambda entry: any(entry[1])):
        ends = [one for one, _ in run]
        if not there:
            yield _range(ends[0][0], ends[-1][1])


def _counts(found: Experiment) -> dict[_Ends, list[int]]:
    """The strata, small ones first, and how many objects of each a result has."""
    counts: dict[_Ends, list[int]] = {}
    for one in found.results:
        for stratum in one.by_size:
            counts.setdefault(_ends(stratum), []).append(stratum.objects)
    return dict(sorted(counts.items()))


def _ends(stratum: Stratum) -> _Ends:
    return stratum.low, math.inf if stratum.high is None else stratum.high


def _range(low: float, high: float) -> str:
    """A range of sizes in words.

    >>> _range(1000.0, 2000.0), _range(0.0, 10.0), _range(20000.0, math.inf)
    ('1,000 to 2,000', 'below 10', 'above 20,000')
    """
    if math.isinf(high):
        return f"above {low:,.0f}"
    return f"{low:,.0f} to {high:,.0f}" if low else f"below {high:,.0f}"
