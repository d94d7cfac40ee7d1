"""At which depths features are taken."""

from __future__ import annotations

from collections.abc import Sequence

from histoseed.errors import ModelError

__all__ = ["checked_taps", "default_taps", "equally_spaced"]


def equally_spaced(depth: int, count: int = 4) -> tuple[int, ...]:
    """``count`` equally spaced blocks that end at the last one; zero-based indices.

    The rule of CellViT's skip connections (blocks 3, 6, 9, 12 of 12; 8, 16, 24, 32 of 32).

    >>> equally_spaced(12), equally_spaced(24), equally_spaced(27), equally_spaced(2)
    ((2, 5, 8, 11), (5, 11, 17, 23), (6, 13, 20, 26), (0, 1))
    """
    count = min(count, depth)
    return tuple(-(-(i + 1) * depth // count) - 1 for i in range(count))


def default_taps(strides: Sequence[int]) -> tuple[int, ...]:
    """Four blocks of an encoder whose blocks all have one stride, every stage of a hierarchical one.

    >>> default_taps([16] * 12), default_taps([4, 8, 16, 32])
    ((2, 5, 8, 11), (0, 1, 2, 3))
    """
    if len(strides) > 1 and len(set(strides)) == 1:
        return equally_spaced(len(strides))
    return tuple(range(len(strides)))


def checked_taps(taps: Sequence[int] | None, strides: Sequence[int], name: str) -> tuple[int, ...]:
    """``taps`` if they are ascending indices of blocks or stages that exist; the default where they are None.

    Raises:
        ModelError: an index that does not exist, twice, or out of order; no index at all.
    """
    if taps is None:
        return default_taps(strides)
    chosen = tuple(taps)
    if not chosen or list(chosen) != sorted(set(chosen)) or chosen[0] < 0 or chosen[-1] >= len(strides):
        raise ModelError(
            f"Taps {list(chosen)} are not ascending indices below {len(strides)}.",
            where=name,
            fix=f"Leave them out for {list(default_taps(strides))}.",
        )
    return chosen
