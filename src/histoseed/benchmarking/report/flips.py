"""Tests of paired differences: sign flips, and Holm's correction for many of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

__all__ = ["EXACT_BLOCKS", "flips_for", "holm", "sign_flip", "smallest_p"]

Floats = npt.NDArray[np.float64]

EXACT_BLOCKS = 17
"""Up to so many blocks all sign patterns are gone through; beyond, a random sample of them."""

LEAST_FLIPS, MOST_FLIPS = 9_999, 999_999

_SIGN_BYTES, _SUM_BYTES = 64_000_000, 8_000_000
"""Most bytes of signs, and of flipped sums, that are held at once; the sums are gone through three times."""


def flips_for(family: int) -> int:
    """How many random sign patterns a family of tests needs so that its correction leaves a p below 0.05 possible.

    >>> flips_for(10), flips_for(5_000)
    (9999, 199999)
    """
    return min(MOST_FLIPS, max(LEAST_FLIPS, 40 * family - 1))


def smallest_p(blocks: int, flips: int = LEAST_FLIPS) -> float:
    """The smallest p that :func:`sign_flip` can give.

    >>> smallest_p(3), smallest_p(100)
    (0.25, 0.0001)
    """
    exact = min(1.0, 2.0 ** (1 - blocks))
    return exact if blocks <= EXACT_BLOCKS else max(exact, 1 / (1 + flips))


def sign_flip(differences: Floats, weights: Floats | None = None, *, flips: int = LEAST_FLIPS, seed: int = 0) -> Floats:
    """Two-sided p of mean differences when each block's sign is a coin's.

    If neither side is better, a block's difference is as likely with the other sign. The blocks are what is
    independent: the test groups, each with all its draws. Exact up to :data:`EXACT_BLOCKS` blocks; beyond,
    p = (1 + hits) / (1 + flips), which never is too small (Phipson and Smyth 2010).

    Args:
        differences: (blocks, pairs) float64; NaN where a block has no difference, it then weighs nothing.
        weights: (blocks,) positive, by default all alike.
        flips: How many random sign patterns are tried.
        seed: Of the random sign patterns.

    Returns:
        (pairs,) float64; NaN where a pair has no block.

    >>> sign_flip(np.array([[1.0], [2.0], [3.0]]))
    array([0.25])
    """
    weighted = np.where(np.isfinite(differences), differences, 0.0)
    weighted *= 1.0 if weights is None else np.asarray(weights, dtype=np.float64)[:, None]
    sizes = np.abs(weighted).sum(axis=0)
    reached = np.abs(weighted.sum(axis=0)) - 1e-9 * sizes
    blocks, pairs = weighted.shape
    rows = np.ascontiguousarray(weighted.T)
    exact = blocks <= EXACT_BLOCKS
    hits = np.zeros(pairs)
    patterns = _all_signs(blocks) if exact else _random_signs(blocks, flips, seed)
    for signs in patterns:
        step = max(1, _SUM_BYTES // (8 * len(signs)))
        for start in range(0, pairs, step):
            part = slice(start, start + step)
            sums = rows[part] @ signs.T
            hits[part] += np.count_nonzero(np.abs(sums, out=sums) >= reached[part, None], axis=1)
    p = hits / 2 ** (blocks - 1) if exact else (1 + hits) / (1 + flips)
    p[~np.isfinite(differences).any(axis=0)] = np.nan
    return p


def _all_signs(blocks: int) -> Iterator[Floats]:
    """Every pattern of signs with a first plus, (2 ** (blocks - 1), blocks); the others are their mirrors."""
    bits = (2 * np.arange(2 ** (blocks - 1))[:, None] + 1 >> np.arange(blocks)) & 1
    yield bits.astype(np.float64) * 2 - 1


def _random_signs(blocks: int, flips: int, seed: int) -> Iterator[Floats]:
    """Random patterns of signs, so many at a time that they stay small."""
    rng = np.random.default_rng(seed)
    at_once = max(1, min(10_000, _SIGN_BYTES // (8 * blocks)))
    for start in range(0, flips, at_once):
        yield rng.integers(0, 2, size=(min(at_once, flips - start), blocks)).astype(np.float64) * 2 - 1


def holm(p: npt.ArrayLike, family: int | None = None) -> Floats:
    """P values corrected for their number, step down (Holm 1979); NaN ones are not counted and stay NaN.

    Args:
        p: P values of tests that were made.
        family: How many tests there would be with those that were not shown; by default those of ``p``.

    >>> holm([0.01, 0.04, 0.03, 0.005])
    array([0.03, 0.06, 0.06, 0.02])
    """
    values = np.asarray(p, dtype=np.float64)
    out = np.full(values.shape, np.nan)
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(values[known], kind="stable")]
    factors = max(len(order), family or 0) - np.arange(len(order))
    out[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * factors))
    return out
