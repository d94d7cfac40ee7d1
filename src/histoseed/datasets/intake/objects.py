"""Steps that several importers share: pictures, classes by vote, stacks of masks, outlines at the border."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations import Instances
from histoseed.datasets.intake.content import Remark
from histoseed.datasets.numbering import compact_labels
from histoseed.errors import DatasetError
from histoseed.geometry import Region, make_outlines_valid
from histoseed.settings import Settings
from histoseed.slides import open_slide
from histoseed.wording import some

__all__ = [
    "Fused",
    "class_by_majority",
    "class_codes",
    "clipped",
    "cut_shapes",
    "falls_apart",
    "fuse_masks",
    "outlines",
    "read_rgb",
]


def read_rgb(path: Path, settings: Settings, remarks: list[Remark]) -> npt.NDArray[np.uint8]:
    """A whole picture as (H, W, 3) uint8 RGB; alpha, grey, palette and 16 bit are converted, with a remark.

    Raises:
        SlideError: absent, damaged, or no picture.
        LimitError: more than ``settings.max_pixels``.
    """
    with open_slide(path, settings=settings) as slide:
        image = np.asarray(slide.read(Region(0, 0, *slide.size)))
        remarks.extend(Remark(note.rstrip("."), kind="note") for note in slide.notes)
    return image


def class_codes(values: npt.NDArray[np.integer], names: Mapping[int, str | None], where: object) -> None:
    """Check that every code in use has a name, None included.

    Raises:
        DatasetError: codes without a name.
    """
    unknown = [int(v) for v in np.unique(values) if int(v) not in names]
    if unknown:
        what = f"Class code {some(map(str, unknown), 5)} is not known."
        fix = f"Known are {', '.join(f'{k} ({v})' for k, v in names.items())}; is this another release?"
        raise DatasetError(what, where=where, fix=fix)


def class_by_majority(
    labels: npt.NDArray[np.integer], types: npt.NDArray[np.integer], names: Mapping[int, str | None], where: object
) -> tuple[dict[int, str | None], list[Remark]]:
    """Label -> class name by the vote of its pixels.

    Args:
        labels: (H, W), 0 is background.
        types: (H, W), class code of every pixel; code 0 and codes whose name is None do not vote.
        names: Code -> class name.
        where: The file, for messages.

    Returns:
        The class of every label, None without a vote; remarks about mixed, tied and classless objects. Of equally
        frequent codes the smallest wins.

    Raises:
        DatasetError: a code without a name.
    """
    numbers = np.unique(types)
    class_codes(numbers, {0: None, **names}, where)
    ids, compact = compact_labels(labels)
    pair = compact.ravel().astype(np.int64) * len(numbers) + np.searchsorted(numbers, types).ravel()
    votes = np.bincount(pair, minlength=(len(ids) + 1) * len(numbers)).reshape(-1, len(numbers))[1:]
    votes[:, [n == 0 or names.get(int(n)) is None for n in numbers]] = 0
    winner, most = numbers[votes.argmax(axis=1)], votes.max(axis=1, initial=0)
    tied = ((votes == most[:, None]).sum(axis=1) > 1) & (most > 0)
    mixed = (votes > 0).sum(axis=1) > 1
    remarks = [
        Remark(text, int(rows.sum()))
        for rows, text in (
            (mixed, "{count} {object holds|objects hold} pixels of several classes; the most frequent one was taken"),
            (tied, "{count} {object holds|objects hold} as many pixels of two classes; the smaller number was taken"),
            (most == 0, "{count} {object holds|objects hold} no pixel of a class and {stays|stay} unclassified"),
        )
        if rows.any()
    ]
    classes = {
        int(label): names[int(number)] if count else None
        for label, number, count in zip(ids, winner, most, strict=True)
    }
    return classes, remarks


@dataclass(frozen=True, slots=True)
class Fused:
    """A stack of masks in one label image.

    Args:
        labels: (H, W) int32; the k-th mask (from 1) has label k, where it can be seen.
        class_of: Label -> class name, for the labels that can be seen.
        pixels_lost: Pixels that later masks hide.
        objects_lost: Masks without a pixel left, empty ones included.
        divided: Masks of which more parts can be seen than they have, since later ones lie across them.
    """

    labels: npt.NDArray[np.int32]
    class_of: Mapping[int, str | None]
    pixels_lost: int
    objects_lost: int
    divided: int = 0

    def remarks(self) -> list[Remark]:
        """What the data set says beside the pixels and objects that were lost."""
        text = "{count} {object falls|objects fall} into several parts where others lie on top; each stays one object"
        return [Remark(text, self.divided)] if self.divided else []


def fuse_masks(masks: Iterable[tuple[npt.NDArray[np.bool_], str | None]], shape: tuple[int, int]) -> Fused:
    """Lay masks over each other, later ones on top.

    Args:
        masks: (H, W) bool and class name of each object, in order.
        shape: Rows, columns.

    >>> a, b = np.zeros((1, 4), bool), np.zeros((1, 4), bool)
    >>> a[0, :3], b[0, 2:] = True, True
    >>> fused = fuse_masks([(a, "x"), (b, None)], (1, 4))
    >>> fused.labels.tolist(), fused.class_of, fused.pixels_lost, fused.objects_lost
    ([[1, 1, 2, 2]], {1: 'x', 2: None}, 1, 0)
    """
    labels = np.zeros(shape, np.int32)
    names: list[str | None] = []
    whole: list[tuple[tuple[slice, slice], npt.NDArray[np.bool_]]] = []
    for mask, name in masks:
        names.append(name)
        labels[mask] = len(names)
        window = _window(mask)
        whole.append((window, mask[window].copy()))
    left = np.bincount(labels.ravel(), minlength=len(names) + 1)[1:]
    painted = [int(np.count_nonzero(mask)) for _, mask in whole]
    divided = sum(
        falls_apart(mask, labels[window] == k)
        for k, (window, mask) in enumerate(whole, start=1)
        if 0 < left[k - 1] < painted[k - 1]
    )
    class_of = {k: name for k, name in enumerate(names, start=1) if left[k - 1]}
    return Fused(labels, class_of, sum(painted) - int(left.sum()), int((left == 0).sum()), divided)


def _window(mask: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns around what is set; empty where nothing is."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def falls_apart(whole: npt.NDArray[np.bool_], visible: npt.NDArray[np.bool_]) -> bool:
    """Whether what can be seen of an object has more parts than the object; pixels at a corner touch.

    Args:
        whole: (H, W), the object.
        visible: (H, W), what others leave of it.

    >>> bar, across = np.ones((1, 3), bool), np.array([[True, False, True]])
    >>> falls_apart(bar, across), falls_apart(across, across)
    (True, False)
    """
    before, after = (cv2.connectedComponents(np.ascontiguousarray(m, np.uint8))[0] for m in (whole, visible))
    return bool(after > before)


def outlines(
    rings: Iterable[npt.NDArray[np.float64] | None],
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.bool_], list[Remark]]:
    """Polygons from vertex lists, closed and valid.

    Args:
        rings: (K, 2) float64 vertices x, y of each outline, closed or not; None counts as no outline.

    Returns:
        (N,) shapely geometries, None where an outline encloses nothing; which are None; remarks with counts.
    """
    listed = list(rings)
    out = np.empty(len(listed), dtype=object)
    out[:] = [None if ring is None or len(np.unique(ring, axis=0)) < 3 else shapely.Polygon(ring) for ring in listed]
    few = shapely.is_missing(out)
    out, repaired, lost = make_outlines_valid(out)
    counts = {
        "{count} {outline|outlines} of less than three different vertices {was|were} left out": few,
        "{count} {outline that crosses itself was|outlines that cross themselves were} repaired": repaired,
        "{count} {outline|outlines} without area {was|were} left out": lost,
    }
    remarks = [Remark(text, int(rows.sum())) for text, rows in counts.items() if rows.any()]
    return out, np.asarray(few | lost), remarks


def clipped(instances: Instances, size: tuple[int, int]) -> tuple[Instances, list[Remark]]:
    """Cut objects at the border of their image; those wholly outside are left out.

    Args:
        instances: Objects in the pixels of the image.
        size: Width, height.

    Returns:
        The objects that remain, and remarks with counts. Boxes stay boxes; points on the border stay.
    """
    if not len(instances):
        return instances, []
    frame = shapely.box(0, 0, *size)
    over = ~shapely.covers(frame, instances.geometry)
    if not over.any():
        return instances, []
    shapes = cut_shapes(instances.geometry, frame)
    gone = shapely.is_empty(shapes)
    remarks = []
    if (over & ~gone).any():
        text = "{count} {object|objects} left the image and {was|were} cut at its border"
        remarks.append(Remark(text, int((over & ~gone).sum())))
    if gone.any():
        text = "{count} {object lies|objects lie} outside the image and {was|were} left out"
        remarks.append(Remark(text, int(gone.sum())))
    return replace(instances, geometry=shapes).select(~gone), remarks


def cut_shapes(shapes: npt.NDArray[np.object_], frame: Any) -> npt.NDArray[np.object_]:
    """Geometries cut at the border of a frame; empty where nothing of their own kind is left.

    Args:
        shapes: Polygons, multi-polygons and points. Object array (N,).
        frame: A shapely polygon.
    """
    cut = shapes.copy()
    over = ~shapely.covers(frame, shapes)
    cut[over] = [
        part if whole.geom_type == "Point" else _areas(part)
        for whole, part in zip(shapes[over], shapely.intersection(shapes[over], frame), strict=True)
    ]
    return cut


def _areas(shape: Any) -> Any:
    """An intersection without the points and lines where outlines only touch the border."""
    if shape.geom_type in ("Polygon", "MultiPolygon"):
        return shape
    parts = [part for part in shapely.get_parts(shape) if part.geom_type == "Polygon"]
    return shapely.MultiPolygon(parts) if parts else shapely.Polygon()
