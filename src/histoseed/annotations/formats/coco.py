"""COCO JSON: images, categories and annotations of any number of images in one file.

What COCO has no field for stands under the key ``histoseed``, which other programs pass over. Outlines with holes and
the class ``Ignore*`` (``iscrowd = 1``) are written as compressed run lengths of whole pixels; their exact outline
stands beside them and is read again as long as nobody has changed the run lengths. A point is one key point. Ids count
from 1, because 0 confuses some programs that score.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import shapely

from histoseed.annotations.classifications import classification_json
from histoseed.annotations.formats.base import (
    IGNORE_CLASS,
    AnnotatedImage,
    Feature,
    Format,
    WriteOptions,
    check_free,
    losses,
    needed_size,
)
from histoseed.annotations.formats.coco_reader import UNCLASSIFIED, read_coco
from histoseed.annotations.formats.coco_rle import outline_to_runs, pack_runs
from histoseed.annotations.formats.drawing import on_pixel_edges
from histoseed.annotations.formats.json_heads import json_head
from histoseed.annotations.formats.outlines import check_written
from histoseed.annotations.formats.rows import OWN_KEY, own_fields, positions
from histoseed.errors import InputError
from histoseed.files import atomic_path
from histoseed.wording import Tally

__all__ = ["FORMAT"]

_NAME = "coco"
_HOLDS: frozenset[Feature] = frozenset(get_args(Feature))
_VISIBLE = 2  # of a key point


def _sniff(path: Path) -> bool:
    head = json_head(path)
    if head is None or head.is_list or head.keys & {"features", "shapes"}:
        return False
    return "images" in head.keys or {"annotations", "categories"} <= head.keys


def _write(path: Path, images: Sequence[AnnotatedImage], options: WriteOptions) -> list[str]:
    check_free(path, overwrite=options.overwrite)
    for image in images:
        check_written(image.instances, f"image {image.name!r}")
    sizes = [needed_size(_NAME, image) for image in images]
    categories, said = _categories(images, options.classes)
    inexact = 0
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        for text in _head(images, sizes, categories):
            stream.write(text.encode("utf-8", "replace"))
        first, ids = True, {name: entry["id"] for name, entry in categories.items()}
        number = 0
        for image_id, (image, size) in enumerate(zip(images, sizes, strict=True), start=1):
            for row in range(len(image.instances)):
                number += 1
                annotation, exact = _annotation(image, row, size, options)
                inexact += not exact
                category = ids[image.instances.class_name[row] or None]
                text = _dumps({"id": number, "image_id": image_id, "category_id": category, **annotation})
                stream.write((("\n" if first else ",\n") + text).encode("utf-8", "replace"))
                first = False
        stream.write(b"\n]}\n")
    if inexact:
        text = (
            "{count} {outline is|outlines are} written as run lengths of whole pixels; "
            "{its|their} exact shape stands beside {it|them}, where other programs do not look."
        )
        said.append(Tally(f"{_NAME}: {text}", inexact))
    return [*losses(_NAME, _HOLDS, images), *said]


def _categories(
    images: Sequence[AnnotatedImage], given: Mapping[str, str]
) -> tuple[dict[str | None, dict[str, Any]], list[str]]:
    """Class name -> category, and sentences; None is the class of objects without one."""
    colors: dict[str, str] = {}
    differing = set()
    for image in images:
        for stated, color in image.instances.colors.items():
            if colors.setdefault(stated, color).lower() != color.lower():
                differing.add(stated)
    used = {name for image in images for name in image.instances.classes()}
    names: list[str | None] = [*sorted(name for name in used | colors.keys() if name)]
    if any(not name for image in images for name in image.instances.class_name):
        names.append(None)
    ids = _category_ids(names, given)
    label = UNCLASSIFIED
    while label in names:
        label += "_"
    categories: dict[str | None, dict[str, Any]] = {}
    for name in names:
        entry: dict[str, Any] = {"id": ids[name], "name": label if name is None else name, "supercategory": ""}
        if name is None:
            entry[OWN_KEY] = {UNCLASSIFIED: True}
        elif name in colors:
            entry["color"] = classification_json(name, colors[name])["color"]
        categories[name] = entry
    said = [f"{_NAME}: the class {name!r} has several colours; the first is kept." for name in sorted(differing)]
    return categories, said


def _category_ids(names: Sequence[str | None], given: Mapping[str, str]) -> dict[str | None, int]:
    ids: dict[str | None, int] = {}
    for name in names:
        if name is not None and name in given:
            text = given[name]
            if not (text.isascii() and text.isdigit()):
                fix = 'Write the file like {"1": "tumour"}.'
                raise InputError(f"The category id of {name!r} is {text!r}, no whole number.", where="classes", fix=fix)
            if int(text) in ids.values():
                raise InputError(f"Two classes have the category id {text}.", where="classes")
            ids[name] = int(text)
    free = iter(number for number in range(1, 2 * len(names) + 1) if number not in set(ids.values()))
    return ids | {name: next(free) for name in names if name not in ids}


def _head(
    images: Sequence[AnnotatedImage], sizes: Sequence[tuple[int, int]], categories: Mapping[str | None, dict[str, Any]]
) -> Iterator[str]:
    entries = [
        {"id": number, "file_name": image.name, "width": width, "height": height}
        | ({} if image.mpp is None else {OWN_KEY: {"mpp": image.mpp}})
        for number, (image, (width, height)) in enumerate(zip(images, sizes, strict=True), start=1)
    ]
    yield '{"info":{"description":"Written by histoseed"},"licenses":[],"images":[\n'
    yield ",\n".join(map(_dumps, entries))
    yield '\n],"categories":[\n'
    yield ",\n".join(map(_dumps, categories.values()))
    yield '\n],"annotations":['


def _annotation(
    image: AnnotatedImage, row: int, size: tuple[int, int], options: WriteOptions
) -> tuple[dict[str, Any], bool]:
    """The fields of one object behind its ids, and whether the ones that others read hold its exact outline."""
    table = image.instances
    shape, kind = table.geometry[row], table.kind[row]
    x0, y0, x1, y1 = (float(value) for value in np.round(shape.bounds, 4) + 0.0)
    rings = shapely.get_rings(shapely.get_parts(shape))  # of a multipolygon itself it gives none
    is_box = kind == "box" and shape.equals(shapely.envelope(shape))
    crowd = table.class_name[row] == IGNORE_CLASS and kind != "point"
    as_runs = kind != "point" and not is_box and (crowd or len(rings) > shapely.get_num_geometries(shape))
    own = own_fields(table, row, outline=as_runs)
    score = own.pop("score", None)
    segmentation: list[Any] | dict[str, Any] = []
    exact = True
    if as_runs:
        where = f"image {image.name!r}, object {row}"
        runs = outline_to_runs(shape, (size[1], size[0]), where, options.settings)
        segmentation = pack_runs(runs, (size[1], size[0]))
        exact = bool(on_pixel_edges(table.geometry[row : row + 1])[0]) and int(runs[1::2].sum()) == shape.area
    elif kind != "point" and not is_box:
        segmentation = [[value for position in positions(ring) for value in position] for ring in rings]
    fields: dict[str, Any] = {
        "bbox": [x0, y0, round(x1 - x0, 4), round(y1 - y0, 4)],
        "area": round(float(shape.area), 4),
        "iscrowd": int(crowd),
        "segmentation": segmentation,
    }
    if kind == "point":
        fields |= {"keypoints": [x0, y0, _VISIBLE], "num_keypoints": 1}
    if score is not None:
        fields["score"] = score
    return fields | {OWN_KEY: own}, exact


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


FORMAT = Format(
    name=_NAME,
    about="COCO JSON with polygons and run lengths, any number of images.",
    suffixes=(".json",),
    holds=_HOLDS,
    many=True,
    sniff=_sniff,
    read=read_coco,
    write=_write,
    states=frozenset({"name", "size", "mpp"}),
)
