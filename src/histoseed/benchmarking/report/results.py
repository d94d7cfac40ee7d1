"""Results as the report needs them: runs in cells, a cell is one arm on one data set with one number of annotations."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from histoseed.benchmarking.report.arms import Arm, arm_of
from histoseed.errors import InputError

__all__ = ["RESULT_VERSION", "Budget", "Cell", "Results", "Run", "budget_of", "mean_of", "read_runs", "score_name"]

RESULT_VERSION = 1
"""Version of a result that this report reads."""

_FALLBACKS = ("pq", "f1_detection", "dice", "aji")
_SCORE_NAMES = {
    "pq": "PQ",
    "dq": "DQ",
    "sq": "SQ",
    "aji": "AJI",
    "dice": "Dice",
    "mpq": "mPQ",
    "f1_detection": "detection F1",
    "f1_class_mean": "mean class F1",
}
_NEEDED = ("dataset", "encoder", "budget", "draw", "seed", "scores")


def score_name(key: str) -> str:
    """A score as it is read.

    >>> score_name("pq"), score_name("f1_detection")
    ('PQ', 'detection F1')
    """
    return _SCORE_NAMES.get(key, key.replace("_", " "))


@functools.total_ordering
@dataclass(frozen=True, slots=True)
class Budget:
    """How much was annotated.

    Args:
        unit: ``patches`` or ``nuclei``.
        asked: How many were asked for; None is all there are.
    """

    unit: str
    asked: int | None

    @property
    def label(self) -> str:
        """As a column is headed: ``0``, ``4``, ``all``."""
        return "all" if self.asked is None else f"{self.asked:,}"

    def __lt__(self, other: Budget) -> bool:
        """Fewer come first, all come last."""
        return (self.unit != "patches", self._count) < (other.unit != "patches", other._count)

    @property
    def _count(self) -> float:
        return math.inf if self.asked is None else self.asked


def budget_of(value: Mapping[str, Any]) -> Budget:
    """The budget of a result.

    Raises:
        InputError: neither a number nor ``all``.
    """
    asked = value.get("asked") if isinstance(value, Mapping) else None
    if asked == "all":
        return Budget(str(value.get("unit") or "patches"), None)
    if isinstance(asked, bool) or not isinstance(asked, int) or asked < 0:
        raise InputError(f"{value!r} is no budget.", where="benchmark result", fix="Run the benchmark again.")
    # No annotation is no annotation, in whatever it is counted.
    return Budget("patches" if asked == 0 else str(value.get("unit") or "patches"), asked)


@dataclass(frozen=True, slots=True)
class Run:
    """One result."""

    arm: Arm
    dataset: str
    budget: Budget
    draw: int
    seed: int
    row: Mapping[str, Any]

    def score(self, key: str) -> float:
        """A score, NaN where it is not defined."""
        return number(self.row["scores"].get(key))

    def group_score(self, group: str, key: str) -> float:
        """A score of one test group, NaN where it is not known."""
        return number(((self.row.get("groups") or {}).get(group) or {}).get(key))

    def cost(self, key: str) -> float:
        """A cost, NaN where it was not measured."""
        return number((self.row.get("cost") or {}).get(key))


def number(value: object) -> float:
    """A JSON value as a float; NaN where it is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def mean_of(values: Sequence[float]) -> float:
    """The mean of what is finite; NaN where nothing is.

    >>> mean_of([0.5, math.nan, 1.0])
    0.75
    """
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def read_runs(rows: Sequence[Mapping[str, Any]]) -> list[Run]:
    """Results as runs.

    Raises:
        InputError: a result of another version, or one in which something is missing.
    """
    runs = []
    for i, row in enumerate(rows):
        where = f"benchmark result {i + 1}"
        if row.get("version") != RESULT_VERSION:
            what = f"The result has version {row.get('version')!r}, this report reads version {RESULT_VERSION}."
            raise InputError(what, where=where, fix="Run the benchmark again into a new folder.")
        missing = [key for key in _NEEDED if row.get(key) is None]
        if missing or not isinstance(row["scores"], Mapping):
            what = f"The result lacks {', '.join(missing) or 'a mapping of scores'}."
            raise InputError(what, where=where, fix="Run the benchmark again.")
        budget = budget_of(row["budget"])
        runs.append(Run(arm_of(row), str(row["dataset"]), budget, int(row["draw"]), int(row["seed"]), row))
    return runs


