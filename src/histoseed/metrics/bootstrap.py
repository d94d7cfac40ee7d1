"""Confidence intervals by the bootstrap over groups: patients or slides are drawn, never single objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError

__all__ = ["Interval", "bootstrap_interval", "bootstrap_intervals", "paired_difference", "paired_differences"]


class _Resampled(Protocol):
    """Anything with a length that an index array can pick rows from: an array, or :class:`Rows`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: npt.NDArray[Any], /) -> Any: ...


R = TypeVar("R", bound=_Resampled)
Seed = int | np.random.Generator
Groups = Sequence[object] | npt.NDArray[Any] | None


class Interval(NamedTuple):
    """A value with the percentile interval of its resamples.

    Args:
        value: The statistic of all rows.
        low: Lower bound; NaN with fewer than two groups.
        high: Upper bound; NaN with fewer than two groups.
        n_groups: How many groups were drawn from.
        level: The coverage that the interval is made for.
    """

    value: float
    low: float
    high: float
    n_groups: int
    level: float

    def as_dict(self) -> dict[str, float | int | None]:
        """A plain dictionary, ready for JSON: NaN becomes None.

        >>> Interval(0.5, np.nan, np.nan, 1, 0.95).as_dict()
        {'value': 0.5, 'low': None, 'high': None, 'n_groups': 1, 'level': 0.95}
        """
        return {key: None if np.isnan(value) else value for key, value in self._asdict().items()}


def bootstrap_interval(
    rows: R,
    statistic: Callable[[R], float],
    groups: Groups = None,
    *,
    n: int = 2000,
    seed: Seed = 0,
    level: float = 0.95,
) -> Interval:
    """Percentile bootstrap of one statistic: whole groups are drawn with replacement.

    Args:
        rows: N rows; ``rows[index]`` gives the rows of an index array.
        statistic: What to compute of some rows; may be NaN, such resamples are left out.
        groups: Group of each row, (N,); None or an empty string makes the row a group of its own.
        n: Number of resamples.
        seed: Seed or generator.
        level: Coverage.

    Raises:
        InputError: no rows, groups of another length, ``n`` or ``level`` out of range.

    >>> scores = np.array([0.25, 0.25, 0.5, 1.0])
    >>> bootstrap_interval(scores, np.mean, ["a", "a", "b", "c"])
    Interval(value=0.5, low=0.25, high=1.0, n_groups=3, level=0.95)
    """
    return bootstrap_intervals(rows, lambda part: {"it": statistic(part)}, groups, n=n, seed=seed, level=level)["it"]


def bootstrap_intervals(
    rows: R,
    statistics: Callable[[R], Mapping[str, float]],
    groups: Groups = None,
    *,
    n: int = 2000,
    seed: Seed = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """:func:`bootstrap_interval` of several statistics on the same resamples."""
    return _intervals(lambda index: statistics(rows[index]), _members(len(rows), groups), n=n, seed=seed, level=level)


def paired_difference(
    rows: R,
    against: R,
    statistic: Callable[[R], float],
    groups: Groups = None,
    *,
    n: int = 2000,
    seed: Seed = 0,
    level: float = 0.95,
) -> Interval:
    """Interval of ``statistic(rows) - statistic(against)``; both sides see the same groups in every resample.

    Row i of both must stand for the same image. Arguments and errors as in :func:`bootstrap_interval`.

    >>> ours, theirs = np.array([0.5, 0.7, 0.9]), np.array([0.4, 0.6, 0.8])
    >>> paired_difference(ours, theirs, lambda part: round(float(part.mean()), 6), n=100)[:3]
    (0.1, 0.1, 0.1)
    """
    pair = paired_differences(rows, against, lambda part: {"it": statistic(part)}, groups, n=n, seed=seed, level=level)
    return pair["it"]


def paired_differences(
    rows: R,
    against: R,
    statistics: Callable[[R], Mapping[str, float]],
    groups: Groups = None,
    *,
    n: int = 2000,
    seed: Seed = 0,
    level: float = 0.95,
) -> dict[str, Interval]:
    """:func:`paired_difference` of several statistics on the same resamples."""
    if len(rows) != len(against):
        raise InputError(f"{len(rows)} and {len(against)} rows cannot be paired.", where="paired difference")

    def difference(index: npt.NDArray[np.int64]) -> dict[str, float]:
        ours, theirs = statistics(rows[index]), statistics(against[index])
        return {key: round(value - theirs[key], 12) for key, value in ours.items()}

    return _intervals(difference, _members(len(rows), groups), n=n, seed=seed, level=level)


def _intervals(
    statistics: Callable[[npt.NDArray[np.int64]], Mapping[str, float]],
    members: list[npt.NDArray[np.int64]],
    *,
    n: int,
    seed: Seed,
    level: float,
) -> dict[str, Interval]:
    if n < 1 or not 0 < level < 1:
        what = f"A bootstrap needs resamples and a level between 0 and 1, not {n} and {level}."
        raise InputError(what, where="bootstrap")
    whole = statistics(np.sort(np.concatenate(members)))
    keys = list(whole)
    if len(members) < 2:
        return {key: Interval(float(whole[key]), np.nan, np.nan, len(members), level) for key in keys}
    drawn = [statistics(index) for index in _draws(members, n, np.random.default_rng(seed))]
    samples = np.array([[resample[key] for key in keys] for resample in drawn], dtype=np.float64)
    tails = [50 * (1 - level), 50 * (1 + level)]
    intervals = {}
    for key, column in zip(keys, samples.T, strict=True):
        known = column[~np.isnan(column)]
        low, high = np.percentile(known, tails) if len(known) else (np.nan, np.nan)
        intervals[key] = Interval(float(whole[key]), float(low), float(high), len(members), level)
    return intervals


def _members(n_rows: int, groups: Groups) -> list[npt.NDArray[np.int64]]:
    """Row indices of each group."""
    if n_rows == 0:
        raise InputError("A bootstrap needs rows.", where="bootstrap", fix="Score at least one image first.")
    if groups is None:
        return list(np.arange(n_rows)[:, None])
    if len(groups) != n_rows:
        raise InputError(f"There are {n_rows} rows and {len(groups)} groups.", where="bootstrap groups")
    names = [("row", str(row)) if name in ("", None) else ("group", str(name)) for row, name in enumerate(groups)]
    members: dict[tuple[str, str], list[int]] = {}
    for row, name in enumerate(names):
        members.setdefault(name, []).append(row)
    return [np.array(rows, dtype=np.int64) for rows in members.values()]


def _draws(members: list[npt.NDArray[np.int64]], n: int, rng: np.random.Generator) -> Iterator[npt.NDArray[np.int64]]:
    for _ in range(n):
        yield np.concatenate([members[group] for group in rng.integers(len(members), size=len(members))])
