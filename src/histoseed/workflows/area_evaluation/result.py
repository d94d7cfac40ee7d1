"""What came of an evaluation of areas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from histoseed.metrics import AreaAccumulator, Interval, Scores
from histoseed.workflows.area_evaluation.pictures import AreaPanel
from histoseed.workflows.area_evaluation.truth import Areas
from histoseed.workflows.evaluation.result import bounds_of

__all__ = ["AreaComparison", "AreaEvaluation"]


@dataclass(frozen=True, eq=False)
class AreaComparison:
    """Another subject on the same patches.

    Args:
        name: What it is called.
        facts: What identifies it.
        accumulator: Its statistics.
        intervals: Its scores with intervals.
        differences: The evaluated subject minus this one, with intervals of the paired difference.
        warnings: What speaks against its scores.
        notes: What else should be known.
    """

    name: str
    facts: Mapping[str, Any]
    accumulator: AreaAccumulator
    intervals: Mapping[str, Interval]
    differences: Mapping[str, Interval]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            **self.accumulator.compute().as_dict(),
            **self.facts,
            "intervals": bounds_of(self.intervals),
            "differences": {key: value.as_dict() for key, value in self.differences.items()},
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, eq=False)
class AreaEvaluation(Mapping[str, Any]):
    """Dice and IoU of areas on a data set: a mapping of JSON values, and what they were made of.

    Args:
        name: What was evaluated.
        facts: Data set, subject, seed and the like, JSON values.
        areas: What was judged.
        accumulator: The statistics of every patch.
        intervals: Scores with bootstrap intervals.
        group_unit: What was resampled: "patient", "slide", "centre", "group" or "patch".
        warnings: What speaks against the scores.
        notes: What else should be known.
        comparison: The other subject, where there is one.
        colors: Class name -> "#rrggbb".
        worst: Pictures of the patches that went worst.
        best: Pictures of those that went best.
    """

    name: str
    facts: Mapping[str, Any]
    areas: Areas
    accumulator: AreaAccumulator
    intervals: Mapping[str, Interval]
    group_unit: str
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    comparison: AreaComparison | None = None
    colors: Mapping[str, str] = field(default_factory=dict)
    worst: tuple[AreaPanel, ...] = ()
    best: tuple[AreaPanel, ...] = ()

    @cached_property
    def scores(self) -> Scores:
        """All scores."""
        return self.accumulator.compute()

    @cached_property
    def _values(self) -> dict[str, Any]:
        first = next(iter(self.intervals.values()), None)
        names = ["background", *self.accumulator.classes]
        return {
            **self.scores.as_dict(),
            **self.facts,
            "task": "semantic",
            "areas": self.areas.of,
            "background": self.areas.background,
            "intervals": bounds_of(self.intervals),
            "interval_level": 0.95 if first is None else first.level,
            "group_unit": self.group_unit,
            "n_groups": 0 if first is None else first.n_groups,
            "confusion": {"truth": names, "predicted": names, "pixels": self.accumulator.confusion().tolist()},
            "warnings": list(self.warnings),
            "notes": list(self.notes),
            "against": None if self.comparison is None else self.comparison.as_dict(),
        }

    def as_dict(self) -> dict[str, Any]:
        """A dictionary for JSON: numbers by name, None where undefined; ``docs/evaluate.md`` lists the keys."""
        return dict(self._values)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"AreaEvaluation({self.name!r}, {self.scores!r})"
