"""TIFF through tifffile: flat, tiled, pyramidal (pages or SubIFDs), BigTIFF, OME-TIFF."""

from __future__ import annotations

import logging
import math
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from histoseed.errors import SlideError
from histoseed.slides.base import Facts, PyramidSlide, snapped_downsample
from histoseed.slides.pixels import PixelFormat, to_rgb8, used_bits
from histoseed.slides.protocol import Level
from histoseed.slides.resolution import resolve_mpp
from histoseed.slides.source import NotMineError, Source, damage_reported
from histoseed.slides.tiff_pages import Page, SegmentCache
from histoseed.slides.tiff_resolution import stated_mpp

__all__ = ["TiffSlide", "open_tiff"]

# tifffile logs what it finds odd; without any handler Python prints that to the terminal, above our own message
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_EXPORT = "Export it as 8-bit RGB."
_COLOURS = {0: "inverted grey", 1: "grey", 2: "rgb", 3: "palette", 5: "cmyk", 6: "rgb"}
"""PhotometricInterpretation to PixelFormat.colour; 6 is YCbCr, which the JPEG decoder turns into RGB."""
_ALPHA = {1: "premultiplied", 2: "straight"}
"""ExtraSamples to PixelFormat.alpha; 0 (unspecified) is dropped."""


