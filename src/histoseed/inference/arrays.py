"""An array in memory as a slide: patches of data sets, pictures from other libraries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError
from histoseed.settings import read_settings
from histoseed.slides import Level
from histoseed.slides.base import Facts, PyramidSlide
from histoseed.slides.resolution import resolve_mpp
from histoseed.slides.source import Source

__all__ = ["ArraySlide"]


class ArraySlide(PyramidSlide):
    """A slide of one level whose pixels are an array.

    Args:
        image: (H, W, 3) uint8, RGB.
        mpp: Microns per pixel, None where unknown.
        name: Stands for the path in messages.

    Raises:
        InputError: another shape or type, or an mpp that is not believable.

    >>> from histoseed.geometry import Region
    >>> slide = ArraySlide(np.zeros((40, 60, 3), np.uint8), mpp=0.25)
    >>> slide.size, slide.read(Region(0, 0, 60, 40, mpp=0.5)).shape
    ((60, 40), (20, 30, 3))
    """

    def __init__(self, image: npt.NDArray[np.uint8], *, mpp: float | None, name: str = "array") -> None:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
            what = f"An image is (H, W, 3) uint8, not {image.shape} {image.dtype}."
            raise InputError(what, where=name, fix="Convert it to 8-bit RGB first.")
        level = Level(image.shape[1], image.shape[0], 1.0)
        resolution = resolve_mpp(None, None, user=mpp, where=Path(name))
        super().__init__(
            Source(Path(name), b"", mpp, read_settings()),
            Facts(reader="array", vendor="array", levels=(level,), resolution=resolution, properties={}),
        )
        self._image = image

    def _fetch(self, level: int, x: int, y: int, width: int, height: int) -> npt.NDArray[np.uint8]:
        assert level == 0  # noqa: S101 - there is no other
        return self._image[y : y + height, x : x + width]

    def _release(self) -> None:
        """Nothing is open."""
