"""What every reader shares: choose the level, fetch, resample, paint white what lies outside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from histoseed.errors import LimitError, SlideError
from histoseed.geometry.regions import Region
from histoseed.settings import Settings
from histoseed.slides.protocol import Level
from histoseed.slides.resample import inside, resample, span
from histoseed.slides.resolution import Resolution, pixel_scale
from histoseed.slides.source import Source, damage_reported

__all__ = ["Facts", "PyramidSlide", "snapped_downsample"]

_BAND_PIXELS = 1 << 24
"""Level pixels fetched at once; a larger read is done in bands of rows, so that memory stays flat."""
_COARSER = 1.01
"""A level up to 1 % coarser than asked still serves: nothing visible is lost, and three quarters of the work saved."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a reader learnt when it opened a file; the fields are those of :class:`Slide`."""

    reader: str
    vendor: str
    levels: tuple[Level, ...]
    resolution: Resolution
    properties: Mapping[str, str]
    notes: tuple[str, ...] = ()


def snapped_downsample(full: tuple[int, int], level: tuple[int, int]) -> float:
    """How many level-0 pixels lie along one pixel of a level.

    Pyramids are made by whole factors and the last, incomplete pixel is dropped or kept: 650 x 743 halves to
    325 x 371, whose mean ratio is 2.0013. The whole number is meant wherever it explains both sides to one pixel,
    a power of two before others; else it is the mean ratio.

    >>> snapped_downsample((650, 743), (325, 371)), snapped_downsample((300, 250), (75, 62))
    (2.0, 4.0)
    >>> snapped_downsample((1000, 1000), (400, 400))
    2.5
    """
    ratio = (full[0] / level[0] + full[1] / level[1]) / 2
    sides = list(zip(full, level, strict=True))
    near = range(max(1, round(ratio) - 1), round(ratio) + 2)
    fitting = [whole for whole in near if all(abs(size / whole - short) < 1 for size, short in sides)]
    # a small level may fit 31 and 32: scanners halve
    return float(min(fitting, key=lambda whole: (whole.bit_count() > 1, abs(whole - ratio)), default=ratio))


class PyramidSlide(ABC):
    """A :class:`Slide` over any reader that can fetch a rectangle of a level."""

    def __init__(self, source: Source, facts: Facts) -> None:
        self.path: Path = source.path
        self.reader = facts.reader
        self.vendor = facts.vendor
        self.levels = facts.levels
        self.size = (facts.levels[0].width, facts.levels[0].height)
        self.mpp = facts.resolution.mpp
        self.mpp_source: str = facts.resolution.source
        self.properties: Mapping[str, str] = MappingProxyType(dict(facts.properties))
        self.notes: list[str] = [*facts.notes, *facts.resolution.notes]
        self._settings: Settings = source.settings
        self._user_mpp = source.mpp
        self._closed = False

    @abstractmethod
    def _fetch(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """(height, width, 3) pixels of a rectangle that lies inside the level; x and y in pixels of the level."""

    @abstractmethod
    def _release(self) -> None:
        """Close the file; called once."""

    def read(self, region: Region) -> NDArray[np.uint8]:
        """See :meth:`Slide.read`."""
        if self._closed:
            raise SlideError("The slide is closed.", where=self.path, fix="Open it again.")
        scale = pixel_scale(region, self.mpp, where=self.path)
        height, width = region.shape(self.mpp)
        if height * width > self._settings.max_pixels:
            raise LimitError(
                f"A region of {width} x {height} pixels is more than max_pixels = {self._settings.max_pixels}.",
                where=self.path,
                fix="Read smaller regions or a coarser resolution, or raise HISTOSEED_MAX_PIXELS.",
            )
        out = np.full((height, width, 3), 255, np.uint8)
        left, right = inside(region.x, scale, width, self.size[0])
        top, bottom = inside(region.y, scale, height, self.size[1])
        if left == right or top == bottom:
            return out
        level = self._level_for(scale)
        chosen = self.levels[level]
        columns = span(region.x, scale, (left, right), downsample=chosen.downsample, extent=chosen.width)
        factor = scale / chosen.downsample
        band = max(1, int(_BAND_PIXELS / ((columns.high - columns.low) * factor)))
        for first in range(top, bottom, band):
            last = min(first + band, bottom)
            rows = span(region.y, scale, (first, last), downsample=chosen.downsample, extent=chosen.height)
            with damage_reported(self.path):
                pixels = self._fetch(level, columns.low, rows.low, columns.high - columns.low, rows.high - rows.low)
            out[first:last, left:right] = resample(pixels, rows, columns)
        return out

    def _level_for(self, scale: float) -> int:
        """The coarsest level that is still as fine as ``scale`` level-0 pixels a pixel."""
        fine = [index for index, level in enumerate(self.levels) if level.downsample <= scale * _COARSER]
        return max(fine, key=lambda index: self.levels[index].downsample, default=0)

    def close(self) -> None:
        """See :meth:`Slide.close`."""
        if not self._closed:
            self._closed = True
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        width, height = self.size
        mpp = "unknown" if self.mpp is None else f"{self.mpp:.4g}"
        return f"<{self.vendor} slide {self.path.name!r}, {width} x {height}, mpp {mpp}>"

    def __reduce__(self) -> tuple[object, ...]:
        from histoseed.slides.opening import reopen  # noqa: PLC0415 -- opening imports the readers, and they this file

        return reopen, (self.path.absolute(), self._user_mpp, self._settings)
