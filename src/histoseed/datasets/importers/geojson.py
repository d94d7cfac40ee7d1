"""Import ``geojson``: images with their QuPath annotations.

Where annotations mark regions (class ``Region*`` as QuPath calls it, ``ROI``, or a class of your choice), each region
becomes a patch: every object whose centroid lies inside belongs to it, cut at the border of the crop. Without a region
the whole image is one patch. What the annotator has outlined but a patch does not own (objects whose centroid lies
beyond its border), what lies inside the crop but outside a region that is no rectangle, and objects of QuPath's class
``Ignore*`` become its *ignore* area: they count for nothing, and are not taken for background.

GeoJSON knows no boxes: a rectangle of QuPath is an outline with four corners. What is an upright rectangle becomes a
box where that was asked for, or where histoseed wrote the file. Where most outlines are such rectangles it is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations import Instances, Rectangles, read_geojson, rectangles_as_boxes
from histoseed.datasets.dataset import Dataset
from histoseed.datasets.importers.geojson_pairs import paired
from histoseed.datasets.info import DatasetInfo
from histoseed.datasets.intake.content import Collection, Item, PatchContent, Remark
from histoseed.datasets.intake.engine import OnItem, take_in
from histoseed.datasets.intake.objects import cut_shapes
from histoseed.datasets.intake.remarks import noted
from histoseed.errors import AnnotationError, InputError
from histoseed.geometry import Region, polygons_to_label
from histoseed.settings import Settings, read_settings
from histoseed.slides import Slide, open_slide, tile_grid
from histoseed.wording import counted, some

__all__ = ["IGNORE_CLASS", "REGION_CLASSES", "USAGE", "arrange", "collect", "import_geojson"]

USAGE = "IMAGE GEOJSON (or a FOLDER of both)"
"""What to name on the command line."""

arrange = paired
"""From what was named there to the arguments of :func:`collect`."""

REGION_CLASSES = ("Region*", "ROI")
"""Classes whose outlines mark what was annotated."""

IGNORE_CLASS = "Ignore*"
"""QuPath's class of what shall count for nothing."""

_REST = {"polygon": "not outlined", "box": "outside of all boxes", "point": "away from the points"}
"""What a completely annotated image shows besides its objects, where all of them are of one kind."""

Box = tuple[int, int, int, int]
Indices = npt.NDArray[np.intp]
Paths = Path | str | Sequence[Path | str]


@dataclass(frozen=True)
class _Options:
    tile: int | None
    roi_class: str | None
    exhaustive: bool
    boxes: bool
    settings: Settings


@dataclass(frozen=True)
class _Told:
    """What is said of the files when all of them were looked at."""

    remarks: list[tuple[str, Remark]] = field(default_factory=list)
    rectangles: Rectangles = field(default_factory=Rectangles)


