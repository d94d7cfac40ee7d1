"""``convert``: annotations from one format to another, or out of a data set; whatever is lost on the way is said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from histoseed.annotations import Instances, Rectangles, rectangles_as_boxes
from histoseed.annotations.formats import (
    FORMATS,
    IGNORE_CLASS,
    AnnotatedImage,
    Format,
    ReadOptions,
    WriteOptions,
    detect,
    file_stems,
    filled_folder,
    format_of_name,
    named_format,
)
from histoseed.annotations.json_files import read_json
from histoseed.datasets.importers.geojson import REGION_CLASSES
from histoseed.datasets.intake.remarks import Remarks, noted
from histoseed.errors import InputError, OutputError
from histoseed.geometry import Region
from histoseed.settings import Settings, read_settings
from histoseed.slides import open_slide
from histoseed.wording import Tally, added_up, agreed, some
from histoseed.workflows.dataset_objects import is_dataset, read_patches

__all__ = ["convert"]

_DATASET = "dataset"
"""What the result calls a source that is no annotation file but a data set."""

_BEYOND = 0.5
"""Pixels that an object may reach out of its image without a word."""


def convert(
    source: Path | str,
    out: Path | str,
    *,
    source_format: str | None = None,
    out_format: str | None = None,
    size: tuple[int, int] | None = None,
    image: Path | str | None = None,
    classes: Path | str | None = None,
    boxes: bool = False,
    overwrite: bool = False,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Read annotations and write them in another format.

    Args:
        source: A file or folder of any format, a folder of files of one format, or a data set.
        out: The file to write. Of a format that holds one image a file, it is a folder with a file for each image,
            unless its name has a suffix of the format.
        source_format: Name of the format of ``source``; recognised when left out.
        out_format: Name of the format to write; taken from the suffix of ``out`` when left out.
        size: Width and height of the images, where the format does not state them.
        image: The one image that is annotated; its name, size and microns per pixel are taken.
        classes: JSON file ``{"key": "class name"}`` for formats that hold numbers.
        boxes: Outlines of objects that are upright rectangles are boxes.
        overwrite: Replace a file, or a folder in which every file gets a successor.
        settings: Limits; read from the environment when left out.

    Returns:
        JSON values: ``source``, ``from``, ``out``, ``to``; ``images``: a row each with ``name``, ``file``, ``width``,
        ``height``, ``mpp``, ``objects``, ``polygons``, ``boxes``, ``points``, ``classes`` (objects by class name) and
        ``unclassified``; ``objects``: their sum; ``notes``: what reading changed or left out; ``losses``: what the
        format written cannot hold.

    Raises:
        InputError: no such file, no or several formats fit, contradicting sizes, no image.
        AnnotationError: an annotation file that cannot be read.
        DatasetError: a data set that breaks the common format.
        SlideError: ``image`` cannot be read.
        LimitError: something above the settings.
        OutputError: ``out`` exists, holds other things, or cannot be written; nothing is written then.
    """
    source, out = Path(source), Path(out)
    settings = read_settings() if settings is None else settings
    wanted = named_format(out_format, "--to") if out_format is not None else format_of_name(out, "--to")
    inputs = [source, *(Path(path) for path in (image, classes) if path is not None)]
    _check_place(out, inputs)
    names = {} if classes is None else _read_classes(Path(classes), settings)
    pictured = None if image is None else _picture(Path(image), settings)
    size = _agreed(size, pictured)
    read = ReadOptions(settings=settings, size=size, classes=names)
    found, images, notes = _read(source, source_format, read)
    if not images:
        raise InputError("The source holds no image.", where=source)
    images = _completed(images, size, pictured, source)
    drawn = found != _DATASET and "box" in FORMATS[found].holds
    images, told = _boxed(images, boxes=boxes, drawn=drawn)
    notes += [*told, *_unmet(names, images), *_outside(images)]
    keys: dict[str, str] = {}
    for key, name in names.items():
        keys.setdefault(name, key)
    options = WriteOptions(overwrite=overwrite, classes=keys, settings=settings)
    several = found == _DATASET or source.is_dir() or FORMATS[found].many
    files, losses = _write(out, wanted, images, options, several=several)
    rows = [_row(one, file) for one, file in zip(images, files, strict=True)]
    return {
        "source": str(source),
        "from": found,
        "out": str(out),
        "to": wanted.name,
        "images": rows,
        "objects": sum(row["objects"] for row in rows),
        "notes": notes,
        "losses": [*losses, *_unstated(wanted, images)],
    }


def _check_place(out: Path, inputs: Iterable[Path]) -> None:
    """What is read is not written over.

    Raises:
        OutputError: it would be.
    """
    for path in inputs:
        if path.resolve().is_relative_to(out.resolve()):
            where = "is the source" if path.resolve() == out.resolve() else "holds the source"
            raise OutputError(f"The place to write to {where} {path}.", where=out, fix="Choose another place.")


