"""Pictures as arrays: checking, resizing, encoding.

A picture is an array (H, W, 3), uint8, RGB, origin top-left. Pixel (row i, column j) covers the square
[j, j + 1] x [i, i + 1], and resizing keeps those edges in place.
"""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt

from histoseed.errors import InputError

__all__ = ["Picture", "checked_labels", "checked_picture", "downscale", "jpeg_bytes", "png_bytes", "resize_labels"]

Picture = npt.NDArray[np.uint8]
"""(H, W, 3), uint8, RGB."""

Labels = npt.NDArray[np.integer]

_SEEN = 3
"""Pixels of the side of the smallest object that is seen on a sheet."""


def checked_picture(image: npt.ArrayLike, what: str = "image") -> Picture:
    """The array itself if it is a picture.

    Raises:
        InputError: another shape or type, or no pixels.
    """
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or array.size == 0:
        fix = "Convert it to 8-bit RGB first."
        raise InputError(f"A picture is (H, W, 3) uint8, not {array.shape} {array.dtype}.", where=what, fix=fix)
    return array


def checked_labels(labels: npt.ArrayLike, shape: tuple[int, int], what: str = "labels") -> Labels:
    """The array itself if it is a label image of that shape.

    Raises:
        InputError: not integers, another shape, or a negative label.
    """
    array = np.asarray(labels)
    if array.shape != shape or not (np.issubdtype(array.dtype, np.integer)):
        what_is = f"A label image of {shape} integers is needed, not {array.shape} {array.dtype}."
        raise InputError(what_is, where=what)
    if np.issubdtype(array.dtype, np.signedinteger) and array.size and array.min() < 0:
        raise InputError("Labels must not be negative.", where=what, fix="0 is background, objects count from 1.")
    return array


def resize(image: Picture, height: int, width: int) -> Picture:
    """The picture at another size: area means when it shrinks, cubic when it grows."""
    import cv2

    if image.shape[:2] == (height, width):
        return image
    shrinks = height < image.shape[0] or width < image.shape[1]
    out = cv2.resize(
        np.ascontiguousarray(image), (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )
    return np.asarray(out, dtype=np.uint8)


def resize_labels(labels: Labels, height: int, width: int) -> Labels:
    """The label image at another size; each new pixel takes the label under its centre."""
    rows = ((np.arange(height) + 0.5) * labels.shape[0] / height).astype(np.intp)
    columns = ((np.arange(width) + 0.5) * labels.shape[1] / width).astype(np.intp)
    return np.asarray(labels[rows[:, None], columns[None, :]])


def visible_labels(labels: Labels, height: int, width: int) -> Labels:
    """The label image at another size; objects that shrinking would make hard to see are squares of three pixels.

    Squares lie on background only, so that no object hides another.
    """
    out = resize_labels(labels, height, width)
    if height >= labels.shape[0]:
        return out
    out = out.copy()
    values, number, before = np.unique(labels, return_inverse=True, return_counts=True)
    drawn, counts = np.unique(out, return_counts=True)
    after = np.zeros(len(values), dtype=np.int64)
    after[np.searchsorted(values, drawn)] = counts
    row, column = np.divmod(np.arange(labels.size), labels.shape[1])
    y = (np.bincount(number.ravel(), row) / before + 0.5) * height / labels.shape[0]
    x = (np.bincount(number.ravel(), column) / before + 0.5) * width / labels.shape[1]
    for i in np.flatnonzero((values != 0) & (after < _SEEN**2)).tolist():
        top, left = max(0, int(y[i]) - _SEEN // 2), max(0, int(x[i]) - _SEEN // 2)
        square = out[top : top + _SEEN, left : left + _SEEN]
        square[square == 0] = values[i]
    return out


def fitted_size(shape: tuple[int, ...], max_side: int) -> tuple[int, int]:
    """Height and width when the longer of the two becomes ``max_side``; the shape is kept, but for one pixel at least.

    >>> fitted_size((500, 1000), 100)
    (50, 100)
    """
    height, width = shape[:2]
    scale = max_side / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def downscale(image: npt.ArrayLike, max_side: int) -> Picture:
    """The picture with no side longer than ``max_side`` pixels; a smaller one is returned as it is.

    >>> downscale(np.zeros((500, 1000, 3), np.uint8), 100).shape
    (50, 100, 3)

    Raises:
        InputError: not a picture, or ``max_side`` below 1.
    """
    picture = checked_picture(image)
    if max_side < 1:
        raise InputError(f"max_side is {max_side}; it must be at least 1.")
    if max(picture.shape[:2]) <= max_side:
        return picture
    return resize(picture, *fitted_size(picture.shape, max_side))


def png_bytes(image: npt.ArrayLike) -> bytes:
    """The picture as PNG: lossless, and the same bytes for the same pixels.

    Raises:
        InputError: not a picture.
    """
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(checked_picture(image))).save(stream, format="PNG", compress_level=6)
    return stream.getvalue()


def jpeg_bytes(image: npt.ArrayLike, quality: int = 90) -> bytes:
    """The picture as JPEG, colour at full resolution so that thin coloured outlines stay crisp.

    Args:
        image: (H, W, 3) uint8.
        quality: 1 to 100, the scale of libjpeg.

    Raises:
        InputError: not a picture, a side beyond the format's 65,535, or another quality.
    """
    from PIL import Image

    picture = checked_picture(image)
    if not 1 <= quality <= 100:
        raise InputError(f"The JPEG quality is {quality}; it must lie in 1 to 100.")
    if max(picture.shape[:2]) > 65_535:
        raise InputError("A JPEG has at most 65,535 pixels a side.", fix="Use downscale() or PNG.")
    stream = io.BytesIO()
    pillow = Image.fromarray(np.ascontiguousarray(picture))
    pillow.save(stream, format="JPEG", quality=quality, subsampling=0, optimize=True)
    return stream.getvalue()