@dataclass(frozen=True, slots=True)
class Cell:
    """The runs of one arm on one data set with one number of annotations.

    Args:
        runs: By draw and seed.
        key: The score that is shown of this data set.
    """

    runs: tuple[Run, ...]
    key: str

    def by_draw(self) -> dict[int, list[float]]:
        """The finite scores of each draw, a value a seed; draws without any are left out."""
        out: dict[int, list[float]] = {}
        for run in self.runs:
            if math.isfinite(value := run.score(self.key)):
                out.setdefault(run.draw, []).append(value)
        return out

    def one_choice(self) -> bool:
        """Whether all draws annotated the same patches: without adaptation, and where all patches are taken."""
        if self.runs[0].budget.asked in (0, None):
            return True
        chosen = {tuple(sorted(map(str, run.row.get("annotated") or ()))) for run in self.runs}
        return len(chosen) == 1 and chosen != {()} and len({run.draw for run in self.runs}) > 1

    def value(self) -> float:
        """The mean over draws of the means over seeds; NaN without a score."""
        return mean_of([mean_of(scores) for scores in self.by_draw().values()])

    def mean_cost(self, key: str) -> float:
        """The mean of a cost over the runs that know it."""
        return mean_of([run.cost(key) for run in self.runs])

    def mean_count(self, key: str) -> float:
        """The mean of ``patches`` or ``nuclei`` that were annotated."""
        return mean_of([number(run.row.get(key)) for run in self.runs])

    def table(self, repeats: Sequence[int], groups: Sequence[str], unit: str) -> npt.NDArray[np.float64]:
        """Scores by repeat and test group; runs of one repeat are averaged.

        Args:
            repeats: Numbers of draws or seeds.
            groups: Test groups; without any, the score of the whole test set makes the only column.
            unit: ``draw`` or ``seed``: what the repeats are.

        Returns:
            (repeats, groups or 1) float64; NaN where there is no score.
        """
        out = np.full((len(repeats), max(1, len(groups))), np.nan)
        for i, repeat in enumerate(repeats):
            runs = [run for run in self.runs if (run.draw if unit == "draw" else run.seed) == repeat]
            columns = [[run.group_score(group, self.key) for run in runs] for group in groups]
            for j, values in enumerate(columns or [[run.score(self.key) for run in runs]]):
                out[i, j] = mean_of(values)
        return out


class Results:
    """All runs, sorted into cells.

    Args:
        rows: The results.
        score: The score that the plan names.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]], score: str) -> None:
        self.runs = read_runs(rows)
        self.asked_score = score
        self.arms = sorted({run.arm for run in self.runs}, key=lambda arm: (arm.fields, arm.options))
        self.datasets = sorted({run.dataset for run in self.runs})
        self.budgets = sorted({run.budget for run in self.runs})
        self.random = any(run.arm.random for run in self.runs)
        self._by_dataset = {name: [run for run in self.runs if run.dataset == name] for name in self.datasets}
        self._by_arm: dict[Arm, list[Run]] = {}
        for run in self.runs:
            self._by_arm.setdefault(run.arm, []).append(run)
        self.scores = {name: self._score_of(name) for name in self.datasets}
        grouped: dict[tuple[Arm, str, Budget], list[Run]] = {}
        for run in sorted(self.runs, key=lambda run: (run.draw, run.seed)):
            grouped.setdefault((run.arm, run.dataset, run.budget), []).append(run)
        self.cells = {at: Cell(tuple(runs), self.scores[at[1]]) for at, runs in grouped.items()}
        self._cells: dict[Arm, list[Cell]] = {}
        for (arm, _, _), cell in self.cells.items():
            self._cells.setdefault(arm, []).append(cell)
        keys = [(run.arm, run.dataset, run.budget, run.draw, run.seed) for run in self.runs]
        self.repeated = len(keys) - len(set(keys))

    def of_dataset(self, name: str) -> list[Run]:
        """The runs on one data set."""
        return self._by_dataset[name]

    def of_arm(self, arm: Arm) -> list[Run]:
        """The runs of one arm."""
        return self._by_arm[arm]

    def cells_of(self, arm: Arm) -> list[Cell]:
        """The cells of one arm."""
        return self._cells[arm]

    def numbers(self, dataset: str, unit: str) -> list[int]:
        """The numbers of the draws or of the seeds on a data set."""
        return sorted({run.draw if unit == "draw" else run.seed for run in self.of_dataset(dataset)})

    def groups(self, dataset: str) -> list[str]:
        """The test groups of a data set that have the score that is shown."""
        key = self.scores[dataset]
        names: dict[str, None] = {}
        for run in self.of_dataset(dataset):
            names |= {g: None for g in run.row.get("groups") or {} if math.isfinite(run.group_score(g, key))}
        return sorted(names)

    def unscored(self) -> int:
        """How many runs do not have the score that is shown of their data set."""
        return sum(not math.isfinite(run.score(self.scores[run.dataset])) for run in self.runs)

    def _score_of(self, dataset: str) -> str:
        """The score of the plan where the data set has it; another one where it has points only, say."""
        runs = self.of_dataset(dataset)
        own = [str(key) for run in runs for key in run.row["scores"]]
        for key in dict.fromkeys((self.asked_score, *_FALLBACKS, *own)):
            if any(math.isfinite(run.score(key)) for run in runs):
                return key
        return self.asked_score
