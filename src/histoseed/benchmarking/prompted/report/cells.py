"""Cells of the tables: scores, times and published numbers as they are read."""

from __future__ import annotations

import math

from histoseed.benchmarking.prompted.report.experiments import Experiment
from histoseed.benchmarking.prompted.report.labels import field_words
from histoseed.benchmarking.prompted.report.lines import Given
from histoseed.benchmarking.prompted.report.published import PublishedRow, sources
from histoseed.benchmarking.prompted.results import Score
from histoseed.benchmarking.report.document import Value
from histoseed.benchmarking.report.resampling import Estimate
from histoseed.benchmarking.report.wording import with_interval

__all__ = [
    "estimate_of",
    "figure",
    "heads",
    "mean_cell",
    "published_rows",
    "score_cell",
    "score_name",
    "seconds",
    "source_of",
    "with_count",
]

_NAMES = {
    "dice": "Dice", "iou": "IoU", "dice_oracle": "Dice of the best candidate", "dice_input": "Dice of the rough mask",
    "seconds": "seconds", "train": "training objects", "validation": "validation objects", "test": "test objects",
    "frames_per_second": "frames a second", "million_parameters": "parameters (M)",
}  # fmt: skip


def score_name(key: str) -> str:
    """A score as it is read.

    >>> score_name("dice"), score_name("size_retention")
    ('Dice', 'size retention')
    """
    return _NAMES.get(key, key.replace("_", " "))


def estimate_of(score: Score | None) -> Estimate | None:
    """A score with what the report's words take; None where it is undefined."""
    if score is None or score.value is None:
        return None
    ends = (math.nan if end is None else end for end in (score.low, score.high))
    return Estimate(score.value, *ends)


def heads(found: Experiment) -> list[str]:
    """Heads of the columns that say what a row is: its conditions, its model, its source."""
    return [*map(field_words, found.keys), "which" if "model" in found.keys else "model", "source"]


def published_rows(found: Experiment) -> tuple[PublishedRow, ...]:
    """What was published of an experiment."""
    return found.published.rows if found.published is not None else ()


def source_of(row: PublishedRow) -> str:
    """Where a published row is from, in a word or two."""
    return sources()[row.source].short


def score_cell(given: Given | None) -> Value:
    """A score and its interval, a published number, or the ends of a published range.

    >>> score_cell([0.107, 0.27]), score_cell(815), score_cell(0.4165), score_cell(Score(0.5))
    ('0.107 to 0.270', 815, '0.4165', '0.500')
    """
    match given:
        case Score():
            return with_interval(estimate_of(given), digits=3)
        case list():
            return " to ".join(_written(end) for end in given)
        case float():
            return _written(given)
    return given


def _written(number: float) -> str:
    """A published number with three decimals, or with as many as were published."""
    text = f"{number:.3f}"
    return text if float(text) == number else f"{number:g}"


def mean_cell(score: Score | None) -> Value:
    """A score alone."""
    return None if score is None or score.value is None else f"{score.value:.3f}"


def seconds(value: object) -> str | None:
    """A time in the unit in which it is read.

    >>> seconds(0.0085), seconds(5.07), seconds(None)
    ('8.5 ms', '5.07 s', None)
    """
    if not isinstance(value, int | float):
        return None
    return f"{value:.3g} s" if value >= 1 else f"{1000 * value:.3g} ms"


def figure(value: object) -> str | None:
    """A number with four figures."""
    return f"{value:,.4g}" if isinstance(value, int | float) else None


def with_count(name: str, counts: list[int]) -> str:
    """A name, and how many objects, where all results that know it say the same.

    >>> with_count("20 to 50", [7, 0, 7]), with_count("20 to 50", [7, 8])
    ('20 to 50 (7)', '20 to 50')
    """
    known = {count for count in counts if count}
    return f"{name} ({known.pop():,})" if len(known) == 1 else name
