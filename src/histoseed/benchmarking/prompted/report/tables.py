"""Scores of an experiment beside published ones, and on each data set."""

from __future__ import annotations

from histoseed.benchmarking.prompted.report.cells import heads, mean_cell, score_cell, score_name, with_count
from histoseed.benchmarking.prompted.report.experiments import Experiment
from histoseed.benchmarking.prompted.report.lines import Line, lines_of
from histoseed.benchmarking.prompted.report.times import TIMES
from histoseed.benchmarking.prompted.results import Score
from histoseed.benchmarking.report.document import Table, Value
from histoseed.benchmarking.report.wording import LEVEL_WORDS

__all__ = ["score_table", "set_table"]

_SCORES = ("dice", "iou", "precision", "recall", "dice_oracle", "dice_input")
"""Scores of results that stand in the table, where they are known."""
_WITH_INTERVAL = ("dice", "iou", "seconds")


def score_table(found: Experiment) -> Table | None:
    """What was published and what was found here, condition by condition; None where there is neither."""
    lines = [line for line in lines_of(found) if not line.published or line.scores.keys() - set(TIMES)]
    if not lines:
        return None
    named = [name for line in lines for name in line.scores]
    theirs = [name for line in lines if line.published for name in line.scores if name not in TIMES]
    columns = list(dict.fromkeys([*(name for name in _SCORES if name in named), *theirs]))
    rows: list[list[Value]] = []
    for line in lines:
        objects = [line.result.objects if line.result else None] if _uneven(found) else []
        rows.append([*line.key, line.name, line.source, *(_cell(line, name) for name in columns), *objects])
    names = heads(found)
    header = [*names, *map(score_name, columns), *(["objects"] if _uneven(found) else [])]
    where = "Scores here beside published ones" if theirs else "Scores"
    caption = f"{where}, mean over objects [{LEVEL_WORDS} interval over groups]"
    return Table(caption, header, rows, "l" * len(names) + "r" * (len(header) - len(names)))


def _cell(line: Line, name: str) -> Value:
    """Intervals of the two main scores are enough."""
    given = line.scores.get(name)
    return mean_cell(given) if isinstance(given, Score) and name not in _WITH_INTERVAL else score_cell(given)


def _uneven(found: Experiment) -> bool:
    """Whether results were scored on different numbers of objects."""
    return len({one.objects for one in found.results}) > 1


def set_table(found: Experiment, score: str) -> Table | None:
    """A score on each data set; None where there is a single one."""
    names = list(dict.fromkeys(name for one in found.results for name in one.by_set))
    if len(names) < 2:
        return None
    rows: list[list[Value]] = []
    for one in found.results:
        cells = [score_cell(one.by_set[name].scores.get(score)) if name in one.by_set else None for name in names]
        rows.append([found.label(one, whole=True), *cells, score_cell(one.scores.get(score))])
    counts = ([one.by_set[name].objects for one in found.results if name in one.by_set] for name in names)
    header = ["result", *(with_count(name, own) for name, own in zip(names, counts, strict=True)), "all objects"]
    align = "l" + "r" * (len(header) - 1)
    return Table(f"{score_name(score)} by data set (objects)", header, rows, align, folded=found.folds(rows))
