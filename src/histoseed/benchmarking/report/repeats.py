"""What is resampled on each data set: draws (or seeds, where there is one draw) crossed with test groups."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histoseed.benchmarking.report.resampling import Estimate, Resamples, estimate
from histoseed.benchmarking.report.results import Cell, Results

__all__ = ["RESAMPLES", "Repeats", "mean_over", "repeats_of"]

Floats = npt.NDArray[np.float64]

RESAMPLES = 2000
"""Resamples of every interval of the report."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """The repeats and the test groups of one data set, with the resamples that all arms share.

    Args:
        unit: ``draw``, or ``seed`` where all runs belong to one draw.
        repeats: Their numbers.
        groups: Test groups with a score of their own; empty where the score is only known of the whole.
        resamples: Of ``repeats`` and groups.
    """

    unit: str
    repeats: tuple[int, ...]
    groups: tuple[str, ...]
    resamples: Resamples

    def table(self, cell: Cell) -> Floats:
        """Scores by repeat and group, (repeats, groups or 1) float64; NaN where there is none."""
        return cell.table(self.repeats, self.groups, self.unit)

    def samples(self, cell: Cell) -> Floats:
        """The score of a cell in every resample, (n,) float64."""
        return self.resamples.means(self.table(cell))

    def estimate(self, cell: Cell) -> Estimate:
        """The score of a cell with its interval."""
        return estimate(cell.value(), self.samples(cell), bounded=True)


def repeats_of(results: Results, n: int = RESAMPLES) -> dict[str, Repeats]:
    """The repeats of every data set; the resamples follow from its name."""
    out = {}
    for name in results.datasets:
        draws = results.numbers(name, "draw")
        unit = "draw" if len(draws) > 1 else "seed"
        repeats = draws if unit == "draw" else results.numbers(name, "seed")
        groups = results.groups(name)
        rng = np.random.default_rng(zlib.crc32(name.encode("utf-8", "surrogatepass")))
        resamples = Resamples(len(repeats), max(1, len(groups)), n, rng)
        out[name] = Repeats(unit, tuple(repeats), tuple(groups), resamples)
    return out


def mean_over(table: Floats, axis: int) -> Floats:
    """The mean along an axis without the entries that are NaN; NaN where nothing is left."""
    known = np.isfinite(table)
    count = known.sum(axis=axis)
    total = np.where(known, table, 0.0).sum(axis=axis)
    out: Floats = np.full(count.shape, np.nan)
    np.divide(total, count, out=out, where=count > 0)
    return out
