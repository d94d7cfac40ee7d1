"""Pairs of images and label images in two folders, as StarDist and many others train from.

::

    DIR/images/<name>.tif     the image; needed beside every mask, and not read here
    DIR/masks/<name>.tif      label image of the same name: one number an object, 0 = background, numbers may skip

StarDist fills the holes of labels before it trains. Here they stay as they are, and it is said how many have some. An
image is written beside its mask where its pixels are at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely
import tifffile

from histoseed.annotations.formats.base import AnnotatedImage, Format, ReadOptions, WriteOptions
from histoseed.annotations.formats.drawing import RASTER_HOLDS, Cost, draw, drawing_losses, trace
from histoseed.annotations.formats.folders import file_stems, filled_folder
from histoseed.annotations.label_images import read_label_image, write_label_image
from histoseed.errors import AnnotationError
from histoseed.wording import Tally, agreed, some

__all__ = ["FORMAT"]

_NAME = "stardist"
_IMAGES, _MASKS = "images", "masks"
_NAMED = 5


def _sniff(path: Path) -> bool:
    return (path / _IMAGES).is_dir() and (path / _MASKS).is_dir()


def _read(path: Path, options: ReadOptions) -> tuple[list[AnnotatedImage], list[str]]:
    masks, images = _pairs(path)
    found: list[AnnotatedImage] = []
    said = [] if images else [f"{path}: there are no images beside the masks."]
    holes = 0
    for stem, mask in masks.items():
        notes: list[str] = []
        labels = read_label_image(mask, options.settings, notes=notes)
        if notes:
            what = f"A mask of StarDist holds whole numbers in one plane ({notes[0].rstrip('.')})."
            raise AnnotationError(what, where=mask, fix="Convert this file alone, with --from labels.")
        objects, more = trace(labels, options.classes, str(mask), options.settings)
        parts, row = shapely.get_parts(objects.geometry, return_index=True)
        holes += len(np.unique(row[shapely.get_num_interior_rings(parts) > 0]))
        size = (labels.shape[1], labels.shape[0])
        found.append(AnnotatedImage(images.get(stem, mask).name, size, objects))
        said += more
    if holes:
        text = "{count} {object has|objects have} holes; StarDist fills them when it trains, here they are kept."
        said.append(f"{path}: {agreed(text, holes)}")
    return found, said


def _pairs(path: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Masks and images by stem. There may be no images at all; where there is one, none may miss."""
    if not _sniff(path):
        inner = [path / name for name in ("train", "test") if _sniff(path / name)]
        fix = f"Give {inner[0]}." if inner else f"Give the folder that holds {_IMAGES}/ and {_MASKS}/."
        raise AnnotationError(f"There is no pair of folders {_IMAGES}/ and {_MASKS}/.", where=path, fix=fix)
    images, masks = _files(path / _IMAGES), _files(path / _MASKS)
    if not masks:
        raise AnnotationError("There is no mask.", where=path / _MASKS, fix="Give the folder of finished pairs.")
    if images:
        _refuse(sorted(images.keys() - masks.keys()), "{count} {image has|images have} no mask", path)
        _refuse(sorted(masks.keys() - images.keys()), "{count} {mask has|masks have} no image", path)
    return masks, images


def _files(folder: Path) -> dict[str, Path]:
    """Stem -> file; hidden files are passed over."""
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        if path.stem in files:
            what = f"{files[path.stem].name} and {path.name} have the same stem."
            raise AnnotationError(what, where=folder, fix="Keep one of them.")
        files[path.stem] = path
    return files


def _refuse(stems: Sequence[str], what: str, path: Path) -> None:
    if stems:
        fix = "Both folders hold files of the same names."
        raise AnnotationError(f"{agreed(what, len(stems))}: {some(stems, _NAMED)}.", where=path, fix=fix)


def _write(path: Path, images: Sequence[AnnotatedImage], options: WriteOptions) -> list[str]:
    stems = file_stems([image.name for image in images])
    costs: list[Cost] = []
    with filled_folder(path, overwrite=options.overwrite) as stage:
        for folder in (_IMAGES, _MASKS):
            (stage / folder).mkdir()
        for stem, image in zip(stems, images, strict=True):
            labels, cost = draw(_NAME, image, options)
            costs.append(cost)
            write_label_image(stage / _MASKS / f"{stem}.tif", labels)
            if image.pixels is not None:
                _write_image(stage / _IMAGES / f"{stem}.tif", image.pixels())
    said = drawing_losses(_NAME, images, costs)
    without = sum(image.pixels is None for image in images)
    if without:
        text = "{count} {image is|images are} not at hand; put {it|them} in images/, named like the masks."
        said.append(Tally(f"{_NAME}: {text}", without))
    return said


def _write_image(path: Path, pixels: npt.NDArray[np.uint8]) -> None:
    tifffile.imwrite(path, pixels, photometric="rgb", compression="zlib", metadata=None, software=False)


FORMAT = Format(
    name=_NAME,
    about="Folders images/ and masks/ with label images of equal names, as StarDist trains from.",
    suffixes=(),
    holds=RASTER_HOLDS,
    many=True,
    sniff=_sniff,
    read=_read,
    write=_write,
    states=frozenset({"size"}),
)