def _read_classes(path: Path, settings: Settings) -> dict[str, str]:
    value = read_json(path, max_bytes=settings.max_geojson_bytes)
    good = isinstance(value, dict) and all(isinstance(name, str) and name for name in value.values())
    if not good or not value:
        fix = 'Write it like {"1": "tumour", "2": "stroma"}.'
        raise InputError("The file must hold one object of keys and class names.", where=path, fix=fix)
    return {str(key): str(name) for key, name in value.items()}


def _picture(path: Path, settings: Settings) -> AnnotatedImage:
    """Name, size and microns per pixel of an image, without objects; its pixels are read when they are asked for."""

    def pixels() -> Any:
        with open_slide(path, settings=settings) as slide:
            return slide.read(Region(0, 0, *slide.size))

    with open_slide(path, settings=settings) as slide:
        return AnnotatedImage(path.name, slide.size, Instances.empty(), slide.mpp, pixels)


def _agreed(size: tuple[int, int] | None, pictured: AnnotatedImage | None) -> tuple[int, int] | None:
    if size is not None and min(size) < 1:
        raise InputError(f"An image of {size[0]} x {size[1]} pixels.", where="--size", fix="Give W,H in pixels.")
    if pictured is None or pictured.size is None:
        return size
    if size not in (None, pictured.size):
        what = f"The image has {pictured.size[0]} x {pictured.size[1]} pixels."
        raise InputError(what, where="--size", fix="Leave --size out where --image is given.")
    return pictured.size


def _read(source: Path, name: str | None, options: ReadOptions) -> tuple[str, list[AnnotatedImage], list[str]]:
    """Name of the format, the images, and what the user should know about reading them."""
    given = None if name is None else named_format(name, "--from")
    if given is None and is_dataset(source):
        images, notes = read_patches(source, options.settings)
        return _DATASET, images, notes
    if source.is_dir() and not any(one.sniff(source) for one in ([given] if given else FORMATS.values())):
        return _read_files(source, given, options)
    found = given or detect(source)
    images, notes = found.read(source, options)
    return found.name, images, notes


def _read_files(
    folder: Path, given: Format | None, options: ReadOptions
) -> tuple[str, list[AnnotatedImage], list[str]]:
    """All files of one format in a folder; files that no format has are passed over, and it is said."""
    if given is not None and not given.endings:
        raise InputError(f"The folder does not look like the format {given.name}.", where=folder)
    suffixes = given.endings if given else tuple(suffix for one in FORMATS.values() for suffix in one.endings)
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    mine = [path for path in files if path.name.lower().endswith(suffixes)]
    if not mine:
        fix = f"Files of this format end in {', '.join(sorted(set(suffixes)))}."
        raise InputError("The folder holds no annotation file.", where=folder, fix=fix)
    formats = {path: given or detect(path) for path in mine}
    names = sorted({one.name for one in formats.values()})
    if len(names) > 1:
        what = f"The folder holds files of several formats: {', '.join(names)}."
        raise InputError(what, where=folder, fix="Say which to read with --from FORMAT.")
    images: list[AnnotatedImage] = []
    others = len(files) - len(mine)
    notes = [f"{folder}: {agreed('{count} other {file was|files were} passed over.', others)}"] if others else []
    remarks = Remarks("file")
    for path, one in formats.items():
        more, said = one.read(path, options)
        images += more
        for remark in map(noted, said):
            remarks.add(remark.text, path.name, remark.count)
    return names[0], images, [*notes, *remarks.sentences()]


def _completed(
    images: Sequence[AnnotatedImage], size: tuple[int, int] | None, pictured: AnnotatedImage | None, source: Path
) -> list[AnnotatedImage]:
    """The images with what the user said about them, where they do not say it themselves.

    Raises:
        InputError: they say something else, or the user named one image and there are several.
    """
    if pictured is not None and len(images) > 1:
        what = f"There are {len(images):,} images in it, and --image names one."
        raise InputError(what, where=source, fix="Leave --image out, or convert the images one by one.")
    for one in images:
        if size is not None and one.size not in (None, size):
            stated = f"{one.size[0]} x {one.size[1]}" if one.size else ""
            what = f"The source says that the image {one.name!r} has {stated} pixels, not {size[0]} x {size[1]}."
            raise InputError(what, where=source, fix="Give the right image, or leave its size out.")
    out = [replace(one, size=one.size or size) for one in images]
    if pictured is not None:
        mpp = out[0].mpp if pictured.mpp is None else pictured.mpp
        out = [replace(out[0], name=pictured.name, mpp=mpp, pixels=pictured.pixels)]
    return out


