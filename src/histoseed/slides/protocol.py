"""What a slide is to the rest of the library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from histoseed.geometry.regions import Region

__all__ = ["Level", "Slide"]


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution that a file stores.

    Args:
        width: Columns of this level, pixels.
        height: Rows of this level, pixels.
        downsample: Level-0 pixels along one side of a pixel of this level; 1.0 for level 0.
    """

    width: int
    height: int
    downsample: float


@runtime_checkable
class Slide(Protocol):
    """An image that is read region by region: a whole-slide file, or a plain PNG, JPEG or TIFF.

    The frame is level-0 pixels, origin top-left, y down. Where a file states a bounds rectangle (MIRAX), (0, 0) is the
    corner of that rectangle and `size` its extent; the offset stands in `properties` as ``openslide.bounds-x`` and
    ``-y``. Pixels are as the file stores them: EXIF and TIFF orientations and colour profiles are not applied.

    Label, macro and thumbnail images of a file are never reachable through a slide.

    Several threads may call :meth:`read` of one slide. A slide pickles to its path, so that each worker *process* opens
    the file anew; do not carry an open slide over a fork.
    """

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of level 0, pixels."""

    @property
    def mpp(self) -> float | None:
        """Microns per pixel of level 0, or None when neither the file nor the user says it."""

    @property
    def mpp_source(self) -> str:
        """``metadata``, ``user`` or ``unknown``."""

    @property
    def levels(self) -> tuple[Level, ...]:
        """What the file stores, finest first; the first is level 0."""

    @property
    def vendor(self) -> str:
        """Who made the file, as the reader names it: ``aperio``, ``mirax``, ``dicom``, ``ome-tiff``, ``png`` ..."""

    @property
    def reader(self) -> str:
        """Which reader opened it: ``openslide``, ``tiff`` or ``plain``."""

    @property
    def properties(self) -> Mapping[str, str]:
        """The file's own metadata, as text."""

    @property
    def notes(self) -> list[str]:
        """What the user should know: conversions of the pixels, metadata that was not believed."""

    def read(self, region: Region) -> NDArray[np.uint8]:
        """The pixels of a region at its resolution.

        Args:
            region: Where, in level-0 pixels, and at how many microns per pixel.

        Returns:
            (H, W, 3) RGB, H and W as :meth:`Region.shape` says. Outside the slide it is white.

        Raises:
            UnknownMppError: The region names a resolution and the slide's own is unknown.
            LimitError: The array would have more than ``max_pixels`` pixels.
            SlideError: The file is damaged there, or the slide is closed.
        """

    def close(self) -> None:
        """Give the file back; further calls do nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
