"""What was run: an experiment is a plan with a preset, its results, and what is lacking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from histoseed.benchmarking.prompted.report.labels import label_of, value_of, varying
from histoseed.benchmarking.prompted.report.published import Published, PublishedRow, published_table
from histoseed.benchmarking.prompted.results import PromptResult

__all__ = ["Experiment", "shown_score"]

_PREFERRED = ("dice", "iou", "seconds")


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One plan with one preset, as the report shows it.

    Args:
        plan: Name of the plan.
        title: As it is read.
        description: What it asks, in sentences.
        preset: Of the plan.
        results: In the order of the plan.
        failed: Runs that ended in an error: ``what`` and ``error``.
        missing: What was not run: ``what`` and ``why``.
        compared: Published figures stand beside the results, where there are any.
    """

    plan: str
    title: str
    description: str = ""
    preset: str = ""
    results: Sequence[PromptResult] = ()
    failed: Sequence[Mapping[str, str]] = field(default=())
    missing: Sequence[Mapping[str, str]] = field(default=())
    compared: bool = True

    @property
    def slug(self) -> str:
        """Name of its files."""
        return "-".join(filter(None, (self.plan, self.preset)))

    @cached_property
    def published(self) -> Published | None:
        """What was published of it."""
        return published_table(self.plan) if self.compared else None

    @cached_property
    def random(self) -> bool:
        """Whether a model of it started from random weights."""
        return any(one.model.random_weights for one in self.results)

    @property
    def notice(self) -> str:
        """What every plot of it must say."""
        return "Random weights: not a ranking" if self.random else ""

    def folds(self, rows: Sequence[object], most: int = 12) -> bool:
        """Whether a table that is not the first is seen only when the reader opens it."""
        return self.random or len(rows) > most

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The fields that head the rows: those of the published table, else what the results differ by most."""
        if self.published is not None:
            return self.published.by
        apart = [name for name in varying(self.results) if name != "model"]
        return tuple(apart[:1]) or ("prompts",)

    @cached_property
    def others(self) -> tuple[str, ...]:
        """The fields that results differ by besides; they make the label."""
        return tuple(name for name in ("model", *varying(self.results)) if name not in self.keys)

    def label(self, result: PromptResult, *, whole: bool = False) -> str:
        """What a result is called within the experiment.

        Args:
            result: One of them.
            whole: With the fields that head the rows.
        """
        names = varying(self.results) if whole else list(dict.fromkeys(self.others))
        return label_of(result, names)

    def key(self, result: PromptResult) -> tuple[str, ...]:
        """The values that head the row of a result."""
        return tuple(value_of(result, name) for name in self.keys)

    def key_of(self, row: PublishedRow) -> tuple[str, ...]:
        """The values that head a published row."""
        return tuple(row.keys.get(name, "none") for name in self.keys)

    @cached_property
    def order(self) -> list[tuple[str, ...]]:
        """The heads of rows: those of results in their order, then those that were published alone."""
        rows = self.published.rows if self.published is not None else ()
        return list(dict.fromkeys([*(self.key(one) for one in self.results), *(self.key_of(row) for row in rows)]))

    @cached_property
    def data_sets(self) -> tuple[str, ...]:
        """What was scored on."""
        return tuple(dict.fromkeys(name for one in self.results for name in one.test_sets))


def shown_score(results: Sequence[PromptResult]) -> str:
    """The score that charts show: Dice, where there is one."""
    for name in _PREFERRED:
        if any((score := one.scores.get(name)) is not None and score.value is not None for one in results):
            return name
    return _PREFERRED[0]
