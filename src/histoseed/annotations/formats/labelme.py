"""labelme JSON: one file an image, or a folder of them.

What labelme has no field for stands under the key ``histoseed`` of a shape, which labelme keeps. A lock is the flag
``locked``. An object of several parts is several shapes of one label and one ``group_id``. An outline with holes is a
shape of type ``mask``, of whole pixels; its exact outline stands beside it and is read again as long as nobody has
changed the mask. An object without a class has the label ``unclassified``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import shapely

from histoseed.annotations.formats.base import (
    AnnotatedImage,
    Feature,
    Format,
    ReadOptions,
    WriteOptions,
    check_free,
    losses,
    single,
)
from histoseed.annotations.formats.beside import image_fields
from histoseed.annotations.formats.drawing import on_pixel_edges
from histoseed.annotations.formats.folders import file_stems, filled_folder
from histoseed.annotations.formats.json_heads import json_head
from histoseed.annotations.formats.labelme_reader import LOCKED, UNCLASSIFIED, mask_of, read_labelme
from histoseed.annotations.formats.outlines import check_written
from histoseed.annotations.formats.rows import OWN_KEY, own_fields, positions
from histoseed.errors import AnnotationError
from histoseed.files import write_bytes
from histoseed.settings import Settings
from histoseed.wording import Tally

__all__ = ["FORMAT"]

_NAME = "labelme"
_HOLDS: frozenset[Feature] = frozenset(get_args(Feature))
_VERSION = "5.5.0"
"""Of labelme whose files these look like."""


def _is_labelme(path: Path) -> bool:
    head = json_head(path)
    return head is not None and not head.is_list and bool(head.keys & {"shapes", "imagePath", "imageData"})


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.json") if path.is_file() and not path.name.startswith("."))


def _sniff(path: Path) -> bool:
    return any(map(_is_labelme, _files(path))) if path.is_dir() else _is_labelme(path)


def _read(path: Path, options: ReadOptions) -> tuple[list[AnnotatedImage], list[str]]:
    if not path.is_dir():
        image, said = read_labelme(path, options)
        return [image], said
    images, sentences = [], []
    for file in _files(path):
        if not _is_labelme(file):
            sentences.append(f"{file.name} is no labelme file and was left out.")
            continue
        image, said = read_labelme(file, options)
        images.append(image)
        sentences += [f"{file.name}: {sentence}" for sentence in said]
    if not images:
        raise AnnotationError("The folder holds no labelme file.", where=path)
    return images, sentences


def _write(path: Path, images: Sequence[AnnotatedImage], options: WriteOptions) -> list[str]:
    for image in images:
        check_written(image.instances, f"image {image.name!r}")
    said = losses(_NAME, _HOLDS, images)
    inexact = 0
    if path.suffix.lower() == ".json":
        check_free(path, overwrite=options.overwrite)
        data, inexact = _document(single(_NAME, path, images), options.settings)
        write_bytes(path, data)
    else:
        stems = file_stems([image.name for image in images])
        with filled_folder(path, overwrite=options.overwrite) as stage:
            for stem, image in zip(stems, images, strict=True):
                data, count = _document(image, options.settings)
                (stage / f"{stem}.json").write_bytes(data)
                inexact += count
    if inexact:
        text = (
            "{count} {outline is|outlines are} written as masks of whole pixels; "
            "{its|their} exact shape stands beside {it|them}, where other programs do not look."
        )
        said.append(Tally(f"{_NAME}: {text}", inexact))
    return said


def _document(image: AnnotatedImage, settings: Settings) -> tuple[bytes, int]:
    """The file of one image, and how many outlines are not exact in what other programs read of it."""
    shapes = []
    inexact = 0
    group = 0
    for row in range(len(image.instances)):
        several = bool(shapely.get_num_geometries(image.instances.geometry[row]) > 1)
        group += several
        for shape, exact in _shapes(image, row, group if several else None, settings):
            shapes.append(shape)
            inexact += not exact
    width, height = image.size or (None, None)
    document: dict[str, Any] = {"version": _VERSION, "flags": {}, "shapes": shapes, "imagePath": image.name}
    document |= {"imageData": None, "imageHeight": height, "imageWidth": width}
    document[OWN_KEY] = image_fields(image)
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    return text.encode("utf-8", "replace"), inexact


def _shapes(
    image: AnnotatedImage, row: int, group: int | None, settings: Settings
) -> Iterator[tuple[dict[str, Any], bool]]:
    """The shapes of one object, and whether each is exact; what belongs to the whole object stands with the first."""
    table = image.instances
    name, kind = table.class_name[row], table.kind[row]
    for number, part in enumerate(shapely.get_parts(table.geometry[row])):
        own = own_fields(table, row) if number == 0 else {}
        own.pop("locked", None)  # it is a flag
        if not name:
            own[UNCLASSIFIED] = True
        fields: dict[str, Any] = {"label": name or UNCLASSIFIED}
        exact = True
        if kind == "point":
            fields |= {"points": positions(part), "shape_type": "point"}
        elif kind == "box" and group is None and part.equals(shapely.envelope(part)):
            corners = np.round(part.bounds, 4).reshape(2, 2) + 0.0
            fields |= {"points": corners.tolist(), "shape_type": "rectangle"}
        elif len(part.interiors):
            mask = mask_of(part, image.size, settings, f"image {image.name!r}, object {row}")
            fields |= mask.fields() | {"shape_type": "mask"}
            own["outline"] = [[positions(ring) for ring in shapely.get_rings(part)]]
            exact = bool(on_pixel_edges([part])[0]) and int(mask.pixels.sum()) == part.area
        else:
            fields |= {"points": positions(part.exterior), "shape_type": "polygon"}
        fields |= {"group_id": group, "description": "", "flags": {LOCKED: True} if table.locked[row] else {}}
        yield fields | ({OWN_KEY: own} if own else {}), exact


FORMAT = Format(
    name=_NAME,
    about="labelme JSON, one file an image, or a folder of them.",
    suffixes=(".json",),
    holds=_HOLDS,
    many=True,
    sniff=_sniff,
    read=_read,
    write=_write,
    states=frozenset({"name", "size", "mpp"}),
)
