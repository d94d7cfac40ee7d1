"""Anchors: find crops that share pixels exactly, wherever they overlap.

Small windows of a picture are hashed at every place, and the places whose hash happens to be a multiple of a number are
kept (as in "winnowing", Schleimer and others 2003, for texts). Where a window is kept depends on its own pixels alone,
so that two crops of one picture keep the same windows in the part that they share. Pixels must be equal bit by bit: no
other resolution, no JPEG in between, no turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histoseed.errors import LimitError

__all__ = ["Anchors", "Shared", "anchors_of", "shared_anchors"]

WINDOW = 16
"""Side of a window, pixels."""

_EVERY = np.uint64(512)
"""One window in so many is kept: some 110 of a picture of 256 x 256 pixels."""

_AT_ONCE = 1 << 22
"""Pixels hashed in one step, which bounds the memory."""

_LEAST = 3
"""Anchors that must agree on where one picture lies in the other: an overlap of 80 x 80 pixels has eight on average."""

_COMMONPLACE = 64
"""An anchor that more pictures than this have says nothing (a scale bar, a pattern); it is passed over."""

_ROW = np.uint64(0x9E3779B97F4A7C15)  # odd multipliers: products modulo 2^64 mix all lower bits
_COLUMN = np.uint64(0xC2B2AE3D27D4EB4F)
_MIX = np.uint64(0xFF51AFD7ED558CCD)


@dataclass(frozen=True, slots=True)
class Anchors:
    """The anchors of one picture.

    Args:
        value: Hash of the window, (K,) uint64.
        x: Left border of the window, pixels, (K,) int32.
        y: Upper border, (K,) int32.
    """

    value: npt.NDArray[np.uint64]
    x: npt.NDArray[np.int32]
    y: npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Shared:
    """Pairs of pictures that agree on anchors, ordered by first and second.

    Args:
        first: Index of the picture, (P,) int64.
        second: Index of the other, greater than the first, (P,) int64.
        dx: What must be added to x of the first to get x of the second, pixels, (P,) int64.
        dy: The same for y, (P,) int64.
        anchors: How many anchors agree on this, (P,) int64.
    """

    first: npt.NDArray[np.int64]
    second: npt.NDArray[np.int64]
    dx: npt.NDArray[np.int64]
    dy: npt.NDArray[np.int64]
    anchors: npt.NDArray[np.int64]


def anchors_of(image: npt.NDArray[np.uint8]) -> Anchors:
    """The anchors of a picture (H, W, 3) uint8; windows of one colour are none."""
    step = max(1, _AT_ONCE // max(1, image.shape[1]))
    bands = [_band(image[y : y + step + WINDOW - 1], y) for y in range(0, image.shape[0] - WINDOW + 1, step)]
    none = (np.zeros(0, np.uint64), np.zeros(0, np.int32), np.zeros(0, np.int32))
    value, x, y = (np.concatenate(column) for column in zip(none, *bands, strict=True))
    return Anchors(value, x, y)


def _band(
    image: npt.NDArray[np.uint8], top: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Value, x and y of the anchors of some rows of a picture; ``top`` is the first of these rows."""
    height, width = image.shape[0] - WINDOW + 1, max(0, image.shape[1] - WINDOW + 1)
    pixel = image.astype(np.uint64) @ np.array([1, 1 << 8, 1 << 16], dtype=np.uint64)
    rows = np.zeros((image.shape[0], width), dtype=np.uint64)
    for k in range(WINDOW):
        rows = rows * _ROW + _scrambled(pixel[:, k : k + width])
    value = np.zeros((height, width), dtype=np.uint64)
    for k in range(WINDOW):
        value = value * _COLUMN + _scrambled(rows[k : k + height])
    y, x = np.nonzero(_scrambled(value) % _EVERY == 0)
    kept = _varied(pixel, y, x)
    return value[y[kept], x[kept]], x[kept].astype(np.int32), (y[kept] + top).astype(np.int32)


def _scrambled(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """The finishing step of MurmurHash3: every bit of the result depends on every bit of the value."""
    mixed = (value ^ (value >> np.uint64(33))) * _MIX
    return mixed ^ (mixed >> np.uint64(33))


def _varied(pixel: npt.NDArray[np.uint64], y: npt.NDArray[np.int64], x: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether the windows at these places hold more than one colour."""
    # A level picture has one hash everywhere, and then every window may be kept: no table of all their pixels.
    varied = np.zeros(len(y), dtype=bool)
    for i in range(WINDOW):
        for j in range(WINDOW):
            varied |= pixel[y + i, x + j] != pixel[y, x]
    return varied


def shared_anchors(pictures: Sequence[Anchors], *, most: int = 20_000_000) -> Shared:
    """Pairs of pictures of which three anchors or more agree on one offset.

    Args:
        pictures: The anchors of each.
        most: Pairs of anchors above which it is given up.

    Raises:
        LimitError: more than ``most`` pairs of anchors.
    """
    table = _equal_pairs(pictures, most)
    agreed, count = np.unique(table, axis=1, return_counts=True)
    agreed, count = agreed[:, count >= _LEAST], count[count >= _LEAST]
    # Of several offsets of one pair the one that most anchors agree on.
    best = np.lexsort((-count, agreed[1], agreed[0]))
    agreed, count = agreed[:, best], count[best]
    first = np.ones(agreed.shape[1], dtype=bool)
    first[1:] = (agreed[:2, 1:] != agreed[:2, :-1]).any(axis=0)
    kept = agreed[:, first]
    return Shared(kept[0], kept[1], kept[2], kept[3], count[first])


def _equal_pairs(pictures: Sequence[Anchors], most: int) -> npt.NDArray[np.int64]:
    """Picture, other picture, dx and dy of every pair of equal anchors, (4, K)."""
    table = np.concatenate(
        [np.stack((np.full(len(a.value), i), a.x, a.y)) for i, a in enumerate(pictures)] or [np.zeros((3, 0))], axis=1
    ).astype(np.int64)
    values = np.concatenate([a.value for a in pictures] or [np.zeros(0, np.uint64)])
    _, number, count = np.unique(values, return_inverse=True, return_counts=True)
    kept = np.flatnonzero((count[number] > 1) & (count[number] <= _COMMONPLACE))
    if int((count[number[kept]] - 1).sum()) // 2 > most:
        raise LimitError(f"More than {most:,} pairs of places are equal.", fix="Compare fewer patches.")
    order = kept[np.argsort(number[kept], kind="stable")]  # stable: of equal anchors the earlier picture goes first
    number, table = number[order], table[:, order]
    pairs = [np.zeros((4, 0), dtype=np.int64)]
    for step in range(1, int(count[number].max(initial=1))):
        left = np.flatnonzero(number[:-step] == number[step:])
        left = left[table[0, left] != table[0, left + step]]
        right = left + step
        pairs.append(np.stack((table[0, left], table[0, right], *(table[1:, right] - table[1:, left]))))
    return np.concatenate(pairs, axis=1)