def collect(
    image: Paths,
    geojson: Path | str | Sequence[Path | str | None],
    *,
    tile: int | None = None,
    roi_class: str | None = None,
    exhaustive: bool = True,
    boxes: bool = False,
    nucleus: bool = False,
    allow_outside: bool = False,
    name: str = "geojson",
    stain: str | None = None,
    licence: str | None = None,
    citation: str | None = None,
    settings: Settings,
) -> Collection:
    """Import one image with its annotations, or several pairs of them.

    Patches lie at the full resolution of their image; ``slide`` is the stem of the image, ``x`` and ``y`` say where.

    Args:
        image: The image or slide, or a list of them.
        geojson: Its QuPath GeoJSON, or a list of equal length; None for images that have none and are left out.
        tile: Cut regions and images into patches of at most this side, level-0 pixels. Without a region, tiles without
            an object are left out, because nothing says that they were looked at.
        roi_class: The class that marks regions, instead of ``Region*`` and ``ROI``; it must occur.
        exhaustive: Whether an image without regions is annotated completely. Regions always count as complete.
        boxes: Outlines of objects that are upright rectangles are boxes: no mask is made of them.
        nucleus: Of QuPath cells take the nucleus instead of the cell boundary.
        allow_outside: Accept outlines that leave the image, and cut them at its border.
        name: Name of the data set.
        stain: For ``dataset.json``.
        licence: For ``dataset.json``.
        citation: For ``dataset.json``.
        settings: Limits.

    Raises:
        InputError: lists of different length, two images of one stem, a tile below one pixel.
        SlideError: an image that cannot be read.
        AnnotationError: a GeoJSON that cannot be read, objects outside the image, no object, no region of
            ``roi_class``.
    """
    pairs = _pairs(image, geojson)
    if tile is not None and tile < 1:
        raise InputError(f"A tile of {tile} pixels.", where="tile", fix="Give a side in pixels, for instance 1024.")
    options = _Options(tile, roi_class, exhaustive, boxes, settings)
    items: list[Item] = []
    told = _Told()
    for picture, outlines in pairs:
        if outlines is None:
            text = "{count} {image has no GeoJSON and was|images have no GeoJSON and were} left out"
            told.remarks.append((picture.name, Remark(text, 1, "note")))
            continue
        with open_slide(picture, settings=settings) as slide:
            objects, warnings = read_geojson(
                outlines, settings=settings, size=slide.size, allow_outside=allow_outside, nucleus=nucleus
            )
            items += _items_of(slide, outlines, objects, options, told)
            told.remarks.extend((picture.name, Remark(note, kind="note")) for note in slide.notes)
            told.remarks.extend((outlines.name, noted(warning)) for warning in warnings)
    told.remarks.extend(_about_rectangles(told.rectangles, boxes=boxes))
    info = DatasetInfo(name=name, stain=stain, licence=licence, citation=citation)
    return Collection(info=info, items=items, remarks=told.remarks, open_classes=True)


def import_geojson(
    image: Paths,
    geojson: Paths,
    out: Path | str,
    *,
    mpp: float | None = None,
    source_mpp: float | None = None,
    name: str | None = None,
    overwrite: bool = False,
    settings: Settings | None = None,
    on_item: OnItem | None = None,
    **options: Any,
) -> Dataset:
    """Import one image with its annotations, or several pairs of them; see :func:`collect` and :func:`take_in`.

    Args:
        image: The image or slide, or a list of them.
        geojson: Its QuPath GeoJSON, or a list of equal length.
        out: The data-set folder to make.
        mpp: Microns per pixel of all patches: what states another is resampled, what states none is taken as given.
        source_mpp: Microns per pixel of the images, where they do not say it or say it wrong.
        name: Name of the data set; the name of ``out`` when left out.
        overwrite: Replace a data set at ``out``.
        settings: Limits; read from the environment when left out.
        on_item: Told about every patch.
        **options: Of :func:`collect`.

    Raises:
        InputError, SlideError, AnnotationError: as :func:`collect` does.
        OutputError: ``out`` is not empty, or cannot be written.
    """
    limits = read_settings() if settings is None else settings
    name = name or Path(out).resolve().name
    return take_in(
        collect(image, geojson, name=name, settings=limits, **options),
        out,
        importer="geojson",
        options={"name": name, **options},
        mpp=mpp,
        source_mpp=source_mpp,
        overwrite=overwrite,
        settings=limits,
        on_item=on_item,
    )


def _pairs(image: Paths, geojson: Path | str | Sequence[Path | str | None]) -> list[tuple[Path, Path | None]]:
    images = [Path(image)] if isinstance(image, str | Path) else [Path(one) for one in image]
    listed = [geojson] if isinstance(geojson, str | Path) else geojson
    files = [None if one is None else Path(one) for one in listed]
    if len(images) != len(files) or not images:
        raise InputError(
            f"{counted(len(images), 'image')} and {counted(len(files), 'GeoJSON file')}.",
            fix="Give one file an image, in order.",
        )
    stems = [path.stem for path in images]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise InputError(f"Two images have the stem {twice[0]!r}.", fix="Rename one: the stem names the slide.")
    return list(zip(images, files, strict=True))


