"""Objects of a file or table as prompts: points are clicked, boxes drawn, crude outlines refined."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations import Instances
from histoseed.annotations.formats import ReadOptions, detect
from histoseed.errors import InputError, LimitError
from histoseed.geometry import Region, polygons_to_label
from histoseed.prompting import MaskPrompt, Prompt
from histoseed.settings import read_settings
from histoseed.wording import counted

__all__ = ["USES", "Use", "labels_of", "prompts_of", "read_objects"]

Use = Literal["box", "mask", "box+mask"]
USES: tuple[Use, ...] = ("box", "mask", "box+mask")
"""What of an outline is told to the model."""

_SURE = 4.0
"""Logit of a pixel of a crude outline: rather sure, not certain."""
_MADE = 5
"""Version of the UUIDs that readers make for objects without one."""
_SIDE = 256
"""Longest side of the array that an outline is drawn on."""


def read_objects(path: Path, size: tuple[int, int]) -> tuple[Instances, list[str]]:
    """The objects of an annotation file of any format, and sentences about what reading changed.

    Args:
        path: One image's annotations.
        size: Width and height of the slide, for formats that do not state it.

    Raises:
        InputError: no such file, no format fits, several images, a picture of another size, or no object.
        AnnotationError: a damaged file.
    """
    settings = read_settings()
    found = detect(path)
    images, notes = found.read(path, ReadOptions(settings=settings, size=size))
    if len(images) != 1:
        what = f"The file holds {counted(len(images), 'image')}."
        raise InputError(what, where=path, fix="Give the objects of one image.")
    stated, objects = images[0].size, images[0].instances
    if stated is not None and tuple(stated) != tuple(size):
        what = f"The file is of a picture of {stated[0]} x {stated[1]} pixels, and the slide has {size[0]} x {size[1]}."
        fix = "Give the objects of this slide, in its level-0 pixels."
        raise InputError(what, where=path, fix=fix)
    if not len(objects):
        what = " ".join(["The file holds no object that could be a prompt.", *notes])
        raise InputError(what, where=path, fix="Draw boxes, points or crude outlines first.")
    if len(objects) > settings.max_prompts:
        what = f"{len(objects):,} prompts are more than max_prompts = {settings.max_prompts:,}."
        raise LimitError(what, where=path, fix="Split the file, or raise HISTOSEED_MAX_PROMPTS.")
    return objects, notes


def labels_of(objects: Instances, path: Path) -> list[str]:
    """How errors name the objects of a file: the file, their number in it, and an id or a name that stands there.

    Args:
        objects: As they were read.
        path: Of the file.
    """
    labels = []
    for number, (name, texts) in enumerate(zip(objects.id, objects.texts, strict=True), 1):
        known = texts or {}
        called = [repr(known[key]) for key in ("id", "name") if key in known]
        if "id" not in known and not _made_up(name):
            called.insert(0, name)
        told = f" ({', '.join(called)})" if called else ""
        labels.append(f"{path}, object {number} of {len(objects)}{told}")
    return labels


def _made_up(name: str) -> bool:
    """Whether an id may have been made while reading: those have version 5."""
    try:
        return uuid.UUID(name).version == _MADE
    except ValueError:
        return False


def prompts_of(objects: Instances, use: Use = "box") -> list[Prompt]:
    """One prompt an object, under its id.

    Args:
        objects: Points become positive points, boxes boxes; of outlines ``use`` says what is told.
        use: The tight box, the outline as a rough mask, or both.
    """
    return [
        _prompt(geometry, str(kind), str(name), use)
        for geometry, kind, name in zip(objects.geometry, objects.kind, objects.id, strict=True)
    ]


def _prompt(geometry: shapely.Geometry, kind: str, name: str, use: Use) -> Prompt:
    if kind == "point":
        return Prompt(positive=np.array([[geometry.x, geometry.y]]), id=name)
    x0, y0, x1, y1 = (float(v) for v in geometry.bounds)
    box = (x0, y0, x1, y1)
    if kind == "box" or use == "box":
        return Prompt(box=box, id=name)
    return Prompt(box=box if use == "box+mask" else None, mask=_mask(geometry, box), id=name)


def _mask(geometry: shapely.Geometry, box: tuple[float, float, float, float]) -> MaskPrompt:
    """An outline as logits on a rectangle with a rim around its box."""
    x0, y0, x1, y1 = box
    rim = 2 + 0.25 * max(x1 - x0, y1 - y0)
    region = Region(x0 - rim, y0 - rim, x1 - x0 + 2 * rim, y1 - y0 + 2 * rim)
    step = max(1.0, max(region.width, region.height) / _SIDE)
    shape = (max(1, round(region.height / step)), max(1, round(region.width / step)))
    scale = (shape[1] / region.width, shape[0] / region.height)
    placed = shapely.transform(geometry, lambda xy: (xy - (region.x, region.y)) * scale)
    inside: npt.NDArray[np.bool_] = polygons_to_label([placed], shape) > 0
    return MaskPrompt(np.where(inside, _SURE, -_SURE).astype(np.float32), region)
