"""One picture that sums up a data set: patches with their annotations, objects by class, sizes of objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import shapely
from scipy.spatial import KDTree

from histoseed.annotations import Instances
from histoseed.geometry import polygons_to_label
from histoseed.pictures.areas import draw_areas
from histoseed.pictures.colors import UNCLASSIFIED, Colors, rgb
from histoseed.pictures.dataset_charts import ClassObjects, class_bars, size_rows, stacked_left
from histoseed.pictures.lettering import MUTED, LegendKey, blank, text_strip
from histoseed.pictures.overlay import clear_thickness, draw_instances, outline_mask, outlined_at, stroked, widened
from histoseed.pictures.raster import Picture, checked_labels, checked_picture, fitted_size, resize, resize_labels
from histoseed.pictures.regions import dash_mask, veiled
from histoseed.pictures.sheet import contact_sheet

__all__ = ["SheetPatch", "dataset_sheet"]

_TITLE, _TEXT = 18, 12
_MARGIN, _GAP = 20, 32
_LEAST_WIDTH, _SIDE_BY_SIDE = 800, 960
_SIDES = {1: 640, 2: 480, 3: 320, 4: 480, 5: 320, 6: 320}
"""Few patches are drawn larger, so that the sheet is about as wide as one of many."""
_TINT = 0.13
"""Share of a region's colour: seen at once over a slide, and the stain can still be judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetPatch:
    """One patch of a sheet. Outlines, boxes and points are in the patch's own pixels.

    Args:
        image: (H, W, 3) uint8.
        title: One text; a second line is set smaller and in grey.
        labels: (H, W) int of what is outlined, None for nothing.
        colors: Colours of the labels.
        marks: Boxes, points and further outlines.
        mark_colors: Class name -> "#rrggbb" for the marks, every class of theirs.
        regions: (H, W) int map of tissue, drawn as a tint; 0 says nothing, None is no map.
        region_colors: "#rrggbb" of each value of ``regions``, from 1 on.
        region_marks: Outlines of tissue, drawn dashed, and tinted where there is no map.
        region_mark_colors: Class name -> "#rrggbb" for them, every class of theirs.
        ignore: (H, W) bool, the area that counts for nothing, drawn hatched; None for nothing.
        ignore_marks: Outlines of such areas.
    """

    image: Picture
    title: str
    labels: npt.NDArray[np.integer] | None = None
    colors: Colors = None
    marks: Instances | None = None
    mark_colors: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    regions: npt.NDArray[np.integer] | None = None
    region_colors: Sequence[str] = ()
    region_marks: Instances | None = None
    region_mark_colors: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    ignore: npt.NDArray[np.bool_] | None = None
    ignore_marks: Instances | None = None


def dataset_sheet(
    patches: Iterable[SheetPatch],
    objects: Sequence[ClassObjects],
    *,
    count: int,
    title: str,
    detail: str = "",
    total: int | None = None,
    legend: Mapping[str, str] | Sequence[LegendKey] | None = None,
) -> Picture:
    """A title, patches with their annotations, objects by class and kind, and diameters by class.

    Args:
        patches: At least one; each is drawn before the next is asked for, so that few are in memory at once.
        objects: One entry a class; those of the data set's unclassified objects, too.
        count: How many patches there will be.
        title: Headline, mostly the name of the data set.
        detail: A line below it.
        total: Number of patches of the data set, where ``patches`` is only a choice of them.
        legend: Colours that the patches show, class name -> "#rrggbb", or keys.

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
    """The patch at its size on the sheet: tissue below, what is ignored over it, objects on top."""
    picture = checked_picture(patch.image)
    shape = (picture.shape[0], picture.shape[1])
    size = fitted_size(shape, side)
    thickness, scale = clear_thickness(shape, size), max(size) / max(shape)
    out = _with_regions(resize(picture, *size), patch, shape, scale)
    area = np.zeros(size, dtype=bool)
    if patch.ignore is not None:
        area |= resize_labels(checked_labels(patch.ignore.astype(np.uint8), shape, "ignore"), *size) > 0
    if patch.ignore_marks is not None:
        area |= _painted(patch.ignore_marks, scale, size) > 0
    if area.any():
        out = veiled(out, area)
    if patch.labels is not None:
        out = outlined_at(out, checked_labels(patch.labels, shape), patch.colors, shape)
    if patch.marks is not None and len(patch.marks):
        radius, colors = _radius(patch.marks, scale, max(size)), dict(patch.mark_colors)
        out = draw_instances(
            out, patch.marks, scale=scale, colors=colors, thickness=thickness, radius=radius, smooth=False, casing=True
        )
    return out


def _with_regions(picture: Picture, patch: SheetPatch, shape: tuple[int, int], scale: float) -> Picture:
    """Tissue as a tint in dashed outlines: of the map, and of outlines, which tint only where there is no map."""
    size, out = (picture.shape[0], picture.shape[1]), picture
    layers: list[tuple[npt.NDArray[np.int64], Sequence[str]]] = []
    if patch.regions is not None:
        tissue = resize_labels(checked_labels(patch.regions, shape, "regions"), *size).astype(np.int64)
        layers.append((tissue, patch.region_colors))
    if patch.region_marks is not None and len(patch.region_marks):
        marks = patch.region_marks.select(np.argsort(-shapely.area(patch.region_marks.geometry), kind="stable"))
        named = [UNCLASSIFIED if name is None else patch.region_mark_colors[name] for name in marks.class_name]
        layers.append((_painted(marks, scale, size), named))
    for tissue, colors in layers[:1]:
        out = draw_areas(out, tissue, colors, tint=_TINT, lines=False)
    taken = np.zeros(size, dtype=bool)
    for tissue, colors in reversed(layers):
        # Dashes over dashes would be a line: a map mostly ends where an outline does.
        dashes = dash_mask(tissue, 2) & ~taken
        table = np.array([rgb(color) for color in colors], dtype=np.uint8).reshape(-1, 3)
        out = stroked(out, dashes, table[tissue[dashes] - 1])
        taken = widened(outline_mask(tissue, 2), 3)
    return out


def _painted(marks: Instances, scale: float, size: tuple[int, int]) -> npt.NDArray[np.int64]:
    """The number of the outline on each pixel of the sheet's patch, from 1; later ones lie on top."""
    painted: npt.NDArray[np.int64] = polygons_to_label(marks.moved(0, 0, scale).geometry, size, dtype=np.int64)
    return painted


def _radius(marks: Instances, scale: float, side: int) -> float:
    """Pixels from the centre to the rim of a point: large enough to be seen, small enough for a crowd of them."""
    usual = min(max(side / 90, 3.0), 6.0)
    xy = shapely.get_coordinates(shapely.centroid(marks.geometry[marks.kind == "point"])) * scale
    if len(xy) < 2:
        return usual
    nearest = np.median(KDTree(xy).query(xy, k=2)[0][:, 1])
    return min(usual, max(2.0, 0.4 * float(nearest)))


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
