"""What came of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from histoseed.metrics import Accumulator, Failures, Interval, Scores
from histoseed.workflows.evaluation.pictures import Panel

__all__ = ["Comparison", "Evaluation", "bounds_of"]


@dataclass(frozen=True, eq=False)
class Comparison:
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
    accumulator: Accumulator
    intervals: Mapping[str, Interval]
    differences: Mapping[str, Interval]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def scores(self) -> Scores:
        """All its scores."""
        return self.accumulator.compute()

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            **self.scores.as_dict(),
            **self.facts,
            "intervals": bounds_of(self.intervals),
            "differences": {key: value.as_dict() for key, value in self.differences.items()},
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, eq=False)
class Evaluation(Mapping[str, Any]):
    """Scores of a model or of predictions on a data set: a mapping of JSON values, and what they were made of.

    Args:
        name: What was evaluated.
        facts: Data set, subject, seed and the like, JSON values.
        accumulator: The statistics of every patch.
        intervals: Scores with bootstrap intervals.
        group_unit: What was resampled: "patient", "slide", "centre", "group" or "patch".
        failures: What happened to every object.
        warnings: What speaks against the scores.
        notes: What else should be known.
        comparison: The other subject, where there is one.
        colors: Class name -> "#rrggbb".
        worst: Pictures of the patches that went worst.
        best: Pictures of those that went best.
    """

    name: str
    facts: Mapping[str, Any]
    accumulator: Accumulator
    intervals: Mapping[str, Interval]
    group_unit: str
    failures: Failures
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    comparison: Comparison | None = None
    colors: Mapping[str, str] = field(default_factory=dict)
    worst: tuple[Panel, ...] = ()
    best: tuple[Panel, ...] = ()

    @cached_property
    def scores(self) -> Scores:
        """All scores of the protocol."""
        return self.accumulator.compute()

    @property
    def outlined(self) -> bool:
        """Whether scores of pixels are defined: something is outlined, or nothing is annotated at all."""
        return not self.facts["undefined"]

    @property
    def paired_by(self) -> str:
        """How classes are compared: ``iou``, or ``centroid`` where not everything has an outline."""
        return "centroid" if self.accumulator.rows.unlabelled.any() else "iou"

    @property
    def level(self) -> float:
        """Coverage of the intervals."""
        return next((interval.level for interval in self.intervals.values()), 0.95)

    @property
    def interval_name(self) -> str:
        """The intervals in a table's header."""
        return f"{self.level:.0%} interval".replace("%", " %")

    @cached_property
    def _values(self) -> dict[str, Any]:
        first = next(iter(self.intervals.values()), None)
        return {
            **self.scores.as_dict(),
            **self.facts,
            "intervals": bounds_of(self.intervals),
            "interval_level": self.level,
            "group_unit": self.group_unit,
            "n_groups": 0 if first is None else first.n_groups,
            "failures": self.failures.counts() if self.outlined else None,
            "by_size": self._by_size() if self.outlined else None,
            "confusion": self._confusion(),
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
        return f"Evaluation({self.name!r}, {self.scores!r})"

    def _by_size(self) -> dict[str, Any]:
        bins = [
            {
                "low": row.low,
                "high": row.high if math.isfinite(row.high) else None,
                "truth": row.truth,
                "predicted": row.predicted,
            }
            for row in self.failures.by_size()
        ]
        return {"diameter_unit": self.failures.unit, "bins": bins}

    def _confusion(self) -> dict[str, Any] | None:
        if not self.accumulator.classes:
            return None
        names = ["unclassified", *self.accumulator.classes]
        table = self.accumulator.confusion(by=self.paired_by)
        return {"truth": [*names, "nothing"], "predicted": [*names, "nothing"], "counts": np.asarray(table).tolist()}


def bounds_of(intervals: Mapping[str, Interval]) -> dict[str, list[float] | None]:
    """Lower and upper bound of each score; None where there are too few groups."""
    return {
        key: None if math.isnan(value.low) or math.isnan(value.high) else [value.low, value.high]
        for key, value in intervals.items()
    }
