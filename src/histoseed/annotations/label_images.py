"""Label images on disk: PNG, TIFF and NPY, each number one object, 0 = background."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import PngImagePlugin

from histoseed.annotations.limits import over_limit
from histoseed.errors import AnnotationError, OutputError
from histoseed.files import atomic_path
from histoseed.settings import Settings, read_settings

__all__ = ["read_label_image", "write_label_image"]

Labels = npt.NDArray[np.int32] | npt.NDArray[np.uint32]

_BROKEN = (
    OSError,
    EOFError,
    ValueError,  # also tifffile.TiffFileError
    SyntaxError,  # Pillow, for a damaged PNG
    RuntimeError,  # imagecodecs, for a damaged stream
    TypeError,
    KeyError,
    IndexError,
    ZeroDivisionError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""What the decoders raise on damaged files."""


def read_label_image(path: Path | str, settings: Settings | None = None, *, notes: list[str] | None = None) -> Labels:
    """A label image; skipped numbers are kept as they are.

    Args:
        path: a PNG, TIFF or NPY file, told apart by its first bytes. Of a pyramidal TIFF the full resolution is read.
        settings: limits; from the environment by default.
        notes: a list that gets a sentence for every conversion (whole floats, equal colour channels, a mask).

    Returns:
        (H, W) int32, or uint32 where a number needs it.

    Raises:
        AnnotationError: absent, damaged or another format; colours, several planes, fractions, negative numbers.
        LimitError: more pixels or objects than the settings allow.
    """
    path = Path(path)
    settings = read_settings() if settings is None else settings
    said: list[str] = [] if notes is None else notes
    try:
        with path.open("rb") as stream:
            head = stream.read(32)
        array = _reader(head, path)(path, settings)
    except FileNotFoundError as error:
        raise AnnotationError("There is no such label image.", where=path) from error
    except _BROKEN as error:
        raise AnnotationError(f"The label image cannot be read ({error}).", where=path) from error
    array = _one_plane(array, path, said)
    labels = _whole_numbers(array, path, said)
    if labels.size and labels.max() > settings.max_objects and len(np.unique(labels)) - 1 > settings.max_objects:
        raise over_limit("max_objects", f"The image has more than {settings.max_objects} objects.", where=path)
    return labels


def write_label_image(path: Path | str, labels: npt.NDArray[Any], *, overwrite: bool = False) -> None:
    """Write a label image as deflated TIFF, uint16 or, where a number needs it, uint32. Equal labels, equal bytes.

    Raises:
        AnnotationError: not two-dimensional, not integer, negative, or above 2^32 - 1.
        OutputError: the file exists and ``overwrite`` is false, or cannot be written.
    """
    path = Path(path)
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.dtype.kind not in "bui" or not labels.size:
        what = f"A label image has two dimensions and whole numbers; this is {labels.dtype} of shape {labels.shape}."
        raise AnnotationError(what, where=path)
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > np.iinfo(np.uint32).max:
        raise AnnotationError(f"Labels {low} to {high} do not fit 32 bits without sign.", where=path)
    if path.exists() and not overwrite:
        raise OutputError("The file exists.", where=path, fix="Choose another name, or add --overwrite.")
    dtype = np.uint16 if high <= np.iinfo(np.uint16).max else np.uint32
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary,
            labels.astype(dtype),
            compression="zlib",
            photometric="minisblack",
            metadata=None,
            software="histoseed",
        )


def _reader(head: bytes, path: Path) -> Callable[[Path, Settings], npt.NDArray[Any]]:
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return _read_png
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _read_tiff
    if head.startswith(b"\x93NUMPY"):
        return _read_npy
    what = "The file is empty." if not head else "A label image is a PNG, TIFF or NPY file; this is none of them."
    raise AnnotationError(what, where=path, fix="JPEG changes label numbers; export the labels as PNG or TIFF.")


def _read_png(path: Path, settings: Settings) -> npt.NDArray[Any]:
    # The class is used rather than Image.open, whose own limit is a global that cannot be set per call.
    with path.open("rb") as stream, PngImagePlugin.PngImageFile(stream) as image:
        _check_pixels(image.size, path, settings)
        stream_position = stream.tell()
        stream.seek(24)
        bits, colour_type = stream.read(2)
        stream.seek(stream_position)
        if bits == 16 and colour_type != 0:
            raise AnnotationError("This is a colour image with 16 bits a channel, not a label image.", where=path)
        return np.asarray(image)  # of a palette image these are the indices, which are the labels


def _read_tiff(path: Path, settings: Settings) -> npt.NDArray[Any]:
    with tifffile.TiffFile(path) as file:
        if not file.series:
            raise AnnotationError("The TIFF file holds no image.", where=path)
        level = file.series[0].levels[0]
        _check_pixels(level.shape, path, settings)
        array = np.asarray(level.asarray())
        return np.moveaxis(array, 0, -1) if level.axes == "SYX" else array


def _read_npy(path: Path, settings: Settings) -> npt.NDArray[Any]:
    mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    _check_pixels(mapped.shape, path, settings)
    return np.array(mapped)


def _check_pixels(shape: tuple[int, ...], path: Path, settings: Settings) -> None:
    if math.prod(shape) > settings.max_pixels:
        what = f"The label image has {' x '.join(map(str, shape))} pixels; at most {settings.max_pixels} are read."
        raise over_limit("max_pixels", what, where=path)


def _one_plane(array: npt.NDArray[Any], path: Path, notes: list[str]) -> npt.NDArray[Any]:
    """(H, W) from (H, W), from a stack of one plane, or from colour channels that are all equal."""
    if array.ndim == 3 and array.shape[-1] in (2, 3, 4) and array.shape[0] > 1:
        colour, alpha = (array[..., :-1], array[..., -1]) if array.shape[-1] in (2, 4) else (array, None)
        opaque = alpha is None or (alpha == alpha.max()).all()
        if not opaque or not (colour == colour[..., :1]).all():
            fix = "Give one number an object, 0 = background."
            raise AnnotationError("This is a colour image, not a label image.", where=path, fix=fix)
        notes.append(f"{path.name}: equal colour channels were read as one.")
        return colour[..., 0]
    plane = array.reshape([n for n in array.shape if n != 1] or [1]) if array.ndim > 2 else array
    if plane.ndim != 2 or not plane.size:
        raise AnnotationError(f"A label image has one plane; this has shape {array.shape}.", where=path)
    return plane


def _whole_numbers(array: npt.NDArray[Any], path: Path, notes: list[str]) -> Labels:
    if array.dtype.kind == "f":
        if not np.isfinite(array).all() or (array != np.floor(array)).any():
            fix = "Label images hold one whole number an object; a probability map must be segmented first."
            raise AnnotationError("The label image holds fractions or NaN.", where=path, fix=fix)
        notes.append(f"{path.name}: whole numbers stored as {array.dtype} were converted.")
    elif array.dtype.kind == "b":
        notes.append(f"{path.name}: a mask of one bit was read as a single object.")
    elif array.dtype.kind not in "ui":
        raise AnnotationError(f"A label image holds whole numbers, this holds {array.dtype}.", where=path)
    low, high = array.min(), array.max()
    if low < 0:
        raise AnnotationError(f"The label image holds negative numbers, the smallest is {low}.", where=path)
    if high > np.iinfo(np.uint32).max:
        raise AnnotationError(f"The label {high} does not fit 32 bits.", where=path, fix="Renumber the objects.")
    return array.astype(np.int32) if high <= np.iinfo(np.int32).max else array.astype(np.uint32)
