"""One window an annotation: a look at each object, however large or small, with its surroundings.

The window is the box of the annotation, made square, enlarged by a factor, centred, and shifted into the slide. It is
only smaller where the slide itself is, and never padded. It is resampled so that its longer side has at most a given
number of pixels, and never enlarged; the resolution follows.

Of everything that is annotated in the window, what lies in it as a whole is an object. What its border cuts is no
object, because half an outline is a wrong one, and no background either: it becomes ignore area, as far as no object
lies on it. The object that the window is about has the measurement ``window_centre`` = 1. Objects keep their ids, so
that an object in two windows is known to be one object.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations import Instances, Rectangles
from histoseed.annotations.formats import IGNORE_CLASS
from histoseed.datasets.barcodes import tcga
from histoseed.datasets.content import PatchContent, PatchFacts, Remark
from histoseed.datasets.info import DatasetInfo
from histoseed.datasets.intake.content import Collection, Item
from histoseed.datasets.intake.objects import clipped
from histoseed.datasets.near_names import nearest
from histoseed.datasets.window_sources import Annotated, Sheet, Shelf, annotated_slides
from histoseed.errors import AnnotationError, InputError
from histoseed.geometry import MPP_RANGE, Region, known_mpp, polygons_to_label
from histoseed.settings import Settings
from histoseed.slides import open_slide

__all__ = ["REGION_CLASSES", "Window", "collect_windows", "window_around"]

REGION_CLASSES = ("Region*", "ROI")
"""Classes that mark what was looked at; they are no objects unless they are asked for."""

_UNIT = MPP_RANGE[0]
"""Resolution that slides are given for reading, so that windows are resampled alike whether it is known or not."""


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of a slide.

    Args:
        x: Left border, level-0 pixels.
        y: Upper border.
        width: Level-0 pixels.
        height: Level-0 pixels.
        scale: Level-0 pixels along one pixel of the window as it is kept, at least 1.
    """

    x: int
    y: int
    width: int
    height: int
    scale: float


