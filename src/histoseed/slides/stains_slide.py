"""A slide in the look of a reference: fitted once on a sample of its tissue, then pixel by pixel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

from histoseed.geometry.regions import MPP_RANGE, Region
from histoseed.slides.protocol import Level, Slide
from histoseed.slides.resolution import pixel_scale
from histoseed.slides.stains import NoStain, Recolouring, Stain, StainMethod, fit_stain, recolouring
from histoseed.slides.stains_density import is_tissue

__all__ = ["StainedSlide", "normalised", "slide_look"]

FIT_MPP = 1.0
"""Looks are fitted at one resolution, so that those of patches and slides can be compared: larger pixels mix nuclei
with what surrounds them."""
_WINDOW_UM = 128.0
_WINDOWS = 64
_THUMBNAIL = 1024
_LEAST_TISSUE = 0.1
"""Share of tissue in a window that is looked at."""


def slide_look(slide: Slide, method: StainMethod) -> Stain | NoStain:
    """The look of a slide.

    Up to a square millimetre all pixels are taken, at 1 um a pixel; from a larger slide 64 windows of 128 um with
    tissue, evenly spread. Nothing is drawn by chance.

    Args:
        slide: Its resolution must be known.
        method: ``macenko`` or ``reinhard``.

    Raises:
        UnknownMppError: the resolution is unknown.
        SlideError: the file is damaged.
    """
    width, height = slide.size
    unit = 1 / pixel_scale(Region(0, 0, width, height, FIT_MPP), slide.mpp, where=slide.path)  # um a level-0 pixel
    mpp = max(FIT_MPP, unit)
    if width * height * (unit / mpp) ** 2 <= _WINDOWS * (_WINDOW_UM / mpp) ** 2:
        return fit_stain(method, slide.read(Region(0, 0, width, height, mpp)).reshape(-1, 3))
    step = _WINDOW_UM / unit
    windows = [slide.read(Region(x, y, step, step, mpp)) for x, y in _tissue_windows(slide, step, unit)]
    if not windows:
        return NoStain("it has hardly any tissue in haematoxylin and eosin")
    return fit_stain(method, np.concatenate([window.reshape(-1, 3) for window in windows]))


def _tissue_windows(slide: Slide, step: float, unit: float) -> list[tuple[float, float]]:
    """Upper left corners of at most 64 windows with tissue, level-0 pixels, evenly spread in reading order."""
    width, height = slide.size
    coarse = np.clip(max(width, height) * unit / _THUMBNAIL, unit, MPP_RANGE[1])
    tissue = is_tissue(slide.read(Region(0, 0, width, height, float(coarse))))
    scale = tissue.shape[1] / width
    x, y = (np.unique((np.arange(0, end, step) * scale).astype(int)) for end in (width, height))
    shares = np.add.reduceat(np.add.reduceat(tissue.astype(np.float64), y, axis=0), x, axis=1)
    shares /= np.outer(np.diff([*y, tissue.shape[0]]), np.diff([*x, tissue.shape[1]]))
    found = np.argwhere(shares >= _LEAST_TISSUE)
    evenly = np.linspace(0, len(found) - 1, min(_WINDOWS, len(found))).round().astype(int)
    return [(float(x[column] / scale), float(y[row] / scale)) for row, column in found[evenly]]


class StainedSlide:
    """A :class:`Slide` whose pixels are recoloured when they are read; everything else is that of the slide.

    Args:
        slide: The slide; closed together with this one.
        colours: What becomes of its pixels.
    """

    def __init__(self, slide: Slide, colours: Recolouring) -> None:
        self.original = slide
        self.colours = colours

    @property
    def path(self) -> Path:
        """See :class:`Slide`."""
        return self.original.path

    @property
    def size(self) -> tuple[int, int]:
        """See :class:`Slide`."""
        return self.original.size

    @property
    def mpp(self) -> float | None:
        """See :class:`Slide`."""
        return self.original.mpp

    @property
    def mpp_source(self) -> str:
        """See :class:`Slide`."""
        return self.original.mpp_source

    @property
    def levels(self) -> tuple[Level, ...]:
        """See :class:`Slide`."""
        return self.original.levels

    @property
    def vendor(self) -> str:
        """See :class:`Slide`."""
        return self.original.vendor

    @property
    def reader(self) -> str:
        """See :class:`Slide`."""
        return self.original.reader

    @property
    def properties(self) -> Mapping[str, str]:
        """See :class:`Slide`."""
        return self.original.properties

    @property
    def notes(self) -> list[str]:
        """Those of the slide, and why its stain was left as it is."""
        return [*self.original.notes, *([self.colours.remark] if self.colours.remark else [])]

    def read(self, region: Region) -> npt.NDArray[np.uint8]:
        """See :meth:`Slide.read`."""
        return self.colours.apply(self.original.read(region))

    def close(self) -> None:
        """See :meth:`Slide.close`."""
        self.original.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def normalised(slide: Slide, reference: Stain | None) -> Slide:
    """The slide in the look of a reference; the slide itself where there is none.

    Args:
        slide: Its resolution must be known where there is a reference.
        reference: What a model's card names as its stain.

    Raises:
        UnknownMppError: the resolution is unknown.
        SlideError: the file is damaged.
    """
    if reference is None:
        return slide
    return StainedSlide(slide, recolouring(slide_look(slide, reference.method), reference))