@dataclass(frozen=True, slots=True)
class _Window:
    """One patch of one image.

    Args:
        picture: The image.
        box: x0, y0, x1, y1 in its pixels.
        region: Outline of the region it belongs to; None: the whole image.
        own: Its objects.
        others: Objects that it shows and that belong elsewhere.
        ignore: Outlines of what counts for nothing.
    """

    picture: Path
    box: Box
    region: Any
    own: Instances
    others: Instances
    ignore: Instances


def _about_rectangles(seen: Rectangles, *, boxes: bool) -> list[tuple[str, Remark]]:
    """Rectangles that count as outlines, or that there is none to be a box."""
    if boxes and not seen.count:
        text = "No outline is an upright rectangle, so that --boxes changes nothing"
        return [(name, Remark(text, kind="note")) for name in seen.files]
    if boxes or not seen.mostly:
        return []
    text = seen.sentence("exact outlines, of which masks are made: if they are boxes around objects, say --boxes")
    return [(name, Remark(text, count)) for name, count in seen.files.items() if count]


def _items_of(
    slide: Slide,
    outlines: Path,
    found: Instances,
    options: _Options,
    told: _Told,
) -> list[Item]:
    """The patches of one image."""
    marks = _is_region(found, options.roi_class, slide.path)
    ignored = (found.class_name == IGNORE_CLASS) & (found.kind != "point")
    objects, ignore, regions = found.select(~marks & ~ignored), found.select(ignored), found.select(marks)
    if not len(objects) and not len(regions):
        raise AnnotationError(
            "The file holds no object.", where=slide.path, fix="Export the annotations of this image."
        )
    told.rectangles.add(outlines.name, objects)
    if options.boxes:
        objects = rectangles_as_boxes(objects)
    order = np.argsort(-shapely.area(objects.geometry), kind="stable")
    objects = objects.select(order)  # small outlines lie on top of large ones
    tree, ignore_tree = shapely.STRtree(objects.geometry), shapely.STRtree(ignore.geometry)
    owned = np.zeros(len(objects), dtype=bool)
    stem = slide.path.stem
    whole = not len(regions) and options.tile is None
    items: list[Item] = []
    for box, region in _windows(slide, regions, options.tile):
        frame = shapely.box(*box)
        near: Indices = np.sort(tree.query(frame, predicate="intersects"))
        own: Indices = near[_inside(objects.centroids()[near], box, region)]
        if not len(regions) and not whole and not len(own):
            continue
        owned[own] = True
        window = _Window(
            slide.path,
            box,
            region,
            objects.select(own),
            objects.select(np.setdiff1d(near, own)),
            ignore.select(np.sort(ignore_tree.query(frame, predicate="intersects"))),
        )
        items.append(
            Item(
                patch_id=stem if whole else f"{stem}_x{box[0]}_y{box[1]}_w{box[2] - box[0]}_h{box[3] - box[1]}",
                read=partial(_read, window, options.settings),
                files=[slide.path, outlines],
                facts={
                    "x": float(box[0]),
                    "y": float(box[1]),
                    "mpp": slide.mpp,
                    "mpp_source": slide.mpp_source,
                    "slide": stem,
                    "exhaustive": options.exhaustive or region is not None,
                },
            )
        )
    if not items or not (len(regions) or owned.any()):
        raise AnnotationError("No object lies inside the image.", where=slide.path)
    if not len(regions) and options.exhaustive:
        kinds = set(objects.kind)
        rest = _REST[kinds.pop()] if len(kinds) == 1 else "not annotated"
        text = f"No region is marked, so that everything {rest} counts as background (--partial if it is not)"
        told.remarks.append((slide.path.name, Remark(text, kind="note")))
    if not owned.all():
        remark = Remark("{count} {object lies|objects lie} in no patch and {was|were} left out", int((~owned).sum()))
        told.remarks.append((slide.path.name, remark))
    return items


