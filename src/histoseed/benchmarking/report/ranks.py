"""Mean ranks over blocks: the Friedman test and the critical difference of Nemenyi, as in Demsar (JMLR 7, 2006)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

__all__ = ["Friedman", "cliques", "critical_difference", "friedman"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Friedman:
    """Mean ranks and the test that they are all alike.

    Args:
        ranks: (arms,) mean rank of each arm, 1 is best.
        blocks: Number of blocks.
        chi2: Friedman's statistic.
        f: Iman and Davenport's statistic; infinite where all blocks rank alike.
        p: Of ``f`` with (k - 1) and (k - 1)(blocks - 1) degrees of freedom.
    """

    ranks: Floats
    blocks: int
    chi2: float
    f: float
    p: float


def friedman(scores: Floats) -> Friedman:
    """The Friedman test of arms on blocks; equal scores share their ranks.

    Args:
        scores: (blocks, arms) float64, finite, at least 2 x 2; higher is better.

    >>> friedman(np.array([[0.9, 0.5, 0.1], [0.8, 0.6, 0.2]])).ranks
    array([1., 2., 3.])
    """
    blocks, arms = scores.shape
    ranks = stats.rankdata(-scores, axis=1).mean(axis=0)
    chi2 = 12 * blocks / (arms * (arms + 1)) * float((ranks**2).sum() - arms * (arms + 1) ** 2 / 4)
    rest = blocks * (arms - 1) - chi2
    if rest <= 1e-9 * blocks * (arms - 1):
        # All blocks agree; how likely that is can be counted.
        return Friedman(ranks, blocks, chi2, math.inf, math.exp(-(blocks - 1) * math.lgamma(arms + 1)))
    f = max(0.0, (blocks - 1) * chi2 / rest)
    return Friedman(ranks, blocks, chi2, f, float(stats.f.sf(f, arms - 1, (arms - 1) * (blocks - 1))))


def critical_difference(arms: int, blocks: int, alpha: float = 0.05) -> float:
    """Mean ranks that differ by less are not told apart (Nemenyi).

    Args:
        arms: How many are ranked, at least 2.
        blocks: On how many blocks.
        alpha: Share of false alarms among all pairs together.

    >>> round(critical_difference(4, 14), 2)
    1.25
    """
    q = float(stats.studentized_range.ppf(1 - alpha, arms, np.inf)) / math.sqrt(2)
    return q * math.sqrt(arms * (arms + 1) / (6 * blocks))


def cliques(ranks: Floats, width: float) -> list[tuple[int, int]]:
    """Largest runs of sorted ranks that lie within ``width``, as (first, last) places; single arms make none.

    >>> cliques(np.array([1.0, 1.5, 2.2, 4.0]), 1.0)
    [(0, 1), (1, 2)]
    """
    found: list[tuple[int, int]] = []
    for first in range(len(ranks)):
        last = int(np.searchsorted(ranks, ranks[first] + width, side="right")) - 1
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found
