"""Label images: one number an object, 0 = background, as PNG, TIFF or NPY.

Objects are read with outlines along pixel edges. Class, id and everything else is lost: a number is all there is. With
``--classes``, a file ``{"1": "tumour", ...}`` names the class of each label.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
import tifffile

from histoseed.annotations.formats.base import (
    AnnotatedImage,
    Format,
    ReadOptions,
    WriteOptions,
    check_free,
    single,
    stem_of,
)
from histoseed.annotations.formats.drawing import RASTER_HOLDS, draw, drawing_losses, trace
from histoseed.annotations.label_images import read_label_image, write_label_image
from histoseed.errors import InputError
from histoseed.files import write_bytes

__all__ = ["FORMAT", "is_ome_tiff"]

_NAME = "labels"
_SUFFIXES = (".tiff", ".tif", ".png", ".npy")
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_OTHERS = (b"\x89PNG\r\n\x1a\n", b"\x93NUMPY")


def is_ome_tiff(path: Path) -> bool | None:
    """Whether a file is an OME-TIFF; None where it is no TIFF at all, or a damaged one."""
    try:
        with path.open("rb") as stream:
            if stream.read(4) not in _TIFF:
                return None
        with tifffile.TiffFile(path, _multifile=False) as file:
            return bool(file.is_ome)
    except Exception:  # noqa: BLE001 - of damaged files tifffile raises anything, and whoever asks only wants a hint
        return None


def _sniff(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            head = stream.read(8)
    except OSError:
        return False
    return head.startswith(_OTHERS) or is_ome_tiff(path) is False


def _read(path: Path, options: ReadOptions) -> tuple[list[AnnotatedImage], list[str]]:
    notes: list[str] = []
    labels = read_label_image(path, options.settings, notes=notes)
    objects, said = trace(labels, options.classes, str(path), options.settings)
    size = (labels.shape[1], labels.shape[0])
    return [AnnotatedImage(stem_of(path, _SUFFIXES), size, objects)], [*notes, *said]


def _write(path: Path, images: Sequence[AnnotatedImage], options: WriteOptions) -> list[str]:
    image = single(_NAME, path, images)
    check_free(path, overwrite=options.overwrite)
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        fix = f"Let its name end in one of {', '.join(_SUFFIXES)}."
        raise InputError("A label image is a PNG, TIFF or NPY file.", where=path, fix=fix)
    labels, cost = draw(_NAME, image, options)
    if suffix in (".tif", ".tiff"):
        write_label_image(path, labels, overwrite=options.overwrite)
    else:
        write_bytes(path, _encode(labels, suffix, path))
    return drawing_losses(_NAME, images, [cost])


def _encode(labels: npt.NDArray[Any], suffix: str, path: Path) -> bytes:
    """The bytes of a PNG of 16 bits, or of an NPY of 16 or, where a label needs it, 32 bits."""
    fits = int(labels.max()) <= np.iinfo(np.uint16).max
    if suffix == ".npy":
        stream = io.BytesIO()
        np.lib.format.write_array(stream, labels.astype(np.uint16 if fits else np.uint32), allow_pickle=False)
        return stream.getvalue()
    if not fits:
        what = f"A PNG holds numbers up to 65535, and there are {labels.max()} objects."
        raise InputError(what, where=path, fix="Write .tif or .npy.")
    return bytes(imagecodecs.png_encode(labels.astype(np.uint16)))


FORMAT = Format(
    name=_NAME,
    about="Label image, one number an object; PNG, TIFF or NPY.",
    suffixes=_SUFFIXES,
    holds=RASTER_HOLDS,
    many=False,
    sniff=_sniff,
    read=_read,
    write=_write,
    states=frozenset({"size"}),
    suffix=".tif",
)
