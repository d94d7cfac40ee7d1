"""Perceptual hashes: find pictures that show the same, over small changes of intensity and over turns and flips.

The hash is the classical one of the discrete cosine transform ("pHash", Zauner 2010, "Implementation and Benchmarking
of Perceptual Image Hash Functions") with one change: a bit is the *sign* of a coefficient, not its side of the median.
Then brightness and contrast do not matter at all, and the hash of a flipped picture follows from the hash itself, since
a flip changes the sign of every odd coefficient. Two pictures of equal hash need not be equal: candidates are confirmed
by the correlation of their thumbnails. A hash of the whole picture does not see that two crops overlap; for crops that
share pixels exactly there is :mod:`histoseed.datasets.anchors`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import cv2
import numpy as np
import numpy.typing as npt
import scipy.fft

from histoseed.errors import InputError, LimitError

__all__ = ["MOST_BITS", "TURNS", "Near", "correlation", "hash_variants", "near_pairs", "perceptual_hash", "thumbnail"]

Bits = npt.NDArray[np.uint64]
Thumbs = npt.NDArray[np.uint8]

SIDE = 32
"""Side of a thumbnail, pixels."""

_BITS = 8
"""Side of the block of low frequencies; its first coefficient, the mean, is left out: 63 bits say something."""

MOST_BITS = 11
"""Largest distance that :func:`near_pairs` finds: four parts of 16 bits, one of which then differs by 2 at most."""

_BLANK = 2.0
"""Standard deviation of a thumbnail, grey levels, below which there is nothing to compare."""

_THUMBS_AT_ONCE = 4096
_AT_ONCE = 1 << 22
"""Candidates compared in one step, which bounds the memory."""

TURNS = (
    "as it is",
    "flipped left-right",
    "flipped top-bottom",
    "rotated by 180 degrees",
    "transposed",
    "rotated by 90 degrees clockwise",
    "rotated by 90 degrees counter-clockwise",
    "transposed along the other diagonal",
)
"""The 8 ways to lay down a square. Bit 2 of the index: rows and columns change places; then bit 0: the columns are
reversed; bit 1: the rows are reversed."""


@dataclass(frozen=True, slots=True)
class Near:
    """Pairs of hashes that are near each other, ordered by first and second index.

    Args:
        first: Index into the first list, (K,) int64.
        second: Index into the second list, (K,) int64.
        turn: How the second picture must be turned, index into :data:`TURNS`, (K,) int64; the nearest where several are
            near enough, of equally near ones the first.
        distance: Bits that differ, (K,) int64.
    """

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    turn: npt.NDArray[np.int64]
    distance: npt.NDArray[np.int64]


def thumbnail(image: npt.NDArray[np.uint8]) -> Thumbs:
    """A picture (H, W, 3) uint8 as (32, 32) uint8 grey values, means of areas; sides are stretched to a square."""
    red, green, blue = 0.299, 0.587, 0.114  # ITU-R BT.601
    small = cv2.resize(np.ascontiguousarray(image), (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float64)
    return (small @ (red, green, blue)).round().astype(np.uint8)


def perceptual_hash(thumbs: npt.ArrayLike) -> tuple[Bits, npt.NDArray[np.bool_]]:
    """The hash of each thumbnail, and whether there is nothing in it to compare.

    Args:
        thumbs: (N, 32, 32) grey values.

    Returns:
        (N,) uint64, bit 8 u + v is the sign of the coefficient of row frequency u and column frequency v; (N,) bool,
        true for blank pictures, whose bits are noise.

    >>> noise = np.random.default_rng(0).normal(0, 20, (32, 32))
    >>> bits, blank = perceptual_hash([noise, noise / 2 + 90, noise * 0])
    >>> bool(bits[0] == bits[1]), blank.tolist()
    (True, [False, False, True])
    """
    given = np.asarray(thumbs).reshape(-1, SIDE, SIDE)
    bits, blank = np.zeros(len(given), np.uint64), np.zeros(len(given), bool)
    for at in range(0, len(given), _THUMBS_AT_ONCE):
        some = slice(at, at + _THUMBS_AT_ONCE)
        grey = given[some].astype(np.float64)
        low = scipy.fft.dctn(grey, axes=(1, 2), norm="ortho")[:, :_BITS, :_BITS]
        low[:, 0, 0] = -1.0
        bits[some], blank[some] = _packed(low > 0), grey.std(axis=(1, 2)) < _BLANK
    return bits, blank


def _packed(signs: npt.NDArray[np.bool_]) -> Bits:
    """(N, 8, 8) bool as (N,) uint64."""
    flat = np.packbits(signs.reshape(-1, 64), axis=1, bitorder="little")
    return np.ascontiguousarray(flat).view("<u8").reshape(-1).astype(np.uint64)


def hash_variants(bits: Bits) -> Bits:
    """The hashes of the same pictures, turned and flipped in the ways of :data:`TURNS`; (N, 8) uint64."""
    plain = np.ascontiguousarray(bits.astype("<u8")).view(np.uint8).reshape(-1, 8)
    signs = np.unpackbits(plain, axis=1, bitorder="little").reshape(-1, _BITS, _BITS).astype(bool)
    mean = np.zeros((_BITS, _BITS), dtype=bool)
    odd = np.arange(_BITS) % 2 == 1
    out = np.empty((len(bits), 8), dtype=np.uint64)
    for turn in range(8):
        flips = mean ^ (odd[None, :] & bool(turn & 1)) ^ (odd[:, None] & bool(turn & 2))
        out[:, turn] = _packed((signs.transpose(0, 2, 1) if turn & 4 else signs) ^ flips)
    return out


def _turned(thumbs: Thumbs, turn: int) -> Thumbs:
    """Thumbnails (N, 32, 32) turned and flipped in one of the ways of :data:`TURNS`."""
    out = thumbs.transpose(0, 2, 1) if turn & 4 else thumbs
    out = out[:, :, ::-1] if turn & 1 else out
    return out[:, ::-1] if turn & 2 else out


def correlation(thumbs: Thumbs, near: Near) -> npt.NDArray[np.float64]:
    """Normalised correlation of pairs of thumbnails, -1 to 1, (K,); the second of each pair is turned first.

    Args:
        thumbs: (N, 32, 32).
        near: Pairs of them.
    """
    out = np.zeros(len(near.first))
    for turn in range(len(TURNS)):
        rows = np.flatnonzero(near.turn == turn)
        for some in np.array_split(rows, len(rows) // _THUMBS_AT_ONCE + 1):
            a = thumbs[near.first[some]].reshape(-1, SIDE * SIDE).astype(np.float64)
            b = _turned(thumbs[near.second[some]], turn).reshape(-1, SIDE * SIDE).astype(np.float64)
            a -= a.mean(axis=1, keepdims=True)
            b -= b.mean(axis=1, keepdims=True)
            size = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
            out[some] = np.divide((a * b).sum(axis=1), size, out=np.zeros(len(some)), where=size > 0)
    return out


def near_pairs(first: Bits, second: Bits | None = None, *, radius: int = 7, most: int = 20_000_000) -> Near:
    """Every pair of hashes of two lists, or within one list, that differ in at most ``radius`` bits, over all turns.

    The hashes of the first list are sorted into buckets by each quarter of their bits. Two hashes within the radius
    differ by at most a quarter of it, rounded down, in one of the four quarters, so that looking up the few numbers
    near each quarter finds them all (pigeonhole principle). 100,000 hashes take seconds.

    Args:
        first: (N,) uint64.
        second: (M,) uint64; None looks for pairs i < j within ``first``.
        radius: Largest number of bits that differ, 0 to :data:`MOST_BITS`.
        most: Pairs above which it is given up.

    Raises:
        InputError: a radius out of range.
        LimitError: more than ``most`` pairs.
    """
    if not 0 <= radius <= MOST_BITS:
        raise InputError(f"A distance of {radius} bits.", where="radius", fix=f"Give 0 to {MOST_BITS}.")
    queries = hash_variants(first if second is None else second)
    index, turns = np.ascontiguousarray(first), queries.shape[1]
    flat = queries.reshape(-1)
    found: list[npt.NDArray[np.int64]] = []
    total = 0
    for rows, at in _candidates(index, flat, radius // 4):
        distance = np.bitwise_count(index[rows] ^ flat[at])
        kept = distance <= radius
        if second is None:
            kept &= rows < at // turns
        pairs = np.stack((rows[kept], at[kept] // turns, distance[kept].astype(np.int64), at[kept] % turns))
        found.append(pairs)
        total += pairs.shape[1]
        if total > 32 * most:  # every pair is found in up to 4 parts and 8 turns
            raise _too_many(most)
    table = np.concatenate(found, axis=1) if found else np.zeros((4, 0), dtype=np.int64)
    order = np.lexsort(table[::-1])
    table = table[:, order]
    new = np.ones(table.shape[1], dtype=bool)
    new[1:] = (table[:2, 1:] != table[:2, :-1]).any(axis=0)
    table = table[:, new]
    if table.shape[1] > most:
        raise _too_many(most)
    return Near(table[0], table[1], table[3], table[2])


def _too_many(most: int) -> LimitError:
    what = f"More than {most:,} pairs of pictures look alike."
    return LimitError(what, fix="Is one of the data sets a copy of another? Compare fewer patches.")


def _candidates(
    index: Bits, queries: Bits, wrong: int
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Rows of ``index`` and of ``queries`` of which a quarter of the bits differs in at most ``wrong`` places."""
    probes = [0, *(sum(1 << k for k in ks) for n in range(1, wrong + 1) for ks in combinations(range(16), n))]
    for quarter in range(4):
        shift = np.uint64(16 * quarter)
        keys = ((index >> shift) & np.uint64(0xFFFF)).astype(np.int64)
        order = np.argsort(keys, kind="stable")
        begin = np.concatenate(([0], np.cumsum(np.bincount(keys, minlength=1 << 16))))
        wanted = ((queries >> shift) & np.uint64(0xFFFF)).astype(np.int64)
        for probe in probes:
            start, stop = begin[wanted ^ probe], begin[(wanted ^ probe) + 1]
            yield from _expanded(order, start, stop - start)


def _expanded(
    order: npt.NDArray[np.int64], start: npt.NDArray[np.int64], length: npt.NDArray[np.int64]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """The members of each query's bucket beside the query, some millions at a time."""
    at = np.flatnonzero(length)
    ends = np.cumsum(length[at])
    first = 0
    while first < len(at):
        done = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + _AT_ONCE, side="right")))
        rows, sizes = at[first:last], length[at[first:last]]
        offset = start[rows] - (ends[first:last] - sizes - done)
        yield order[np.arange(int(sizes.sum())) + np.repeat(offset, sizes)], np.repeat(rows, sizes)
        first = last
