"""OME-TIFF label images: one number an object, 0 = background, with the size of a pixel and the name of the image."""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import numpy as np
import tifffile
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

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
from histoseed.annotations.formats.label_image import is_ome_tiff
from histoseed.annotations.formats.xml_files import attributes
from histoseed.annotations.label_images import read_label_image
from histoseed.errors import AnnotationError
from histoseed.files import atomic_path
from histoseed.geometry import known_mpp

__all__ = ["FORMAT"]

_NAME = "ome-tiff"
_SUFFIXES = (".ome.tiff", ".ome.tif")

_NAMESPACE = uuid.UUID("5b1f4b6e-4c0e-5d9c-9a51-0d6a0a6f2f11")
"""Of the UUIDs of written files, which OME wants; equal labels get an equal one."""

_MICRONS = {
    "\u00b5m": 1.0,
    "\u03bcm": 1.0,
    "um": 1.0,
    "nm": 1e-3,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
    "\u00c5": 1e-4,
    "in": 25400.0,
}
"""Micrometres in a unit of OME; the two letters mu of Unicode look alike."""

_SQUARE = 0.01
"""Relative difference of width and height of a pixel that still counts as square."""


def _read(path: Path, options: ReadOptions) -> tuple[list[AnnotatedImage], list[str]]:
    name, mpp, said = _facts(path)  # first: it refuses what an XML must not hold, before tifffile reads it
    notes: list[str] = []
    labels = read_label_image(path, options.settings, notes=notes)
    objects, more = trace(labels, options.classes, str(path), options.settings)
    size = (labels.shape[1], labels.shape[0])
    return [AnnotatedImage(name or stem_of(path, _SUFFIXES), size, objects, mpp)], [*notes, *said, *more]


def _facts(path: Path) -> tuple[str | None, float | None, list[str]]:
    """Name and microns per pixel of the first image that the OME-XML describes, and sentences."""
    if not is_ome_tiff(path):
        fix = "Read it as --from labels, or export it again."
        raise AnnotationError("This is no OME-TIFF, or a damaged one.", where=path, fix=fix)
    with tifffile.TiffFile(path, _multifile=False) as file:
        text = file.ome_metadata
    try:
        root = fromstring(text or "", forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise AnnotationError(f"The OME-XML cannot be read ({error}).", where=path) from error
    images = _children(root, "Image")
    pixels = _children(images[0], "Pixels") if images else []
    if not pixels:
        raise AnnotationError("The OME-XML describes no image.", where=path, fix="Read it as --from labels.")
    said = [f"{path}: only the first of {len(images)} images was read."] if len(images) > 1 else []
    x, y = (_microns(pixels[0], axis) for axis in "XY")
    mpp = None
    if x is not None and y is not None:
        square = x > 0 and y > 0 and abs(x - y) <= _SQUARE * max(x, y)
        mpp = known_mpp(x if x == y else math.sqrt(x * y)) if square else None
        if mpp is None:
            said.append(f"{path}: a pixel of {x:g} x {y:g} um is not believed; the microns per pixel are unknown.")
    return images[0].get("Name"), mpp, said


def _children(element: Element, name: str) -> list[Element]:
    """Children of a name, whatever the version of OME in their namespace."""
    return [child for child in element if child.tag.rpartition("}")[2] == name]


def _microns(pixels: Element, axis: str) -> float | None:
    """Side of a pixel in micrometres; None where it is not stated, or in a unit that is no length."""
    text, unit = pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "um")
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value * _MICRONS[unit] if unit in _MICRONS and math.isfinite(value) else None


def _write(path: Path, images: Sequence[AnnotatedImage], options: WriteOptions) -> list[str]:
    image = single(_NAME, path, images)
    check_free(path, overwrite=options.overwrite)
    attributes({"Name": image.name}, where="the name of the image")  # refuses what XML cannot hold
    labels, cost = draw(_NAME, image, options)
    pixels = labels.astype(np.uint16 if int(labels.max()) <= np.iinfo(np.uint16).max else np.uint32)
    digest = hashlib.sha256(pixels.tobytes()).hexdigest()
    facts: dict[str, Any] = {
        "axes": "YX",
        "Name": image.name,
        "Creator": "histoseed",
        "UUID": f"urn:uuid:{uuid.uuid5(_NAMESPACE, f'{digest} {image.name} {image.mpp}')}",
    }
    resolution: dict[str, Any] = {}
    if image.mpp is not None:
        for axis in "XY":
            facts |= {f"PhysicalSize{axis}": image.mpp, f"PhysicalSize{axis}Unit": "\u00b5m"}
        resolution = {"resolution": (1e4 / image.mpp, 1e4 / image.mpp), "resolutionunit": "CENTIMETER"}
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary,
            pixels,
            ome=True,
            compression="zlib",
            photometric="minisblack",
            metadata=facts,
            software=False,
            **resolution,
        )
    return drawing_losses(_NAME, images, [cost])


FORMAT = Format(
    name=_NAME,
    about="OME-TIFF label image, with the size of a pixel.",
    suffixes=_SUFFIXES,
    holds=RASTER_HOLDS,
    many=False,
    sniff=lambda path: is_ome_tiff(path) is True,
    read=_read,
    write=_write,
    states=frozenset({"name", "size", "mpp"}),
)
