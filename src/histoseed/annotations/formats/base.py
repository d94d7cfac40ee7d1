"""What every annotation format offers: a reader, a writer, and an honest list of what it can hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations.instances import Instances
from histoseed.errors import InputError, OutputError
from histoseed.settings import Settings, read_settings
from histoseed.wording import Tally

__all__ = [
    "IGNORE_CLASS",
    "AnnotatedImage",
    "Feature",
    "Format",
    "ReadOptions",
    "Statement",
    "WriteOptions",
    "check_free",
    "losses",
    "needed_size",
    "single",
    "stem_of",
]

Feature = Literal[
    "polygon", "box", "point", "holes", "parts", "overlap", "class", "color", "id", "score", "quality", "source",
    "locked", "measurements",
]  # fmt: skip
"""What a format may be able to hold: kinds of objects, properties of outlines, columns of the table."""

Statement = Literal["name", "size", "mpp"]
"""What a format may be able to say about the image."""

IGNORE_CLASS = "Ignore*"
"""QuPath's class of what shall count for nothing."""

_MULTIPOLYGON = 6  # shapely.get_type_id


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """The objects of one image of a file or folder of annotations.

    Args:
        name: File name of the image as the format states it, else the stem of the annotation file.
        size: Width and height of the image in pixels, None where the format does not state it.
        instances: Its objects, level-0 pixels, origin top-left.
        mpp: Microns per pixel that the format states, None where it does not.
        pixels: Reads the image itself, (H, W, 3) uint8, RGB, for formats that keep it beside its objects; None where
            it is not at hand.
    """

    name: str
    size: tuple[int, int] | None
    instances: Instances
    mpp: float | None = None
    pixels: Callable[[], npt.NDArray[np.uint8]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions:
    """What a reader may need to be told.

    Args:
        settings: Limits.
        size: Width and height of the image, for formats that do not state it (Cytomine's origin is bottom-left).
        classes: Name by number or key, for formats that hold numbers only (Cytomine's terms).
    """

    settings: Settings
    size: tuple[int, int] | None = None
    classes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteOptions:
    """How to write.

    Args:
        overwrite: Replace what stands at the path.
        classes: Key or number by name, for formats that hold numbers only; names not listed get the next free number.
        settings: Limits.
    """

    overwrite: bool = False
    classes: Mapping[str, str] = field(default_factory=dict)
    settings: Settings = field(default_factory=read_settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One annotation format.

    Args:
        name: What the user types.
        about: One sentence.
        suffixes: File suffixes, lower case, longest first; empty for folders.
        holds: What survives writing and reading.
        many: Whether one file or folder may hold several images.
        sniff: Whether a file or folder looks like this format (cheap: its first bytes, its names).
        read: Path, options -> images and sentences about everything that was repaired, renamed or left out.
        write: Path, images, options -> sentences about everything that the format cannot hold.
        states: What it says about the image.
        suffix: Suffix of files that are named by the program; the last of ``suffixes`` where left out.
    """

    name: str
    about: str
    suffixes: tuple[str, ...]
    holds: frozenset[Feature]
    many: bool
    sniff: Callable[[Path], bool]
    read: Callable[[Path, ReadOptions], tuple[list[AnnotatedImage], list[str]]]
    write: Callable[[Path, Sequence[AnnotatedImage], WriteOptions], list[str]]
    states: frozenset[Statement] = frozenset()
    suffix: str | None = None

    @property
    def file_suffix(self) -> str:
        """Suffix of files (or folders) that are named by the program; empty where they have none."""
        return self.suffix or (self.suffixes[-1] if self.suffixes else "")

    @property
    def endings(self) -> tuple[str, ...]:
        """What the name of a file or folder of this format may end in, lower case."""
        return self.suffixes if self.suffix in (None, *self.suffixes) else (*self.suffixes, str(self.suffix))


def single(name: str, path: Path, images: Sequence[AnnotatedImage]) -> AnnotatedImage:
    """The one image that goes into a file of a format without room for more.

    Raises:
        InputError: none, or several.
    """
    if len(images) != 1:
        fix = "Write one file an image."
        raise InputError(f"A {name} file holds one image, and {len(images):,} are given.", where=path, fix=fix)
    return images[0]


def stem_of(path: Path, suffixes: Sequence[str]) -> str:
    """The name of a file without its longest suffix among ``suffixes``, else without its last one.

    >>> stem_of(Path("a/case.1.ome.tif"), (".ome.tif", ".tif"))
    'case.1'
    """
    found = [suffix for suffix in suffixes if path.name.lower().endswith(suffix)]
    return path.name[: -len(max(found, key=len))] if found else path.stem


def check_free(path: Path, *, overwrite: bool) -> None:
    """Nothing is replaced without being told.

    Raises:
        OutputError: a folder stands at the path of the file to write, or a file and ``overwrite`` is false.
    """
    if path.is_dir():
        raise OutputError("This is a folder.", where=path, fix="Name a file in it.")
    if path.exists() and not overwrite:
        raise OutputError("The file exists.", where=path, fix="Choose another name, or add --overwrite.")


def needed_size(name: str, image: AnnotatedImage) -> tuple[int, int]:
    """Width and height of an image, for formats that cannot be written without.

    Raises:
        InputError: they are not known.
    """
    if image.size is None:
        what = f"The format {name} states the width and height of the image, and they are not known."
        raise InputError(what, where=f"image {image.name!r}", fix="Give --size W,H or --image IMAGE.")
    return image.size


def losses(
    name: str, holds: frozenset[Feature], images: Sequence[AnnotatedImage], *, raster: bool = False
) -> list[str]:
    """Sentences about what a format cannot hold of these objects: counts by column and kind.

    The writer of a format says this; it never drops anything silently. What overlap costs a raster is counted where it
    is drawn.

    Args:
        name: Of the format.
        holds: What it holds.
        images: What is written.
        raster: Objects are drawn; boxes are then left out, because drawn they would pass for outlines.
    """
    tables = [image.instances for image in images]
    found: dict[str, int] = {
        "box": sum(int((t.kind == "box").sum()) for t in tables),
        "point": sum(int((t.kind == "point").sum()) for t in tables),
        "holes": sum(_with_holes(t) for t in tables),
        "parts": sum(int((shapely.get_type_id(t.geometry) == _MULTIPOLYGON).sum()) for t in tables),
        "class": sum(name is not None for t in tables for name in t.class_name),
        "color": sum(len(t.colors) for t in tables),
        "score": sum(int(np.isfinite(t.score).sum()) for t in tables),
        "quality": sum(int(np.isfinite(t.quality).sum()) for t in tables),
        "source": sum(source is not None for t in tables for source in t.source),
        "locked": sum(int(t.locked.sum()) for t in tables),
        "measurements": sum(bool(m) for t in tables for m in t.measurements),
        "id": sum(len(t) for t in tables),
    }
    texts = {
        "box": f"{{count}} {{box|boxes}} {'{is|are} left out' if raster else '{becomes an outline|become outlines}'}",
        "point": "{count} {point is|points are} left out",
        "holes": "{count} {outline loses its|outlines lose their} holes",
        "parts": "{count} {object|objects} of several parts {becomes|become} several objects",
        "class": "the {class|classes} of {count} {object is|objects are} not kept",
        "color": "{count} class {colour is|colours are} not kept",
        "score": "the {score|scores} of {count} {object is|objects are} not kept",
        "quality": "the {quality|qualities} of {count} {object is|objects are} not kept",
        "source": "the {source|sources} of {count} {object is|objects are} not kept",
        "locked": "{count} {lock is|locks are} not kept",
        "measurements": "the measurements of {count} {object|objects} are not kept",
        "id": "the {id|ids} of {count} {object is|objects are} not kept",
    }
    return [Tally(f"{name}: {texts[key]}.", n) for key, n in found.items() if n and key not in holds]


def _with_holes(table: Instances) -> int:
    """Objects of which at least one part has a hole."""
    parts, row = shapely.get_parts(table.geometry, return_index=True)
    return len(np.unique(row[shapely.get_num_interior_rings(parts) > 0]))
