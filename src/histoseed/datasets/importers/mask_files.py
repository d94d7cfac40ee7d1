"""One mask file for each object, label images that belong to a picture, empty alpha: what several data sets share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import PngImagePlugin

from histoseed.annotations import read_label_image
from histoseed.datasets.content import PatchContent, PatchFacts, Remark
from histoseed.datasets.intake.support import fuse_masks, read_rgb, stems
from histoseed.errors import DatasetError
from histoseed.settings import Settings
from histoseed.wording import some

__all__ = [
    "FactsOf",
    "MaskFolder",
    "check_masks",
    "fused_content",
    "label_plane",
    "mask_folders",
    "mask_of",
    "read_colours",
    "read_masks",
]

FactsOf = Callable[[tuple[int, int], list[Remark]], PatchFacts]
"""From the size (width, height) of an image to what is known of it; may add remarks."""


class MaskFolder(NamedTuple):
    """An image with one mask file for every nucleus.

    Attributes:
        name: Name of its folder.
        image: The picture.
        masks: The masks, sorted by name; empty where there is no folder of masks.
    """

    name: str
    image: Path
    masks: Sequence[Path]


def read_colours(path: Path, settings: Settings, remarks: list[Remark]) -> npt.NDArray[np.uint8]:
    """A PNG or TIFF as (H, W, 3) uint8 RGB, whose fourth channel may be empty.

    Some releases have a fourth channel that is 0 everywhere. Taken for opacity it leaves nothing but white, so of a
    picture that came out all white only the colours are kept.

    Raises:
        SlideError: absent, damaged, or no picture.
        LimitError: more than ``settings.max_pixels``.
    """
    said: list[Remark] = []
    picture = read_rgb(path, settings, said)
    if (picture == 255).all():
        stored = _stored(path)
        if stored.ndim == 3 and stored.shape[2] == 4 and stored.dtype == np.uint8 and not stored[..., 3].any():
            remarks.append(Remark("The fourth channel is empty and was dropped", kind="note"))
            return np.ascontiguousarray(stored[..., :3])
    remarks += said
    return picture


def _stored(path: Path) -> npt.NDArray[Any]:
    """The samples of a picture that was read before, so that its size is allowed and it is not damaged."""
    if path.suffix.lower() == ".png":
        with path.open("rb") as stream, PngImagePlugin.PngImageFile(stream) as image:
            return np.asarray(image)
    return np.asarray(tifffile.imread(path))


def label_plane(
    path: Path, shape: tuple[int, int], settings: Settings, remarks: list[Remark] | None = None
) -> npt.NDArray[np.integer]:
    """A label or mask image that must be as large as its picture.

    Args:
        path: PNG, TIFF or NPY.
        shape: Rows, columns of the picture.
        settings: Limits.
        remarks: Gets a note for every conversion; left out where the file is a mask, whose numbers mean nothing.

    Returns:
        (H, W) int32 or uint32.

    Raises:
        AnnotationError: absent, damaged, colours, fractions or negative numbers.
        DatasetError: another size than the picture.
    """
    said: list[str] = []
    plane = read_label_image(path, settings, notes=said)
    if plane.shape != shape:
        what = f"The file is {plane.shape[1]} x {plane.shape[0]} pixels, its image {shape[1]} x {shape[0]}."
        raise DatasetError(what, where=path, fix="Unpack both again; labels must not be resized.")
    if remarks is not None:
        remarks += [Remark(text.removeprefix(f"{path.name}: ").rstrip("."), kind="note") for text in said]
    return plane


def mask_of(path: Path, shape: tuple[int, int], settings: Settings) -> npt.NDArray[np.bool_]:
    """The mask of one object, (H, W) bool: true where the file is not 0.

    Raises:
        AnnotationError: absent or damaged.
        DatasetError: another size than the picture, or several values beside 0.
    """
    plane = label_plane(path, shape, settings)
    inside = plane > 0
    if not (plane[inside] == plane.max(initial=0)).all():
        fix = "Give one mask file for each nucleus; for label images use `import labels`."
        raise DatasetError("A mask holds 0 and one other value; this holds more.", where=path, fix=fix)
    return inside


def mask_folders(root: Path) -> list[MaskFolder]:
    """The folders of ``root`` that hold a folder ``images``, sorted by name.

    Raises:
        DatasetError: there is none, or one does not hold exactly one image.
    """
    folders, wrong = [], []
    for path in sorted(root.iterdir()):
        if path.name.startswith(".") or not (path / "images").is_dir():
            continue
        images = list(stems(path / "images").values())
        if len(images) != 1:
            wrong.append(path.name)
            continue
        masks = list(stems(path / "masks").values()) if (path / "masks").is_dir() else []
        folders.append(MaskFolder(path.name, images[0], masks))
    if wrong:
        raise DatasetError(f"There is not exactly one image in images/ of {some(wrong, 5)}.", where=root)
    if not folders:
        what = "There is no folder with images/ inside."
        fix = "Give the folder of <id>/images/<id>.png; for pairs of images and label images use `import labels`."
        raise DatasetError(what, where=root, fix=fix)
    return folders


def check_masks(folders: Sequence[MaskFolder], root: Path, *, fix: str = "Unpack the archive again.") -> None:
    """Refuse images without a mask.

    Args:
        folders: Images with their masks.
        root: Where they lie, for the message.
        fix: For the message.

    Raises:
        DatasetError: it names them.
    """
    without = [folder.name for folder in folders if not folder.masks]
    if without:
        raise DatasetError(f"No masks for {some(without, 5)}.", where=root, fix=fix)


def read_masks(folder: MaskFolder, settings: Settings, facts_of: FactsOf | None = None) -> PatchContent:
    """One image and its masks as a label image, 1, 2, ... in the order of the masks; later ones lie on top.

    Args:
        folder: Image and masks.
        settings: Limits.
        facts_of: What follows from the size of the image.

    Raises:
        DatasetError: a mask of another size, or with more than one value beside 0.
        SlideError: an image that cannot be read.
        AnnotationError: a mask that cannot be read.
    """
    remarks: list[Remark] = []
    picture = read_colours(folder.image, settings, remarks)
    shape = (picture.shape[0], picture.shape[1])
    facts = facts_of((shape[1], shape[0]), remarks) if facts_of else PatchFacts()
    return replace(
        fused_content(picture, (mask_of(path, shape, settings) for path in folder.masks), remarks), facts=facts
    )


def fused_content(
    picture: npt.NDArray[np.uint8], masks: Iterator[npt.NDArray[np.bool_]], remarks: list[Remark]
) -> PatchContent:
    """A picture and the masks of its objects, one (H, W) bool each; remarks on overlap and empty masks are added."""
    empty = 0

    def filled() -> Iterator[tuple[npt.NDArray[np.bool_], None]]:
        nonlocal empty
        for mask in masks:
            if mask.any():
                yield mask, None
            else:
                empty += 1

    fused = fuse_masks(filled(), (picture.shape[0], picture.shape[1]))
    if fused.pixels_lost:
        text = "Masks overlap in {count} {pixel|pixels}; the later one was taken"
        remarks.append(Remark(text, fused.pixels_lost))
    if fused.objects_lost:
        remarks.append(Remark("{count} {mask is|masks are} wholly hidden by others", fused.objects_lost))
    if empty:
        remarks.append(Remark("{count} {mask is|masks are} empty and {was|were} left out", empty))
    return PatchContent(
        image=picture,
        objects=fused.labels,
        remarks=[*remarks, *fused.remarks()],
        pixels_lost=fused.pixels_lost,
        objects_lost=fused.objects_lost,
    )
