"""Pictures as bytes that fit inside a document."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from histoseed.errors import InputError
from histoseed.pictures.raster import Picture, checked_picture, downscale, jpeg_bytes, png_bytes

__all__ = ["Inlined", "inlined"]

_SMALL_PNG = 150_000
"""Bytes up to which a PNG is kept even where a JPEG would be smaller."""

_MIME = {"PNG": "image/png", "JPEG": "image/jpeg"}


@dataclass(frozen=True, slots=True)
class Inlined:
    """An encoded picture: its bytes, their MIME type, and the size at which to show it, in CSS pixels of 1/96 inch."""

    data: bytes
    mime: str
    width: int
    height: int


def inlined(picture: Picture | bytes, max_side: int) -> Inlined:
    """Encode an array by its content; bytes of a PNG or JPEG go in unchanged.

    Drawings (at most 256 colours) and small pictures become PNG, which is exact. Large pictures of tissue become JPEG
    where that saves at least a third.

    Args:
        picture: (H, W, 3) uint8, or the bytes of a PNG or JPEG.
        max_side: An array is reduced to this many pixels on its longer side.

    Raises:
        InputError: neither a picture nor the bytes of one.
    """
    if isinstance(picture, bytes | bytearray | memoryview):
        return _of_bytes(bytes(picture))
    image = downscale(checked_picture(picture), max_side)
    height, width = image.shape[:2]
    png = png_bytes(image)
    if len(png) <= _SMALL_PNG or _few_colors(image):
        return Inlined(png, "image/png", width, height)
    jpeg = jpeg_bytes(image)
    if len(jpeg) * 3 < len(png) * 2:
        return Inlined(jpeg, "image/jpeg", width, height)
    return Inlined(png, "image/png", width, height)


def _few_colors(image: Picture) -> bool:
    packed = image.astype(np.uint32) @ np.array([65_536, 256, 1], dtype=np.uint32)
    return len(np.unique(packed)) <= 256


def _of_bytes(data: bytes) -> Inlined:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data), formats=tuple(_MIME)) as image:
            # A plot states its resolution, finer than a screen's; what states none is shown pixel by pixel.
            dpi = float(image.info.get("dpi", (96, 96))[0])
            scale = 96 / dpi if 96 < dpi <= 1200 else 1.0
            return Inlined(data, _MIME[image.format or ""], round(image.width * scale), round(image.height * scale))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError("These bytes are no PNG or JPEG.", fix="Give an array (H, W, 3) uint8 instead.") from error
