"""One picture that sums up a data set: patches with their annotations, objects by class, sizes of objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations import Instances
from histoseed.pictures.colors import UNCLASSIFIED, Colors, rgb
from histoseed.pictures.dataset_charts import ClassObjects, class_bars, size_rows, stacked_left
from histoseed.pictures.lettering import MUTED, blank, text_strip
from histoseed.pictures.overlay import clear_thickness, draw_instances, outlined
from histoseed.pictures.raster import Picture, checked_labels, checked_picture, fitted_size, resize, resize_labels
from histoseed.pictures.sheet import contact_sheet

__all__ = ["SheetPatch", "dataset_sheet"]

_TITLE, _TEXT = 18, 12
_MARGIN, _GAP = 20, 32
_LEAST_WIDTH, _SIDE_BY_SIDE = 800, 960
_SIDES = {1: 640, 2: 480, 3: 320, 4: 480, 5: 320, 6: 320}
"""Few patches are drawn larger, so that the sheet is about as wide as one of many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetPatch:
    """One patch of a sheet.

    Args:
        image: (H, W, 3) uint8.
        title: One text; a second line is set smaller and in grey.
        labels: (H, W) int of what is outlined, None for nothing.
        colors: Colours of the labels.
        marks: Boxes, points and further outlines, in the patch's own pixels.
        mark_colors: Class name -> "#rrggbb" for the marks, every class of theirs.
    """

    image: Picture
    title: str
    labels: npt.NDArray[np.integer] | None = None
    colors: Colors = None
    marks: Instances | None = None
    mark_colors: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def dataset_sheet(
    patches: Iterable[SheetPatch],
    objects: Sequence[ClassObjects],
    *,
    count: int,
    title: str,
    detail: str = "",
    total: int | None = None,
    legend: Mapping[str, str] | None = None,
) -> Picture:
    """A title, patches with their annotations, objects by class and kind, and diameters by class.

    Args:
        patches: At least one; each is drawn before the next is asked for, so that few are in memory at once.
        objects: One entry a class; those of the data set's unclassified objects, too.
        count: How many patches there will be.
        title: Headline, mostly the name of the data set.
        detail: A line below it.
        total: Number of patches of the data set, where ``patches`` is only a choice of them.
        legend: Colours that the patches show, class name -> "#rrggbb".

    Returns:
        (H, W, 3) uint8.

    Raises:
        InputError: no patch, an array of another shape or type, a diameter that is not a positive number.
    """
    side = _SIDES.get(count, 256)
    drawn = [(_drawn(patch, side), patch.title) for patch in patches]
    sheet = contact_sheet(
        [picture for picture, _ in drawn],
        [text for _, text in drawn],
        side=side,
        limit=max(1, len(drawn)),
        total=total,
        legend=legend,
    )
    inner = max(_LEAST_WIDTH, sheet.shape[1]) - 2 * _MARGIN
    half = (inner - _GAP) // 2 if inner >= _SIDE_BY_SIDE else inner
    classes = class_bars(objects, half)
    sizes = stacked_left([size_rows(objects, half, unit) for unit in _units(objects)], _GAP)
    head = [text_strip(title, inner, _TITLE, bold=True), text_strip(detail, inner, _TEXT, color=MUTED)]
    body = _beside(classes, sizes, inner) if half < inner else stacked_left([classes, sizes], _GAP)
    return stacked_left([_framed(np.concatenate(head), bottom=0), sheet, _framed(body, top=0)], 0)


def _drawn(patch: SheetPatch, side: int) -> Picture:
    """The patch at its size on the sheet, annotations over it."""
    picture = checked_picture(patch.image)
    size = fitted_size(picture.shape, side)
    thickness = clear_thickness(picture.shape, size)
    out = resize(picture, *size)
    if patch.labels is not None:
        labels = checked_labels(patch.labels, (picture.shape[0], picture.shape[1]))
        out = outlined(out, resize_labels(labels, *size), patch.colors, thickness)
    if patch.marks is not None and len(patch.marks):
        out = _marked(out, patch.marks, max(size) / max(picture.shape[:2]), patch.mark_colors, thickness)
    return out


def _marked(picture: Picture, marks: Instances, scale: float, colors: Mapping[str, str], thickness: int) -> Picture:
    """Boxes and outlines as lines; points as squares small enough for a crowd of them."""
    points = marks.kind == "point"
    lines = marks.select(~points)
    out = draw_instances(picture, lines, scale=scale, colors=dict(colors), thickness=thickness, smooth=False)
    half = 1 if max(picture.shape[:2]) <= 256 else 2
    xy = np.floor(shapely.get_coordinates(marks.geometry[points]) * scale).astype(int)
    for (x, y), name in zip(xy.tolist(), marks.class_name[points], strict=True):
        color = UNCLASSIFIED if name is None else colors[name]
        out[max(0, y - half) : max(0, y + half + 1), max(0, x - half) : max(0, x + half + 1)] = rgb(color)
    return out


def _units(objects: Sequence[ClassObjects]) -> list[str]:
    """Micrometres where there are any, pixels where there are any; micrometres where nothing is outlined."""
    has = {"um": any(len(o.diameters_um) for o in objects), "px": any(len(o.diameters_px) for o in objects)}
    return [unit for unit in has if has[unit]] or ["um"]


def _beside(first: Picture, second: Picture, width: int) -> Picture:
    """Two blocks, the second at the right end."""
    out = blank(max(len(first), len(second)), width)
    out[: len(first), : first.shape[1]] = first
    out[: len(second), width - second.shape[1] :] = second
    return out


def _framed(block: Picture, top: int = _MARGIN, bottom: int = _MARGIN) -> Picture:
    out = blank(len(block) + top + bottom, block.shape[1] + 2 * _MARGIN)
    out[top : top + len(block), _MARGIN : _MARGIN + block.shape[1]] = block
    return out
