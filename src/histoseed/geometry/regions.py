"""A rectangle of a slide at a physical resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass

from histoseed.errors import InputError

__all__ = ["MPP_RANGE", "Region", "known_mpp"]

MPP_RANGE = (0.05, 100.0)
"""Microns per pixel outside this range are nonsense in a file's metadata and count as unknown."""


def known_mpp(value: float | None) -> float | None:
    """``value`` if it is a believable resolution, else None.

    >>> known_mpp(0.25), known_mpp(10**400), known_mpp(float("nan")), known_mpp(None)
    (0.25, None, None, None)
    """
    if value is None or not MPP_RANGE[0] <= value <= MPP_RANGE[1]:
        return None
    return float(value)


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle in level-0 pixels (origin top-left, y down), to be seen at ``mpp`` microns per pixel.

    Args:
        x: Left border, level-0 pixels.
        y: Upper border, level-0 pixels.
        width: Extent in level-0 pixels.
        height: Extent in level-0 pixels.
        mpp: Resolution of the array that is wanted; None means level 0 as it is.

    Raises:
        InputError: a value that is not finite, or an extent that is not positive.
    """

    x: float
    y: float
    width: float
    height: float
    mpp: float | None = None

    def __post_init__(self) -> None:
        values = (self.x, self.y, self.width, self.height)
        if not all(math.isfinite(v) for v in values) or self.width <= 0 or self.height <= 0:
            raise InputError("A region needs finite numbers and a positive width and height.", where=f"region {values}")
        if self.mpp is not None and known_mpp(self.mpp) is None:
            low, high = MPP_RANGE
            raise InputError(f"{self.mpp} microns per pixel is outside {low} to {high}.", where=f"region {values}")

    def shape(self, slide_mpp: float | None) -> tuple[int, int]:
        """Rows and columns of the array: ``round(extent * slide mpp / region mpp)``, at least one.

        >>> Region(0, 0, 1000, 500, mpp=0.5).shape(0.25)
        (250, 500)
        """
        scale = 1.0 if self.mpp is None or slide_mpp is None else slide_mpp / self.mpp
        return max(1, round(self.height * scale)), max(1, round(self.width * scale))
