"""Where an annotation could be made: squares of tissue of a slide or of the patches of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import shapely

from histoseed.annotations import Instances
from histoseed.datasets import Dataset, crop_starts
from histoseed.errors import InputError, UnknownMppError
from histoseed.geometry import MPP_RANGE, Region
from histoseed.slides import Slide, open_slide
from histoseed.slides.stains_density import is_tissue
from histoseed.training import nested_draw
from histoseed.workflows.looks import shows_tissue
from histoseed.workflows.patches import needed_mpp

__all__ = ["Field", "Place", "fields_of_dataset", "fields_of_slides", "places_of", "thin_out"]

LEAST_TISSUE = 0.5
"""Share of a square that must be tissue for somebody to be sent there."""
_COARSE = 4.0
_THUMBNAIL = 2048
_ANOTHER_STAIN = 0.01
"""Where less of a slide than this looks like haematoxylin and eosin, everything that is no glass counts as tissue."""
_COVERED = 0.1
"""Share of a square that annotated areas must cover for it to be annotated; of a nucleus, the centroid decides."""


@dataclass(frozen=True, slots=True)
class Field:
    """A slide, or a patch that stands for one.

    Args:
        name: Path of the slide, or id of the patch.
        group: Slide or patient: what takes turns.
        mpp: Microns per pixel.
        opened: Opens it; close what it gives.
        annotated: What is annotated, in its pixels; None: nothing.
        whole: Whether everything in it is annotated.
    """

    name: str
    group: str
    mpp: float
    opened: Callable[[], Slide]
    annotated: Instances | None = None
    whole: bool = False

    @contextmanager
    def open(self) -> Iterator[Slide]:
        """The slide, closed at the end."""
        with self.opened() as slide:
            yield slide


@dataclass(frozen=True, slots=True)
class Place:
    """A square that could be annotated.

    Args:
        field: Where it lies.
        x: Left border, level-0 pixels.
        y: Upper border, level-0 pixels.
        side: Width and height, level-0 pixels.
        tissue: Share of tissue.
        annotated: Whether it is annotated already.
    """

    field: Field = field(repr=False)
    x: int
    y: int
    side: int
    tissue: float
    annotated: bool


def fields_of_slides(
    paths: Sequence[Path], *, mpp: float | None = None, annotated: Instances | None = None
) -> list[Field]:
    """Slides as fields.

    Args:
        paths: The files.
        mpp: Microns per pixel, where a file does not say it or says it wrong.
        annotated: What is annotated on the only slide.

    Raises:
        SlideError: a file cannot be read.
        UnknownMppError: the resolution of one is unknown.
    """
    fields = []
    for path in paths:
        with open_slide(path, mpp=mpp) as slide:
            if slide.mpp is None:
                what = "The file does not say its microns per pixel."
                raise UnknownMppError(what, where=path, fix="Give it: --mpp 0.25 (40x scanners) or --mpp 0.5 (20x).")
            known = slide.mpp
        fields.append(Field(str(path), str(path), known, _opener(path, mpp), annotated))
    return fields


def _opener(path: Path, mpp: float | None) -> Callable[[], Slide]:
    return lambda: open_slide(path, mpp=mpp)


def fields_of_dataset(
    dataset: Dataset, *, mpp: float | None = None, annotated: Dataset | None = None, limit: int, seed: int
) -> list[Field]:
    """Patches as fields. A patch with annotated objects is annotated wholly, unless the data set says otherwise.

    Args:
        dataset: The data set.
        mpp: Assumed where a patch states none.
        annotated: Says what is annotated, by patch id; None: nothing is.
        limit: Most patches that are looked at; of more, a choice that is spread over slides.
        seed: Of that choice.

    Raises:
        UnknownMppError: neither a patch nor the caller knows the resolution.
    """
    rows = dataset.patches.select("patch_id", "group", "mpp").rows()
    groups = [group or patch_id for patch_id, group, _ in rows]
    known = set(annotated.patch_ids) if annotated is not None else set()
    fields = []
    for index in thin_out(groups, limit, seed):
        patch_id, _, stated = rows[index]
        scale = needed_mpp(stated, mpp, patch_id)
        objects = annotated.instances_of(patch_id) if annotated is not None and patch_id in known else None
        whole = objects is not None and len(objects) > 0 and bool(_exhaustive(annotated, patch_id))
        fields.append(Field(patch_id, groups[index], scale, _patch_opener(dataset, patch_id, scale), objects, whole))
    return fields


def _exhaustive(dataset: Dataset | None, patch_id: str) -> bool:
    return dataset is not None and bool(dataset.patches["exhaustive"][dataset.row(patch_id)])


def _patch_opener(dataset: Dataset, patch_id: str, mpp: float) -> Callable[[], Slide]:
    from histoseed.inference import ArraySlide

    return lambda: ArraySlide(dataset.patch(patch_id).image, mpp=mpp, name=patch_id)


def thin_out(groups: Sequence[str], limit: int, seed: int) -> list[int]:
    """At most ``limit`` positions, ascending, drawn by chance with groups taking turns.

    >>> sorted(["aaaaaab"[i] for i in thin_out("aaaaaab", 2, seed=0)])
    ['a', 'b']
    """
    return sorted(nested_draw(groups, np.full(len(groups), np.inf), min(limit, len(groups)), seed)) if groups else []


def places_of(field: Field, size_um: float) -> list[Place]:
    """The squares of a grid over a slide that hold tissue, row by row.

    Args:
        field: The slide.
        size_um: Side of a square, micrometres; a smaller patch is one square of its shorter side.

    Raises:
        InputError: a size that is no length, or less than a pixel.
        SlideError: the slide cannot be read.
    """
    with field.open() as slide:
        width, height = slide.size
        side = min(round(size_um / field.mpp), width, height)
        if side < 1:
            raise InputError(f"A region of {size_um} um has no pixel.", where="--size", fix="Give for instance 64.")
        tissue = _tissue(slide, field.mpp)
    xs, ys = crop_starts(width, side, side), crop_starts(height, side, side)
    share = _means(tissue, xs, ys, side, (width, height))
    done = np.full(share.shape, field.whole) | _annotated(field.annotated, xs, ys, side)
    return [
        Place(field, xs[j], ys[i], side, float(share[i, j]), bool(done[i, j]))
        for i, j in np.argwhere(share >= LEAST_TISSUE).tolist()
    ]


def _tissue(slide: Slide, mpp: float) -> npt.NDArray[np.float64]:
    """Tissue at a low resolution, 1 or 0 a pixel."""
    width, height = slide.size
    coarse = min(max(_COARSE, mpp, max(width, height) * mpp / _THUMBNAIL), MPP_RANGE[1])
    picture = slide.read(Region(0, 0, width, height, coarse))
    found = is_tissue(picture)
    if found.mean() < _ANOTHER_STAIN:
        found = shows_tissue(picture)
    return found.astype(np.float64)


def _means(
    values: npt.NDArray[np.float64], xs: Sequence[int], ys: Sequence[int], side: int, size: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Mean of a coarse picture over each square. (len(ys), len(xs))."""
    scale_x, scale_y = values.shape[1] / size[0], values.shape[0] / size[1]
    sums = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))

    def ends(starts: Sequence[int], scale: float, extent: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        first = np.minimum((np.asarray(starts) * scale).astype(np.intp), extent - 1)
        last = np.maximum(np.rint((np.asarray(starts) + side) * scale).astype(np.intp), first + 1)
        return first, np.minimum(last, extent)

    x0, x1 = ends(xs, scale_x, values.shape[1])
    y0, y1 = ends(ys, scale_y, values.shape[0])
    total = sums[y1[:, None], x1] - sums[y0[:, None], x1] - sums[y1[:, None], x0] + sums[y0[:, None], x0]
    means: npt.NDArray[np.float64] = total / np.outer(y1 - y0, x1 - x0)
    return means


def _annotated(objects: Instances | None, xs: Sequence[int], ys: Sequence[int], side: int) -> npt.NDArray[np.bool_]:
    """Which squares hold the centroid of an object, or lie in an annotated area. (len(ys), len(xs))."""
    done = np.zeros((len(ys), len(xs)), bool)
    if objects is None or len(objects) == 0:
        return done
    centres = objects.centroids()
    column = np.searchsorted(xs, centres[:, 0], side="right") - 1
    row = np.searchsorted(ys, centres[:, 1], side="right") - 1
    x, y = np.asarray(xs)[column.clip(0)], np.asarray(ys)[row.clip(0)]
    inside = (column >= 0) & (row >= 0) & (centres[:, 0] < x + side) & (centres[:, 1] < y + side)
    done[row[inside], column[inside]] = True
    large = objects.geometry[shapely.area(objects.geometry) > _COVERED * side**2]
    if len(large):
        boxes = shapely.box(*np.meshgrid(xs, ys), *np.meshgrid(np.add(xs, side), np.add(ys, side)))
        tree = shapely.STRtree(large)
        at, which = tree.query(boxes.ravel(), predicate="intersects")
        covered = np.bincount(at, shapely.area(shapely.intersection(boxes.ravel()[at], large[which])), boxes.size)
        done |= (covered > _COVERED * side**2).reshape(done.shape)
    return done
