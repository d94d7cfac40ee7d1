"""The lines of an experiment: what was published, what was found here, what simple rules reach."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from histoseed.benchmarking.prompted.report.experiments import Experiment
from histoseed.benchmarking.prompted.report.labels import CONDITION, said, value_of, varying
from histoseed.benchmarking.prompted.report.published import sources
from histoseed.benchmarking.prompted.results import PromptResult, Score

__all__ = ["HERE", "RULE", "Given", "Line", "lines_of", "rule_words"]

HERE, RULE = "here", "rule"
"""Sources of lines that were not published."""

Given = Score | float | list[int | float]
"""A score of ours, a published number, or the ends of a published range."""

_RULES = {"ellipse": "ellipse in the box", "otsu": "Otsu threshold in the box"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table or chart.

    Args:
        key: The values that head it.
        name: Which model or rule.
        source: In a word or two.
        scores: By name.
        result: Of ours.
    """

    key: tuple[str, ...]
    name: str
    source: str
    scores: Mapping[str, Given]
    result: PromptResult | None = None

    @property
    def published(self) -> bool:
        """Whether others measured it."""
        return self.source not in {HERE, RULE}


def lines_of(found: Experiment) -> Iterator[Line]:
    """All lines: those of one condition stand together, published ones first, simple rules last.

    A rule sees only the prompt: where that is the same in several results, it stands there once.
    """
    rows = found.published.rows if found.published is not None else ()
    asked = [name for name in varying(found.results) if name in CONDITION and name not in found.keys]
    told: list[tuple[str, Mapping[str, Score]]] = []
    for key in found.order:
        for row in rows:
            if found.key_of(row) == key:
                yield Line(key, row.model, sources()[row.source].short, row.scores)
        ours = [one for one in found.results if found.key(one) == key]
        yield from (Line(key, found.label(one), HERE, one.scores, one) for one in ours)
        for one in ours:
            for rule, scores in one.baselines.items():
                if (rule, scores) not in told:
                    told.append((rule, scores))
                    yield Line(key, rule_words(rule, one, asked), RULE, scores)


def rule_words(rule: str, result: PromptResult, asked: Sequence[str]) -> str:
    """A simple rule, and what it was asked with, where that differs by some fields."""
    return ", ".join(filter(None, (_RULES.get(rule, rule), *(said(name, value_of(result, name)) for name in asked))))
