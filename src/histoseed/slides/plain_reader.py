"""PNG, JPEG, BMP, WebP and JPEG 2000 through Pillow: decoded whole when opened."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.Image import Image
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from histoseed.errors import LimitError, SlideError
from histoseed.settings import Settings
from histoseed.slides.base import Facts, PyramidSlide
from histoseed.slides.pixels import PixelFormat, to_rgb8, used_bits
from histoseed.slides.protocol import Level
from histoseed.slides.resolution import resolve_mpp
from histoseed.slides.source import NotMineError, Source, damage_reported

__all__ = ["PlainSlide", "open_plain", "plain_format"]

_EXIF_ORIENTATION = 274

_DECODERS: dict[str, Callable[[BinaryIO], ImageFile.ImageFile]] = {
    "png": PngImageFile,
    "jpeg": JpegImageFile,
    "bmp": BmpImageFile,
    "webp": WebPImageFile,
    "jpeg2000": Jpeg2KImageFile,
}


def plain_format(head: bytes) -> str | None:
    r"""The format that the first bytes of a file announce, or None.

    >>> plain_format(b"\x89PNG\r\n\x1a\n")
    'png'
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"BM"):
        return "bmp"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith((b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")):
        return "jpeg2000"
    return None


class PlainSlide(PyramidSlide):
    """A picture held in memory; its file is closed already."""

    def __init__(self, source: Source, facts: Facts, pixels: NDArray[np.uint8]) -> None:
        super().__init__(source, facts)
        self._pixels: NDArray[np.uint8] | None = pixels

    def _fetch(self, level: int, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        del level
        assert self._pixels is not None  # noqa: S101 -- read() refuses a closed slide
        return self._pixels[y : y + height, x : x + width]

    def _release(self) -> None:
        self._pixels = None


def open_plain(source: Source) -> PlainSlide:
    """Decode a picture.

    Its density (PNG pHYs, JPEG JFIF, EXIF) is a printing resolution and never becomes microns per pixel.

    Raises:
        NotMineError: The first bytes are those of another format.
        LimitError: It has more than ``max_pixels`` pixels; nothing was decoded.
        SlideError: It is damaged, or its pixels are floats or 32-bit integers.
    """
    form = plain_format(source.head)
    if form is None:
        raise NotMineError("not a PNG, JPEG, BMP, WebP or JPEG 2000 file")
    # the decoder itself, not Image.open: that one warns of large images by its own, global limit
    with damage_reported(source.path), source.path.open("rb") as stream, _DECODERS[form](stream) as image:
        _check_size(image.size, source.path, source.settings)
        image.load()
        orientation, frames = _orientation(image), getattr(image, "n_frames", 1)
        pixels, notes = _rgb8(image, source)
    if frames > 1:
        notes = (*notes, f"The first of {frames} frames is read.")
    if orientation != 1:
        notes = (*notes, f"The EXIF orientation ({orientation}) is not applied: pixels are as stored, as in QuPath.")
    height, width = pixels.shape[:2]
    facts = Facts(
        reader="plain",
        vendor=form,
        levels=(Level(width, height, 1.0),),
        resolution=resolve_mpp(None, None, user=source.mpp, where=source.path),
        properties={"format": form, "mode": image.mode},
        notes=notes,
    )
    return PlainSlide(source, facts, pixels)


def _check_size(size: tuple[int, int], path: Path, settings: Settings) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise SlideError(f"The image is empty ({width} x {height} pixels).", where=path)
    if width * height > settings.max_pixels:
        raise LimitError(
            f"An image of {width} x {height} pixels is more than max_pixels = {settings.max_pixels}.",
            where=path,
            fix="Convert it to a tiled pyramidal TIFF, or raise HISTOSEED_MAX_PIXELS.",
        )


def _orientation(image: Image) -> int:
    """EXIF orientation, 1 where there is none; a damaged EXIF block is no reason to refuse the pixels."""
    with contextlib.suppress(SyntaxError, ValueError, OSError, KeyError, IndexError, TypeError, struct.error):
        return int(image.getexif().get(_EXIF_ORIENTATION, 1))
    return 1


def _rgb8(image: Image, source: Source) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """Pixels of a loaded picture, and what was done to them."""
    mode = image.mode
    if mode == "F":
        raise SlideError("The pixels are floating-point numbers.", where=source.path, fix="Save it as 8-bit RGB.")
    if mode == "I":
        raise SlideError("The pixels are 32-bit integers.", where=source.path, fix="Save it as 8-bit RGB.")
    if mode.startswith("I;16"):
        samples: NDArray[Any] = np.asarray(image)[..., None].astype(np.uint16)
        form = PixelFormat("grey", bits=used_bits(int(samples.max()), 16))
        return to_rgb8(samples, form), form.notes
    has_alpha = mode.lower() in {"rgba", "la", "pa"} or "transparency" in image.info
    colour = {"1": "grey", "L": "grey", "P": "palette", "CMYK": "cmyk"}.get(mode.rstrip("Aa"), "rgb")
    notes = PixelFormat(colour, alpha="straight" if has_alpha else "none").notes
    if source.head[:4] == b"\x89PNG" and source.head[24] == 16:
        notes = ("16-bit values were reduced to 8 bits.", *notes)
    if not has_alpha:
        return np.array(image.convert("RGB")), notes
    samples = np.asarray(image.convert("RGBA"))
    if not samples[..., 3].any():  # a channel that nobody filled; laid over white, nothing would be left
        return np.ascontiguousarray(samples[..., :3]), (*notes[:-1], "The fourth channel is empty and was dropped.")
    return to_rgb8(samples, PixelFormat("rgb", alpha="straight")), notes
