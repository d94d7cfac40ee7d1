"""Encode and decode the picture files of the common format: RGB PNG and deflated label TIFF, nothing else."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile

from histoseed.errors import DatasetError, LimitError
from histoseed.settings import Settings

__all__ = ["encode_label", "encode_png", "encode_probabilities", "read_label", "read_png", "read_probabilities"]

_PNG_START = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_RGB = 2
# What tifffile, imagecodecs and zlib raise on damaged files.
_DAMAGE = (tifffile.TiffFileError, RuntimeError, ValueError, OSError, zlib.error, LookupError, struct.error, TypeError)


def encode_png(image: npt.NDArray[np.uint8]) -> bytes:
    """An (H, W, 3) uint8 picture as the bytes of an RGB PNG; equal pixels give equal bytes."""
    # Of filters and strategies tried on H&E tiles, Paeth with run lengths is both the smallest and the fastest.
    png = imagecodecs.PNG
    data = imagecodecs.png_encode(
        np.ascontiguousarray(image), level=3, filter=png.FILTER.PAETH, strategy=png.STRATEGY.RLE
    )
    return bytes(data)


def encode_label(labels: npt.NDArray[np.integer]) -> bytes:
    """An (H, W) label image as the bytes of a deflated TIFF: uint8, uint16 or uint32 as it is given."""
    stream = io.BytesIO()
    tifffile.imwrite(stream, labels, photometric="minisblack", compression="zlib", metadata=None, software=False)
    return stream.getvalue()


def encode_probabilities(values: npt.NDArray[np.float32]) -> bytes:
    """An (N, C) array as the bytes of an ``.npz`` with one member ``probabilities``, without a time stamp."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        member = io.BytesIO()
        np.lib.format.write_array(member, values, allow_pickle=False)
        archive.writestr(zipfile.ZipInfo("probabilities.npy"), member.getvalue(), zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def _check_size(found: tuple[int, int], wanted: tuple[int, int], path: Path, row: str, settings: Settings) -> None:
    """Compare (height, width) of a file's header with its row before a single pixel is decoded."""
    if found != wanted:
        what = f"The file is {found[1]} x {found[0]} pixels, {row} says {wanted[1]} x {wanted[0]}."
        raise DatasetError(what, where=path)
    if found[0] * found[1] > settings.max_pixels:
        what = f"{found[1]} x {found[0]} pixels are more than the setting max_pixels allows ({settings.max_pixels})."
        raise LimitError(what, where=path, fix="Raise HISTOSEED_MAX_PIXELS if the file is to be trusted.")


def _bytes_of(path: Path, row: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise DatasetError(f"The file is missing; {row} names it.", where=path) from error
    except OSError as error:
        raise DatasetError(f"Cannot be read ({error.strerror or error}).", where=path) from error


def read_png(path: Path, shape: tuple[int, int], row: str, settings: Settings) -> npt.NDArray[np.uint8]:
    """An RGB PNG of 8 bit and of the size (height, width) that its row states, as (H, W, 3) uint8.

    Args:
        path: The file.
        shape: Height and width that the table states.
        row: How a message names the row of the table, for instance "patches.parquet row 3".
        settings: ``max_pixels`` is looked at.

    Raises:
        DatasetError: missing, damaged, of another format or size.
        LimitError: too many pixels.
    """
    data = _bytes_of(path, row)
    if not data.startswith(_PNG_START) or len(data) < 33:
        raise DatasetError("Not a PNG file.", where=path)
    width, height, depth, color = struct.unpack(">IIBB", data[16:26])
    _check_size((height, width), shape, path, row, settings)
    if (depth, color) != (8, _RGB):
        raise DatasetError("The picture must be RGB with 8 bit a channel and no alpha.", where=path)
    try:
        image = imagecodecs.png_decode(data)
    except _DAMAGE as error:
        raise DatasetError(f"The picture is damaged ({error}).", where=path) from error
    return np.asarray(image, dtype=np.uint8)


def read_label(
    path: Path, shape: tuple[int, int], row: str, settings: Settings, dtypes: tuple[str, ...] = ("uint16", "uint32")
) -> npt.NDArray[np.integer]:
    """A label TIFF of the size (height, width) that its row states, as (H, W) in the file's own type.

    Raises:
        DatasetError: missing, damaged, or of another size or type.
        LimitError: too many pixels.
    """
    try:
        with tifffile.TiffFile(io.BytesIO(_bytes_of(path, row))) as tiff:
            page = tiff.pages.first
            found = tuple(page.shape)
            if len(found) != 2 or str(page.dtype) not in dtypes:
                what = f"The file holds {page.dtype} of shape {found}, not {' or '.join(dtypes)} of two axes."
                raise DatasetError(what, where=path)
            _check_size((found[0], found[1]), shape, path, row, settings)
            labels = np.asarray(page.asarray())
    except _DAMAGE as error:
        raise DatasetError(f"The label image is damaged ({error}).", where=path) from error
    return labels


def read_probabilities(path: Path, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """The member ``probabilities`` of an ``.npz``: float32 of the shape (objects, classes); pickles are refused.

    Raises:
        DatasetError: damaged, or of another shape.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo("probabilities.npy").file_size
        if size > 8 * shape[0] * shape[1] + 4096:  # more than float64 and a header: not unpacked at all
            raise DatasetError(f"The array is larger than {shape} (objects, classes).", where=path)
        with np.load(path, allow_pickle=False) as members:
            values = np.asarray(members["probabilities"], dtype=np.float32)
    except (*_DAMAGE, zipfile.BadZipFile, EOFError) as error:
        raise DatasetError(f"Cannot be read as class probabilities ({error}).", where=path) from error
    if values.shape != shape:
        raise DatasetError(f"The array has shape {values.shape}, not {shape} (objects, classes).", where=path)
    return values
