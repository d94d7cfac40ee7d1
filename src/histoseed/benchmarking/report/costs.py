"""What the arms cost: time, memory, parameters, over the cells in which they are compared."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from histoseed.benchmarking.report.arms import Arm
from histoseed.benchmarking.report.findings import Findings
from histoseed.benchmarking.report.results import Cell
from histoseed.pictures import CostPoint

__all__ = ["COSTS", "Cost", "cost_cells", "cost_points"]


@dataclass(frozen=True, slots=True)
class Cost:
    """One cost.

    Args:
        key: Of the result.
        unit: What the result is divided by.
        head: Of its column.
        word: In a list.
    """

    key: str
    unit: float
    head: str
    word: str


COSTS: Mapping[str, Cost] = {
    "training time (s)": Cost("train_seconds", 1.0, "training (s)", "time"),
    "peak memory (GB)": Cost("peak_memory_bytes", 1e9, "memory (GB)", "memory"),
    "trainable parameters (M)": Cost("trainable_parameters", 1e6, "trainable (M)", "trainable"),
}
"""Name with unit -> what it is."""


def cost_cells(found: Findings) -> dict[Arm, list[Cell]]:
    """The cells over which cost and score of an arm are averaged.

    Ranked arms: the cells that all of them have. Where nothing is ranked, all cells of an arm with an adaptation.
    """
    if found.ranking is not None:
        places = found.ranking.cells
        return {arm: [found.results.cells[arm, *at] for at in places] for arm in found.ranking.arms}
    out = {arm: list(_adapted(found, arm)) for arm in found.arms}
    return {arm: cells for arm, cells in out.items() if cells}


def _adapted(found: Findings, arm: Arm) -> Iterator[Cell]:
    for (its, _, budget), cell in found.results.cells.items():
        if its == arm and budget.asked != 0 and math.isfinite(cell.value()):
            yield cell


def cost_points(found: Findings) -> list[CostPoint]:
    """Mean costs and mean score of each arm, in the order in which arms are shown."""
    points = []
    for arm, cells in cost_cells(found).items():
        costs = {}
        for name, cost_of in COSTS.items():
            known = [cost for cell in cells if math.isfinite(cost := cell.mean_cost(cost_of.key))]
            if known:
                costs[name] = float(np.mean(known)) / cost_of.unit
        by_dataset: dict[str, list[float]] = {}
        for cell in cells:
            by_dataset.setdefault(cell.runs[0].dataset, []).append(cell.value())
        score = float(np.mean([np.mean(values) for values in by_dataset.values()]))
        points.append(CostPoint(found.names[arm], score, costs))
    return points
