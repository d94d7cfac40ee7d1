"""Bootstrap over what was drawn: the annotated patches (draws) and the test groups (patients, slides).

The two are crossed: every draw is scored on every test group. A resample takes draws with replacement and, apart from
that, groups with replacement, so that an interval holds both what another choice of annotated patches and what other
patients would change. Seeds lie within draws and come along with them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["LEVEL", "Estimate", "Resamples", "estimate"]

Floats = npt.NDArray[np.float64]

LEVEL = 0.95
"""Coverage of every interval of the report."""


class Estimate(NamedTuple):
    """A value with its interval; NaN where there is none."""

    value: float
    low: float = np.nan
    high: float = np.nan


class Resamples:
    """The same resamples for every arm on a data set, so that their differences are paired.

    Args:
        draws: How many draws of annotated patches there are.
        groups: How many test groups there are.
        n: Number of resamples.
        rng: Generator.
    """

    def __init__(self, draws: int, groups: int, n: int, rng: np.random.Generator) -> None:
        self.draws = _weights(draws, n, rng)
        self.groups = _weights(groups, n, rng)

    def means(self, table: Floats) -> Floats:
        """The mean of a table in every resample.

        Args:
            table: (draws, groups) float64, NaN where there is no score; such entries weigh nothing.

        Returns:
            (n,) float64; NaN where a resample holds no score.
        """
        known = np.isfinite(table)
        # Where all patches are taken there is a single draw: nothing to draw from.
        draws = self.draws if np.count_nonzero(known.any(axis=1)) > 1 else np.ones_like(self.draws)
        total = ((draws @ np.where(known, table, 0.0)) * self.groups).sum(axis=1)
        weight = ((draws @ known.astype(np.float64)) * self.groups).sum(axis=1)
        out: Floats = np.full(len(total), np.nan)
        np.divide(total, weight, out=out, where=weight > 0)
        return out


def _weights(count: int, n: int, rng: np.random.Generator) -> Floats:
    """How often each of ``count`` units is drawn in each of ``n`` resamples, (n, count) float64."""
    return rng.multinomial(count, np.full(count, 1 / count), size=n).astype(np.float64)


def estimate(value: float, samples: Floats, *, bounded: bool = False, level: float = LEVEL) -> Estimate:
    """A value with the percentile interval of its resamples.

    Resamples weigh every test group alike, a score may weigh every image alike: the interval is therefore moved so that
    the mean of the resamples falls on the value.

    Args:
        value: What is shown.
        samples: (n,) resampled means; NaN ones are left out.
        bounded: The value lies between 0 and 1, and so does its interval.
        level: Coverage.

    >>> estimate(0.5, np.array([0.3, 0.4, 0.5]), level=0.999)[0]
    0.5
    >>> estimate(0.5, np.full(9, 0.4))
    Estimate(value=0.5, low=nan, high=nan)
    """
    known = samples[np.isfinite(samples)]
    if len(known) < 2 or not np.isfinite(value) or np.ptp(known) < 1e-15:
        return Estimate(value)
    low, high = np.percentile(known, [50 * (1 - level), 50 * (1 + level)]) + (value - known.mean())
    if bounded and 0 <= value <= 1:
        low, high = max(0.0, low), min(1.0, high)
    return Estimate(value, float(low), float(high))
