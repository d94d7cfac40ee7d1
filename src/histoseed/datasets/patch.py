"""One patch in memory, and a smaller patch cut out of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from histoseed.datasets.marks import Marks
from histoseed.datasets.numbering import compact_labels, label_ids
from histoseed.errors import InputError

__all__ = ["Patch", "crop_patch"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patch:
    """A picture with its outlined objects. The frame is the patch's own pixels.

    Args:
        patch_id: Unique in its data set.
        image: (H, W, 3) uint8, RGB.
        labels: (H, W) int32; 0 is background, every other value one object. Values may skip numbers.
        class_ids: (L + 1,) int32 with L the largest label: class index of each label, 0 where unclassified (and at
            labels that do not occur). ``class_ids[labels]`` is the class map.
        classes: Class names; class index k is ``classes[k - 1]``.
        mpp: Microns per pixel, None where unknown.
        mpp_source: "metadata", "user" or "unknown".
        group: What must stay on one side of a split, None where unknown.
        patient: Patient, None where unknown.
        slide: Slide, None where unknown.
        centre: Hospital or laboratory, None where unknown.
        organ: Organ, None where unknown.
        split: "train", "val", "test" or None.
        fold: Number of an official fold, None where there is none.
        exhaustive: Whether every object of the patch is annotated.
        ignore: (H, W) bool, the area that counts for nothing; None where there is none.
        regions: (H, W) uint8 map of region classes, 0 where nothing is said; None where there is none.
        region_classes: Region class names; value k of ``regions`` is ``region_classes[k - 1]``.
        x: Left border in its slide, level-0 pixels; None where unknown.
        y: Upper border in its slide, level-0 pixels; None where unknown.
        marks: Objects that have no outline: points and boxes. They are in no label image.

    Raises:
        InputError: planes of different size, or a label without an entry in ``class_ids``.
    """

    patch_id: str
    image: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int32]
    class_ids: npt.NDArray[np.int32]
    classes: tuple[str, ...] = ()
    mpp: float | None = None
    mpp_source: str = "unknown"
    group: str | None = None
    patient: str | None = None
    slide: str | None = None
    centre: str | None = None
    organ: str | None = None
    split: str | None = None
    fold: int | None = None
    exhaustive: bool = True
    ignore: npt.NDArray[np.bool_] | None = None
    regions: npt.NDArray[np.uint8] | None = None
    region_classes: tuple[str, ...] = ()
    x: float | None = None
    y: float | None = None
    marks: Marks = field(default_factory=Marks)

    def __post_init__(self) -> None:
        shape = self.image.shape[:2]
        for name in ("labels", "ignore", "regions"):
            plane = getattr(self, name)
            if plane is not None and plane.shape != shape:
                raise InputError(
                    f"{name} has shape {plane.shape}, the image {shape}.", where=f"patch {self.patch_id!r}"
                )
        if self.labels.size and int(self.labels.max()) >= len(self.class_ids):
            raise InputError(f"class_ids has no entry for label {self.labels.max()}.", where=f"patch {self.patch_id!r}")

    @property
    def label_ids(self) -> npt.NDArray[np.int64]:
        """The labels that occur, ascending, without background. Shape (N,), int64."""
        return label_ids(self.labels)


def crop_patch(patch: Patch, x: int, y: int, side: int) -> Patch:
    """A square of a patch as a patch of its own.

    Objects that the border cuts stay as their visible parts; labels become 1, 2, ... n in the old order, and the class
    ids follow. Group, mpp and the other facts are inherited; the patch id says where the crop lies. Its place in the
    slide is left open, since a patch does not know how its pixels relate to level 0.

    Args:
        patch: The patch.
        x: Left border, pixels of the patch.
        y: Upper border, pixels of the patch.
        side: Width and height, pixels of the patch.

    Raises:
        InputError: the square leaves the patch, or has no area.
    """
    height, width = patch.labels.shape
    if side < 1 or x < 0 or y < 0 or x + side > width or y + side > height:
        what = f"A crop of {side} pixels at ({x}, {y}) leaves the patch of {width} x {height} pixels."
        raise InputError(what, where=f"patch {patch.patch_id!r}")
    window = (slice(y, y + side), slice(x, x + side))
    ids, labels = compact_labels(patch.labels[window])
    return replace(
        patch,
        patch_id=f"{patch.patch_id}_x{x}_y{y}_s{side}",
        image=np.ascontiguousarray(patch.image[window]),
        labels=labels,
        class_ids=patch.class_ids[np.concatenate([[0], ids])],
        ignore=None if patch.ignore is None else patch.ignore[window].copy(),
        regions=None if patch.regions is None else patch.regions[window].copy(),
        marks=patch.marks.window(x, y, side, side),
        x=None,
        y=None,
    )