def window_around(bounds: Sequence[float], slide: tuple[int, int], *, dezoom: float = 2.0, size: int = 1024) -> Window:
    """The window of one annotation.

    Args:
        bounds: x0, y0, x1, y1 of the annotation, level-0 pixels, inside the slide. Of a point, whose box has no
            extent, the window is ``size`` level-0 pixels large.
        slide: Width and height of the slide.
        dezoom: Side of the window through the longer side of the box, at least 1.
        size: Most pixels of the longer side of the window.

    >>> window_around((100, 200, 140, 220), (1000, 1000), dezoom=2, size=40)
    Window(x=80, y=170, width=80, height=80, scale=2.0)
    >>> window_around((0, 0, 10, 10), (1000, 15), dezoom=2)
    Window(x=0, y=0, width=20, height=15, scale=1.0)
    """
    x0, y0, x1, y1 = bounds
    extent = max(x1 - x0, y1 - y0) * dezoom or float(size)
    sides = [(math.floor((a + b - extent) / 2), math.ceil((a + b + extent) / 2)) for a, b in ((x0, x1), (y0, y1))]
    side = max(high - low for low, high in sides)
    width, height = min(side, slide[0]), min(side, slide[1])
    x, y = (
        min(max(0, low - (side - (high - low)) // 2), whole - part)
        for (low, high), whole, part in zip(sides, slide, (width, height), strict=True)
    )
    return Window(x, y, width, height, max(1.0, max(width, height) / size))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    dezoom: float
    size: int
    classes: tuple[str, ...]
    leave_out: tuple[str, ...]


def collect_windows(
    slides: Path,
    annotations: Path,
    *,
    name: str = "windows",
    dezoom: float = 2.0,
    size: int = 1024,
    classes: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    exhaustive: bool = False,
    mpp: float | None = None,
    format_name: str | None = None,
    boxes: bool = False,
    settings: Settings,
) -> Collection:
    """Look through slides and annotations: one item an annotation that gets a window; no pixels are read.

    Args:
        slides: A slide, or a folder of slides.
        annotations: A file of annotations, or a folder of them, in any format; they belong to slides by their names.
        name: Name of the data set.
        dezoom: Side of a window through the longer side of the annotation's box, at least 1.
        size: Most pixels of the longer side of a window.
        classes: Only objects of these classes get a window; all by default, but marks of regions and ignore areas.
        leave_out: Objects of these classes are not there at all: areas, for instance, in which objects lie.
        exhaustive: Whether every object in the windows is annotated.
        mpp: Microns per pixel of the slides, where they do not say it or say it wrong.
        format_name: Format of the annotations; None: each file says it by what it holds.
        boxes: Outlines of objects that are upright rectangles are boxes.
        settings: Limits.

    Raises:
        InputError: a factor or size out of range, no such class, slides and annotations that do not belong together.
        SlideError: a slide that cannot be opened.
        AnnotationError: annotations that cannot be read, or none that gets a window.
    """
    if not math.isfinite(dezoom) or dezoom < 1:
        raise InputError(f"A factor of {dezoom}.", where="--dezoom", fix="Give 1 or more; 2 shows as much around.")
    if size < 16:
        raise InputError(f"Windows of {size} pixels.", where="--size", fix="Give 16 or more.")
    if mpp is not None and known_mpp(mpp) is None:
        raise InputError(f"{mpp} microns per pixel is outside {MPP_RANGE[0]} to {MPP_RANGE[1]}.", where="--mpp")
    options = _Options(dezoom=dezoom, size=size, classes=tuple(classes), leave_out=tuple(leave_out))
    shelf = Shelf(settings, format_name, outlines_only=(*REGION_CLASSES, IGNORE_CLASS) if boxes else None)
    pairs, sentences = annotated_slides(slides, annotations, shelf, settings)
    remarks: list[tuple[str, Remark]] = []
    items: list[Item] = []
    seen: set[str] = set()
    rectangles = Rectangles()
    for one in pairs:
        with open_slide(one.slide, mpp=mpp, settings=settings) as slide:
            facts = _facts(one.slide.stem, slide.mpp, slide.mpp_source)
        sheet = shelf.sheet(one)
        seen |= set(sheet.objects.classes())
        rectangles.add(one.slide.name, sheet.objects.select(~_no_object(sheet.objects, options)))
        remarks += [(one.slide.name, remark) for remark in sheet.remarks]
        items += _items(one, sheet, shelf, options, {**facts, "exhaustive": exhaustive})
    for asked in (*classes, *leave_out):
        if asked not in seen:
            raise InputError(f"No object has the class {asked!r}.", where=annotations, fix=nearest(asked, sorted(seen)))
    if not items:
        raise AnnotationError("No object gets a window.", where=annotations, fix="Look at the classes and names.")
    if rectangles.mostly:
        told = rectangles.sentence("exact outlines: if they are boxes around objects, say --boxes")
        remarks += [(name, Remark(told, count)) for name, count in rectangles.files.items() if count]
    note = f"One window an object, {dezoom:g} times as large as its box, at most {size} pixels."
    info = DatasetInfo(name=name, notes=(note, *sentences))
    return Collection(info=info, items=items, remarks=remarks, open_classes=True)


def _facts(stem: str, mpp: float | None, mpp_source: str) -> PatchFacts:
    """What the slide says about its windows; the mpp is that of level 0."""
    code = tcga(stem)
    facts = PatchFacts(slide=stem, mpp=mpp, mpp_source=mpp_source)
    return facts if code is None else PatchFacts(**facts, patient=code.patient, centre=code.centre)


def _items(one: Annotated, sheet: Sheet, shelf: Shelf, options: _Options, facts: PatchFacts) -> list[Item]:
    """The windows of one slide, in the order of its annotations."""
    names = sheet.objects.class_name
    wanted = np.isin(names.astype(str), options.classes) if options.classes else ~_no_object(sheet.objects, options)
    wanted &= ~np.isin(names.astype(str), options.leave_out)
    bounds = sheet.objects.bounds()
    items = []
    for row in np.flatnonzero(wanted):
        window = window_around(bounds[row].tolist(), one.size, dezoom=options.dezoom, size=options.size)
        level = facts["mpp"]
        mpp = None if level is None else known_mpp(level * window.scale)
        own = PatchFacts(x=float(window.x), y=float(window.y), mpp=mpp, mpp_source=facts["mpp_source"])
        items.append(
            Item(
                patch_id=f"{one.slide.stem}_{sheet.objects.id[row]}",
                read=partial(_read, one, int(row), window, shelf, options),
                files=[one.slide, one.file],
                facts=PatchFacts(**{**facts, **own}),
            )
        )
    return items


def _no_object(objects: Instances, options: _Options) -> npt.NDArray[np.bool_]:
    """Marks of regions and of ignore areas, unless they are asked for."""
    marks = [name for name in (*REGION_CLASSES, IGNORE_CLASS) if name not in options.classes]
    return np.isin(objects.class_name.astype(str), marks)


def _read(one: Annotated, row: int, window: Window, shelf: Shelf, options: _Options) -> PatchContent:
    """The pixels of one window with everything annotated in it."""
    region = Region(window.x, window.y, window.width, window.height, _UNIT * window.scale)
    with shelf.slide(one.slide, _UNIT) as slide:
        image = np.asarray(slide.read(region))
    sheet = shelf.sheet(one)
    frame = shapely.box(window.x, window.y, window.x + window.width, window.y + window.height)
    near = np.sort(sheet.tree.query(frame, predicate="intersects"))
    near = near[~np.asarray(shapely.touches(frame, sheet.objects.geometry[near])) | (near == row)]
    near = near[~np.isin(sheet.objects.class_name[near].astype(str), options.leave_out)]
    ignored = sheet.objects.class_name[near] == IGNORE_CLASS
    if IGNORE_CLASS in options.classes:
        ignored[:] = False
    marks = _no_object(sheet.objects, options)[near] & ~ignored
    whole = np.asarray(shapely.covers(frame, sheet.objects.geometry[near])) | (near == row)
    own = _drawn_order(_marked(sheet.objects, near[whole & ~ignored & ~marks], row))
    size = (image.shape[1], image.shape[0])
    inside = _in_window(own, window, size)
    cut = _in_window(sheet.objects.select(near[~whole & ~ignored & ~marks]), window, size)
    area = _pixels(cut, size) & ~_pixels(inside, size)
    text = (
        "{count} {object is cut by the border of its window and lies|objects are cut by the border of their "
        "window and lie} in its ignore area"
    )
    return PatchContent(
        image=image,
        objects=inside,
        ignore=area if area.any() else None,
        ignore_outlines=_in_window(sheet.objects.select(near[ignored]), window, size),
        remarks=[Remark(text, len(cut), "note")] if len(cut) else [],
    )


def _marked(objects: Instances, rows: npt.NDArray[np.intp], centre: int) -> Instances:
    """Some objects, of which one is what the window is about."""
    some = objects.select(rows)
    measurements = some.measurements.copy()
    for at in np.flatnonzero(rows == centre):
        measurements[at] = {**measurements[at], "window_centre": 1.0}
    return replace(some, measurements=measurements)


def _drawn_order(objects: Instances) -> Instances:
    """Large objects first: what lies on top of others stays visible in the label image."""
    area = shapely.area(objects.geometry)
    return objects.select(np.argsort(-area, kind="stable"))


def _in_window(objects: Instances, window: Window, size: tuple[int, int]) -> Instances:
    """Objects in the pixels of a window, cut at its border."""
    moved = objects.moved(-window.x / window.scale, -window.y / window.scale, 1 / window.scale)
    return clipped(moved, size)[0]


def _pixels(objects: Instances, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Pixels of outlines and boxes, (H, W) bool."""
    return polygons_to_label(objects.geometry[objects.kind != "point"], (size[1], size[0])) > 0