def _read(window: _Window, settings: Settings) -> PatchContent:
    """The pixels of a window, its objects cut at its border."""
    box = window.box
    mine = _cut(window.own, box)
    outside = _outside(mine, _cut(window.others, box), box, window.region)
    with open_slide(window.picture, settings=settings) as slide:
        image = np.asarray(slide.read(Region(box[0], box[1], box[2] - box[0], box[3] - box[1])))
    return PatchContent(
        image=image,
        objects=mine,
        ignore=outside if outside.any() else None,
        ignore_outlines=_cut(window.ignore, box),
    )


def _is_region(found: Instances, roi_class: str | None, where: Path) -> npt.NDArray[np.bool_]:
    """Which objects mark a region."""
    wanted = REGION_CLASSES if roi_class is None else (roi_class,)
    marks = np.isin(found.class_name.astype(str), wanted) & (found.kind != "point")
    if roi_class is not None and not marks.any():
        listed = some(found.classes(), 10) or "none"
        raise AnnotationError(
            f"No outline has the class {roi_class!r}.", where=where, fix=f"Its classes are: {listed}."
        )
    return np.asarray(marks, dtype=bool)


def _windows(slide: Slide, regions: Instances, tile: int | None) -> Iterator[tuple[Box, Any]]:
    """Pixel boxes x0, y0, x1, y1 inside the image, each with the region it belongs to (None: the whole image)."""
    width, height = slide.size
    areas: list[tuple[Box, Any]] = [((0, 0, width, height), None)]
    if len(regions):
        # A pixel belongs to a region when its centre does, hence the half pixel.
        edges = np.ceil(regions.bounds() - 0.5).clip(0, [width, height, width, height]).astype(int)
        areas = [((x0, y0, x1, y1), g) for (x0, y0, x1, y1), g in zip(edges.tolist(), regions.geometry, strict=True)]
    for (x0, y0, x1, y1), region in areas:
        if x1 <= x0 or y1 <= y0:
            raise AnnotationError("A region holds no pixel.", where=f"{slide.path}, region at ({x0}, {y0})")
        if tile is None:
            yield (x0, y0, x1, y1), region
            continue
        for cell in tile_grid(Region(x0, y0, x1 - x0, y1 - y0), None, tile, 0):
            left, top, right, bottom = cell.core
            yield (x0 + left, y0 + top, x0 + right, y0 + bottom), region


def _inside(centres: npt.NDArray[np.float64], box: Box, region: Any) -> npt.NDArray[np.bool_]:
    """Whose centre lies in the box, on its left or upper border included, and in the region."""
    x, y = centres[:, 0], centres[:, 1]
    inside = (x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])
    return inside if region is None else inside & np.asarray(shapely.intersects_xy(region, x, y))


def _cut(objects: Instances, box: Box) -> Instances:
    """The objects in the pixels of a crop, their outlines cut at its border; those without any area left drop out."""
    if not len(objects):
        return objects
    moved = objects.moved(-box[0], -box[1])
    window = shapely.box(0, 0, box[2] - box[0], box[3] - box[1])
    shapes = cut_shapes(moved.geometry, window)
    return replace(moved, geometry=shapes).select(~shapely.is_empty(shapes))


def _outside(mine: Instances, others: Instances, box: Box, region: Any) -> npt.NDArray[np.bool_]:
    """What a patch shows and does not own, as (H, W) bool; its own objects go before."""
    shape = (box[3] - box[1], box[2] - box[0])
    area = polygons_to_label(others.geometry[others.kind == "polygon"], shape) > 0
    if region is not None:
        shifted = shapely.transform(region, lambda xy: xy - (box[0], box[1]))
        area |= polygons_to_label([shifted], shape) == 0
    own = polygons_to_label(mine.geometry[mine.kind == "polygon"], shape) > 0
    return np.asarray(area & ~own, dtype=bool)