class TiffSlide(PyramidSlide):
    """A TIFF file whose tiles are read as they are needed."""

    def __init__(self, source: Source, facts: Facts, tiff: Any, pages: list[Page], form: PixelFormat) -> None:
        super().__init__(source, facts)
        self._tiff = tiff
        self._pages = pages
        self._form = form

    def _fetch(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        samples, absent = self._pages[level].read(x, y, width, height)
        pixels = to_rgb8(samples, self._form)
        if absent is not None:
            pixels = np.where(absent[..., None], np.uint8(255), pixels)
        return pixels

    def _release(self) -> None:
        self._tiff.close()


def open_tiff(source: Source) -> TiffSlide:
    """Open a TIFF file.

    Raises:
        NotMineError: The first bytes are not those of a TIFF.
        SlideError: It is damaged, holds no RGB or grey picture (fluorescence channels, floats), or its compression
            is unknown.
        LimitError: One of its compressed segments has more than ``max_pixels`` pixels.
    """
    if not source.is_tiff:
        raise NotMineError("not a TIFF file")
    with damage_reported(source.path):
        # _multifile: an OME-TIFF may name other files; they are not opened
        tiff = tifffile.TiffFile(source.path, _multifile=False)
        try:
            return _opened(source, tiff)
        except BaseException:
            tiff.close()
            raise


def _opened(source: Source, tiff: Any) -> TiffSlide:
    if not tiff.series:
        raise SlideError("The TIFF file holds no image.", where=source.path)
    stack_note = _check_stack(tiff.series[0], source)
    cache = SegmentCache()
    limit = source.settings.max_pixels
    raw_pages = _level_pages(tiff)
    pages = [Page(page, name=name, cache=cache, max_pixels=limit) for name, page in enumerate(raw_pages)]
    form, dropped = _pixel_format(raw_pages[0], pages, source)
    pages[-1].read(0, 0, 1, 1)  # an unknown compression shows now, not in the middle of the work
    full = (pages[0].width, pages[0].height)
    levels = tuple(Level(p.width, p.height, snapped_downsample(full, (p.width, p.height))) for p in pages)
    (x, y), tag_note = stated_mpp(tiff, raw_pages[0])
    orientation = int(raw_pages[0].tags.valueof(274, default=1))
    turned = f"The orientation tag ({orientation}) is not applied: pixels are as stored." if orientation != 1 else None
    facts = Facts(
        reader="tiff",
        vendor=_vendor(tiff),
        levels=levels,
        resolution=resolve_mpp(x, y, user=source.mpp, where=source.path),
        properties=_properties(raw_pages[0]),
        notes=(*form.notes, *(note for note in (stack_note, dropped, turned, tag_note) if note)),
    )
    return TiffSlide(source, facts, tiff, pages, form)


def _check_stack(series: Any, source: Source) -> str | None:
    """Refuse several grey pages of one size (fluorescence channels); several RGB pages are a focus stack: the first."""
    keyframe = series.keyframe
    frames = math.prod(series.shape) // max(1, math.prod(keyframe.shape))
    if frames <= 1:
        return None
    if keyframe.photometric not in {2, 6}:
        what = f"The TIFF file holds {frames} pages that are not RGB (fluorescence channels?)."
        raise SlideError(what, where=source.path, fix="histoseed works on brightfield images: " + _EXPORT)
    return f"The first of {frames} pages of equal size is read."


def _level_pages(tiff: Any) -> list[Any]:
    """The pages of the pyramid, finest first."""
    series = tiff.series[0]
    found = [level.pages[0].aspage() for level in series.levels]
    if series.kind == "generic":
        # tifffile joins halvings, thirds and quarters of equal step; a pyramid 1, 4, 16, 32 is left in pieces
        found += [other.pages[0].aspage() for other in tiff.series[1:] if other.keyframe.is_reduced]
    first = found[0]
    kept: dict[int, Any] = {}
    for page in found:
        ratio = first.imagewidth / max(page.imagewidth, 1)
        alike = all(getattr(page, name) == getattr(first, name) for name in ("dtype", "samplesperpixel", "photometric"))
        if alike and abs(first.imagelength / ratio - page.imagelength) <= 2:
            kept.setdefault(page.imagewidth, page)
    return [kept[width] for width in sorted(kept, reverse=True)]


def _pixel_format(page: Any, pages: list[Page], source: Source) -> tuple[PixelFormat, str | None]:
    """How to read the samples, and a note on samples that are dropped."""
    dtype, samples, stored = pages[0].dtype, pages[0].samples, int(page.bitspersample)
    if dtype.kind not in "ub" or stored > 16:
        kind = {"f": "floating-point", "i": "signed", "c": "complex"}.get(dtype.kind, f"{stored}-bit")
        raise SlideError(f"The pixels are {kind} numbers.", where=source.path, fix=_EXPORT)
    colour = _COLOURS.get(int(page.photometric))
    form = PixelFormat(colour or "none")
    extra = samples - form.colours
    if colour is None or extra < 0 or extra > 1:
        name = getattr(page.photometric, "name", page.photometric)
        raise SlideError(f"The TIFF file holds {samples} channels ({name}), not RGB.", where=source.path, fix=_EXPORT)
    alpha, dropped = "none", None
    if extra == 1:
        alpha = _ALPHA.get(int((page.extrasamples or (0,))[0]), "none")
        dropped = "A fourth channel of unstated meaning was dropped." if alpha == "none" else None
    if colour == "palette":
        return PixelFormat(colour, stored, palette=_palette(page, source)), dropped
    bits = used_bits(pages[-1].largest(), stored) if stored > 8 else stored
    return PixelFormat(colour, bits, alpha), dropped


def _palette(page: Any, source: Source) -> NDArray[np.uint8]:
    """(n, 3) colours; they are stored as 16 bits, by some writers as 8."""
    table = page.colormap
    if table is None or table.ndim != 2 or table.shape[0] != 3:
        raise SlideError("The TIFF file has palette colours and no palette.", where=source.path, fix=_EXPORT)
    return np.ascontiguousarray((table >> 8 if table.max() > 255 else table).T.astype(np.uint8))


def _vendor(tiff: Any) -> str:
    if tiff.is_ome:
        return "ome-tiff"
    if tiff.is_imagej:
        return "imagej"
    return {"svs": "aperio", "qpi": "perkinelmer"}.get(tiff.series[0].kind, "generic-tiff")


def _properties(page: Any) -> dict[str, str]:
    """The text tags and those that say how pixels are stored; binary blocks stay out."""
    wanted = {"ImageDescription", "Make", "Model", "Software", "DateTime", "XResolution", "YResolution"}
    properties = {f"tiff.{tag.name}": str(tag.value) for tag in page.tags if tag.name in wanted}
    unit = {2: "inch", 3: "centimeter"}.get(int(page.tags.valueof(296, default=1)), "none")
    names = {"Compression": page.compression, "Photometric": page.photometric}
    named = {f"tiff.{key}": str(getattr(value, "name", value)).lower() for key, value in names.items()}
    return {**properties, "tiff.ResolutionUnit": unit, **named}