def _boxed(images: Sequence[AnnotatedImage], *, boxes: bool, drawn: bool) -> tuple[list[AnnotatedImage], list[str]]:
    """The images with their rectangles as boxes where that was asked for; else a sentence where most are rectangles.

    Masks of pixels (``drawn`` is false) are what they are, whatever they look like: nothing is said about them.
    """
    seen = Rectangles()
    out = []
    for one in images:
        table = one.instances
        marks_area = np.isin(table.class_name.astype(str), (*REGION_CLASSES, IGNORE_CLASS))
        seen.add(one.name, table.select(~marks_area))
        out.append(replace(one, instances=rectangles_as_boxes(table, marks_area)) if boxes else one)
    if boxes:
        return out, [] if seen.count else ["No outline is an upright rectangle, so that --boxes changes nothing."]
    text = seen.sentence("outlines: if they are boxes around objects, say --boxes")
    return out, [f"{agreed(text, seen.count)}."] if drawn and seen.mostly else []


def _unmet(names: Mapping[str, str], images: Sequence[AnnotatedImage]) -> list[str]:
    """A sentence where keys of ``--classes`` stand for nothing in the source.

    Raises:
        InputError: none stands for anything, so that the file was given in vain.
    """
    met = {name for one in images for name in one.instances.classes()}
    unmet = [key for key, name in names.items() if name not in met]
    if unmet and len(unmet) == len(names) and any(len(one.instances) for one in images):
        there = f"Its classes are {some(sorted(met), 5)}." if met else "Its objects have no class."
        fix = f"{there} Keys are terms, category ids or labels; names that the source holds itself are kept."
        raise InputError(
            f"No object is of the {agreed('{key|keys}', len(unmet))} {some(unmet, 5)}.", where="--classes", fix=fix
        )
    text = "No object is of the {key|keys} "
    return [f"{agreed(text, len(unmet))}{some(unmet, 5)} of --classes."] if unmet and len(unmet) < len(names) else []


def _outside(images: Sequence[AnnotatedImage]) -> list[str]:
    """A sentence where objects reach out of their images."""
    count = 0
    for one in images:
        if one.size is not None and len(one.instances):
            x0, y0, x1, y1 = one.instances.bounds().T
            width, height = one.size
            over = (x0 < -_BEYOND) | (y0 < -_BEYOND) | (x1 > width + _BEYOND) | (y1 > height + _BEYOND)
            count += int(over.sum())
    text = "{count} {object reaches out of its|objects reach out of their} image; is it the right one?"
    return [agreed(text, count)] if count else []


def _write(
    out: Path, wanted: Format, images: Sequence[AnnotatedImage], options: WriteOptions, *, several: bool
) -> tuple[list[str], list[str]]:
    """The file of each image, and what was lost."""
    if wanted.many:
        return [str(out)] * len(images), wanted.write(out, images, options)
    if out.name.lower().endswith(wanted.endings):
        if len(images) > 1:
            what = f"A {wanted.name} file holds one image, and there are {len(images):,}."
            raise InputError(what, where=out, fix="Name a folder; it gets a file for each image.")
        return [str(out)], wanted.write(out, images, options)
    if out.suffix and not several:
        raise InputError(
            f"A {wanted.name} file is not called {out.suffix}.",
            where=out,
            fix=f"Let its name end in one of {', '.join(wanted.endings)}; a name without suffix is a folder.",
        )
    names = [f"{stem}{wanted.file_suffix}" for stem in file_stems([one.name for one in images])]
    said: list[str] = []
    with filled_folder(out, overwrite=options.overwrite) as stage:
        for name, one in zip(names, images, strict=True):
            said += wanted.write(stage / name, [one], options)
    return [str(out / name) for name in names], added_up(said)


def _unstated(wanted: Format, images: Sequence[AnnotatedImage]) -> list[str]:
    """What the format does not say about the images."""
    known = sum(one.mpp is not None for one in images)
    if not known or "mpp" in wanted.states:
        return []
    return [Tally(f"{wanted.name}: the microns per pixel of {{count}} {{image|images}} are not kept.", known)]


def _row(one: AnnotatedImage, file: str) -> dict[str, Any]:
    table = one.instances
    kinds: Mapping[str, int] = {kind: int((table.kind == kind).sum()) for kind in ("polygon", "box", "point")}
    classes = {name: int((table.class_name == name).sum()) for name in table.classes()}
    return {
        "name": one.name,
        "file": file,
        "width": one.size[0] if one.size else None,
        "height": one.size[1] if one.size else None,
        "mpp": one.mpp,
        "objects": len(table),
        "polygons": kinds["polygon"],
        "boxes": kinds["box"],
        "points": kinds["point"],
        "classes": classes,
        "unclassified": len(table) - sum(classes.values()),
    }
