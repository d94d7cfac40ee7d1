"""Whole-slide formats through OpenSlide: Aperio, DICOM, Hamamatsu, Leica, MIRAX, Philips, Ventana, Zeiss ..."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from histoseed.errors import DependencyError, SlideError
from histoseed.slides.base import Facts, PyramidSlide, snapped_downsample
from histoseed.slides.pixels import over
from histoseed.slides.plain_reader import plain_format
from histoseed.slides.protocol import Level
from histoseed.slides.resolution import Resolution, resolve_mpp
from histoseed.slides.source import NotMineError, Source, damage_reported

__all__ = ["Bounds", "OpenSlideSlide", "bounds_of", "load_openslide", "open_openslide", "wrap_handle"]

MINIMUM = (4, 0, 1)
"""Older OpenSlide libraries write outside their memory on crafted files."""

_BLOCK = 256


def load_openslide() -> ModuleType:
    """The ``openslide`` package, if its library is there and new enough.

    Raises:
        DependencyError: It is missing, does not load, or is older than 4.0.1.
    """
    fix = "pip install --upgrade openslide-python 'openslide-bin>=4.0.1'"
    try:
        import openslide  # noqa: PLC0415 -- a plain PNG must open without it
    except (ImportError, OSError) as error:
        raise DependencyError(f"OpenSlide cannot be loaded ({error}).", where="openslide", fix=fix) from error
    version = str(openslide.__library_version__)
    if _parsed(version) < MINIMUM:
        least = ".".join(map(str, MINIMUM))
        raise DependencyError(f"The OpenSlide library is {version}, older than {least}.", where="openslide", fix=fix)
    return openslide


def _parsed(version: str) -> tuple[int, ...]:
    """Leading whole numbers of a version: 4.0.1-rc1 is (4, 0, 1)."""
    numbers = []
    for part in version.replace("-", ".").split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The part of level 0 that holds the scan; everything else of a MIRAX slide is empty."""

    x: int
    y: int
    width: int
    height: int


def bounds_of(properties: Mapping[str, str], size: tuple[int, int]) -> Bounds:
    """The bounds that a file states, clipped to its level 0; all of level 0 where it states none.

    >>> bounds_of({f"openslide.bounds-{k}": v for k, v in zip(("x", "y", "width", "height"), "1234")}, (10, 10))
    Bounds(x=1, y=2, width=3, height=4)
    >>> bounds_of({}, (10, 20))
    Bounds(x=0, y=0, width=10, height=20)
    """
    try:
        x, y, width, height = (int(properties[f"openslide.bounds-{key}"]) for key in ("x", "y", "width", "height"))
    except (KeyError, ValueError):
        return Bounds(0, 0, *size)
    x, y = max(x, 0), max(y, 0)
    width, height = min(width, size[0] - x), min(height, size[1] - y)
    return Bounds(x, y, width, height) if width > 0 and height > 0 else Bounds(0, 0, *size)


