"""Learning curves: a power law through scores, and what the next annotation should bring."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.metrics.bootstrap import Interval

__all__ = ["LEAST_SIZES", "PowerLaw", "expected_gain", "fit_power_law"]

LEAST_SIZES = 3
"""A law of three numbers needs as many points."""
_RATES = np.geomspace(0.05, 3.0, 300)


class PowerLaw(NamedTuple):
    """``limit - loss * n ** -rate``: the usual form of learning curves.

    Args:
        limit: Score that endless annotations would give, at most 1.
        loss: What one annotated patch is short of it, at least 0.
        rate: How fast the rest shrinks.
    """

    limit: float
    loss: float
    rate: float

    def at(self, n: float) -> float:
        """The score after ``n`` patches.

        >>> PowerLaw(0.75, 0.5, 1.0).at(2)
        0.5
        """
        return float(self.limit - self.loss * n**-self.rate)


def fit_power_law(sizes: Sequence[float], scores: npt.ArrayLike) -> PowerLaw:
    """Least squares with a limit of at most 1 and a loss of at least 0: a curve that does not fall.

    For each of 300 rates the other two numbers follow in closed form.

    Args:
        sizes: Annotated patches, at least three different numbers above 0. (N,)
        scores: Mean score at each. (N,), finite.

    Raises:
        InputError: fewer sizes, or values that are not finite.

    >>> law = fit_power_law([1, 2, 4, 8], [0.4, 0.6, 0.7, 0.75])
    >>> round(law.limit, 2), round(law.loss, 2), round(law.rate, 1)
    (0.8, 0.4, 1.0)
    """
    x, y = np.asarray(sizes, np.float64), np.asarray(scores, np.float64)
    if len(np.unique(x)) < LEAST_SIZES or (x <= 0).any() or not np.isfinite(y).all():
        raise InputError(f"A power law needs finite scores at {LEAST_SIZES} sizes.", where="learning curve")
    short = x ** -_RATES[:, None]  # (rates, sizes)
    middle = short.mean(1)
    spread = short - middle[:, None]
    loss = -(spread @ (y - y.mean())) / (spread**2).sum(1)
    limit = y.mean() + loss * middle
    # At a border of what is allowed, the other number is the best that goes with it.
    above, falls = limit > 1, loss < 0
    loss = np.where(above, (short @ (1 - y)) / (short**2).sum(1), loss)
    limit = np.where(above, 1.0, limit)
    loss, limit = np.where(falls, 0.0, loss), np.where(falls, min(1.0, float(y.mean())), limit)
    errors = ((y - limit[:, None] + loss[:, None] * short) ** 2).sum(1)
    best = int(errors.argmin())
    return PowerLaw(float(limit[best]), float(loss[best]), float(_RATES[best]))


def expected_gain(
    sizes: Sequence[int], scores: npt.ArrayLike, at: int, *, n: int = 500, seed: int = 0, level: float = 0.95
) -> Interval:
    """What one patch more should bring beyond ``at`` patches, by the fitted law, with its bootstrap interval.

    Draws of patches and groups of test patches are resampled, each as a whole, and the law is fitted anew.

    Args:
        sizes: Annotated patches of each measured point. (S,)
        scores: Score of each point, draw and test group; NaN where undefined. (S, D, G)
        at: How many patches are annotated.
        n: Resamples.
        seed: Of the resampling.
        level: Coverage.

    Returns:
        Gain in score. Bounds are NaN with fewer than two draws or two groups: then nothing says how sure it is.

    Raises:
        InputError: fewer than three sizes, or a size without a score.
    """
    table = np.asarray(scores, np.float64)
    draws, groups = table.shape[1:]

    def gain(part: npt.NDArray[np.float64]) -> float:
        law = fit_power_law(sizes, np.nanmean(part, axis=(1, 2)))
        return law.at(at + 1) - law.at(at)

    value = gain(table)
    if min(draws, groups) < 2:
        return Interval(value, np.nan, np.nan, groups, level)
    rng = np.random.default_rng(seed)
    resampled = []
    for _ in range(n):
        part = table[:, rng.integers(0, draws, draws)][:, :, rng.integers(0, groups, groups)]
        if np.isfinite(part).any(axis=(1, 2)).all():
            resampled.append(gain(part))
    if not resampled:
        return Interval(value, np.nan, np.nan, groups, level)
    low, high = np.percentile(resampled, [50 * (1 - level), 50 * (1 + level)])
    return Interval(value, float(low), float(high), groups, level)