class OpenSlideSlide(PyramidSlide):
    """A slide that OpenSlide reads."""

    def __init__(self, source: Source, facts: Facts, handle: Any, bounds: Bounds) -> None:
        super().__init__(source, facts)
        self._handle = handle
        self._bounds = bounds
        self._background = _background(facts.properties)

    def _fetch(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        ratio = float(self._handle.level_downsamples[level])
        if ratio.is_integer():
            return self._patch(level, ratio, (x, y), (width, height))
        return self._in_blocks(level, ratio, (x, y), (width, height))

    def _in_blocks(self, level: int, ratio: float, corner: tuple[int, int], size: tuple[int, int]) -> NDArray[np.uint8]:
        """A rectangle put together from blocks that always begin at multiples of 256.

        OpenSlide takes whole level-0 coordinates; at a level of ratio 2.0005 they fall between its pixels and it
        interpolates, differently for each corner asked for. With fixed corners a pixel has one value, whatever
        rectangle it is read in.
        """
        (x, y), (width, height) = corner, size
        out = np.empty((height, width, 3), np.uint8)
        for top in range(y - y % _BLOCK, y + height, _BLOCK):
            for left in range(x - x % _BLOCK, x + width, _BLOCK):
                right, bottom = min(left + _BLOCK, x + width), min(top + _BLOCK, y + height)
                block = self._patch(level, ratio, (left, top), (right - left, bottom - top))
                part = block[max(y - top, 0) :, max(x - left, 0) :]
                out[bottom - part.shape[0] - y : bottom - y, right - part.shape[1] - x : right - x] = part
        return out

    def _patch(self, level: int, ratio: float, corner: tuple[int, int], size: tuple[int, int]) -> NDArray[np.uint8]:
        location = (self._bounds.x + round(corner[0] * ratio), self._bounds.y + round(corner[1] * ratio))
        pixels = np.asarray(self._handle.read_region(location, level, size))
        colour, alpha = pixels[..., :3], pixels[..., 3]
        if alpha.min() == 255:
            return colour
        return over(colour, alpha, background=self._background)

    def _release(self) -> None:
        self._handle.close()


def _background(properties: Mapping[str, str]) -> tuple[int, int, int]:
    """The colour behind transparent pixels; white unless the file names another."""
    try:
        value = int(properties.get("openslide.background-color", "FFFFFF"), 16)
    except ValueError:
        return 255, 255, 255
    return value >> 16 & 255, value >> 8 & 255, value & 255


def open_openslide(source: Source) -> OpenSlideSlide:
    """Open a vendor's whole-slide file.

    A TIFF without a vendor's marks ("generic-tiff") is left to the TIFF reader, which knows OME metadata, SubIFD
    pyramids and 16 bits.

    Raises:
        NotMineError: OpenSlide recognises no vendor.
        DependencyError: OpenSlide is missing or too old.
        SlideError: It recognises the vendor and cannot open the file.
    """
    kind = plain_format(source.head)
    # a MIRAX slide is a JPEG beside a folder of its name
    if kind is not None and not (source.path.with_suffix("") / "Slidedat.ini").exists():
        raise NotMineError(f"a {kind} picture, no whole-slide format")
    openslide = load_openslide()
    vendor = openslide.OpenSlide.detect_format(str(source.path))
    if vendor is None:
        raise NotMineError("no vendor's format recognised")
    if vendor == "generic-tiff":
        raise NotMineError("a TIFF without a vendor's marks")
    try:
        handle = openslide.OpenSlide(str(source.path))
    except openslide.OpenSlideError as error:
        fix = "Copy or download it again; if it opens elsewhere, export it as a pyramidal TIFF."
        what = f"OpenSlide takes it for {vendor} and cannot open it ({error})."
        raise SlideError(what, where=source.path, fix=fix) from error
    try:
        with damage_reported(source.path):
            return wrap_handle(source, handle, str(vendor))
    except BaseException:
        handle.close()
        raise


def wrap_handle(source: Source, handle: Any, vendor: str) -> OpenSlideSlide:
    """A slide over an open OpenSlide handle (or anything that answers like one)."""
    properties = {str(key): str(value) for key, value in handle.properties.items()}
    bounds = bounds_of(properties, handle.dimensions)
    resolution = _resolution(properties, source)
    notes: tuple[str, ...] = ()
    if (bounds.width, bounds.height) != tuple(handle.dimensions):
        notes = (f"(0, 0) is the corner ({bounds.x}, {bounds.y}) of the scanned bounds in the file's own frame.",)
    facts = Facts("openslide", vendor, _levels(handle, bounds), resolution, properties, notes)
    return OpenSlideSlide(source, facts, handle, bounds)


def _levels(handle: Any, bounds: Bounds) -> tuple[Level, ...]:
    full = handle.dimensions
    cropped = (bounds.width, bounds.height) != tuple(full)
    levels = []
    for stored in handle.level_dimensions:
        ratio = snapped_downsample(full, stored)
        inner = [max(1, math.floor(side / ratio)) for side in (bounds.width, bounds.height)]
        width, height = inner if cropped else stored
        levels.append(Level(width, height, ratio))
    return tuple(levels)


def _resolution(properties: Mapping[str, str], source: Source) -> Resolution:
    x, y = (_number(properties.get(f"openslide.mpp-{axis}")) for axis in "xy")
    resolution = resolve_mpp(x, y, user=source.mpp, where=source.path)
    power = _number(properties.get("openslide.objective-power"))
    if resolution.mpp is None and power:
        hint = f"The file states an objective of {power:g}x, often {10 / power:g} microns per pixel, but not the value."
        return Resolution(None, "unknown", (*resolution.notes, hint))
    return resolution


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) and value > 0 else None
