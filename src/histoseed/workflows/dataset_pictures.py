"""What the picture of a data set shows: patches with their annotations, counts and sizes of objects by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from histoseed.annotations import Instances, instances_from_frame
from histoseed.datasets import Dataset
from histoseed.datasets.paths import image_path
from histoseed.errors import DatasetError, InputError
from histoseed.geometry import Region
from histoseed.pictures import UNCLASSIFIED, label_colors
from histoseed.pictures.dataset_charts import ClassObjects
from histoseed.pictures.dataset_sheet import SheetPatch
from histoseed.pictures.lettering import LegendKey
from histoseed.pictures.regions import IGNORED
from histoseed.slides import open_slide
from histoseed.wording import counted

__all__ = ["class_objects", "legend_of", "sheet_patch", "summary_line"]

_LARGEST_AREA = 16_000_000
"""Pixels of an area of a slide up to which it is read as it is; larger ones are read coarsely."""
_SIDE = 1024
_SCALE_MPP = 0.1
"""Resolution that a slide without one is taken for, to be read coarsely: any will do."""


def class_objects(data: Dataset) -> list[ClassObjects]:
    """Counts and equivalent diameters of the objects (layer *nucleus*) of each class; unclassified ones last."""
    diameter = 2 * (pl.col("area_px") / np.pi).sqrt()
    rows = data.instances.filter(pl.col("layer") == "nucleus").select("patch_id", "class_name", "kind", "area_px")
    rows = rows.join(data.patches.select("patch_id", "mpp"), on="patch_id", how="left")
    rows = rows.with_columns(um=diameter * pl.col("mpp"), px=pl.when(pl.col("mpp").is_null()).then(diameter))
    colors: dict[str | None, str] = {one.name: one.color for one in data.classes}
    if not colors or rows["class_name"].null_count():
        colors[None] = UNCLASSIFIED
    return [_objects_of(rows.filter(pl.col("class_name").eq_missing(pl.lit(name))), name, colors) for name in colors]


def _objects_of(rows: pl.DataFrame, name: str | None, colors: Mapping[str | None, str]) -> ClassObjects:
    kinds = dict(rows.group_by("kind").len().iter_rows())
    outlined = rows.filter(pl.col("kind").is_in(["mask", "polygon"]) & (pl.col("area_px") > 0))
    return ClassObjects(
        name=name or ("unclassified" if len(colors) > 1 else "all objects"),
        color=colors[name],
        outlined=kinds.get("mask", 0) + kinds.get("polygon", 0),
        boxes=kinds.get("box", 0),
        points=kinds.get("point", 0),
        diameters_um=outlined["um"].drop_nulls().to_numpy(),
        diameters_px=outlined["px"].drop_nulls().to_numpy(),
    )


def legend_of(data: Dataset, shown: Sequence[int]) -> list[LegendKey]:
    """What the colours of these patches mean: classes, regions, the ignored area; nothing where one colour is all."""
    objects = data.instances.filter(pl.col("layer") == "nucleus")
    keys = [LegendKey(one.name, one.color) for one in data.classes] if objects.height else []
    if keys and objects["class_name"].null_count():
        keys.append(LegendKey("unclassified", UNCLASSIFIED))
    rows = data.patches[list(shown)]
    here = data.instances.filter(pl.col("patch_id").is_in(rows["patch_id"].to_list()))
    regions = here.filter(pl.col("layer") == "region")["class_name"]
    if regions.len() or rows["regions_sha256"].count():
        keys += [LegendKey(f"{one.name} (region)", one.color, "region") for one in data.info.region_classes]
    if regions.null_count():
        keys.append(LegendKey("unclassified region", UNCLASSIFIED, "region"))
    if rows["ignore_sha256"].count() or here["layer"].eq("ignore").any():
        keys.append(LegendKey("ignored: counts for nothing", IGNORED, "hatched"))
    return keys


def summary_line(facts: Mapping[str, Any]) -> str:
    """One line about a data set, from :meth:`Dataset.describe`."""
    objects, classes, layers = facts["objects"], len(facts["classes"]), facts["layers"]
    parts = [counted(facts["patches"], "patch"), counted(objects, "object")]
    if objects and classes:
        parts.append(counted(classes, "class"))
    if regions := layers.get("region", 0):
        parts.append(counted(regions, "outline of a region", "outlines of regions"))
    if maps := facts["with_regions"]:
        parts.append(f"regions in {counted(maps, 'patch')}")
    if ignored := facts["with_ignore"]:
        parts.append(f"ignored area in {counted(ignored, 'patch')}")
    elif outlines := layers.get("ignore", 0):
        parts.append(counted(outlines, "outline of an ignored area", "outlines of ignored areas"))
    return ", ".join([*parts, facts["stain"] or "stain not stated", f"licence {facts['licence'] or 'not stated'}"])


def sheet_patch(data: Dataset, at: int) -> SheetPatch:
    """A patch with what is annotated in it: outlines, boxes, points, regions, the area that is ignored.

    An area of a slide that is too large to be read as it is, is read coarsely.

    Raises:
        DatasetError: a file is missing or damaged.
    """
    row, objects = data.patches.row(at, named=True), data.objects(at)
    large = not row["image"].startswith("images/") and row["width"] * row["height"] > _LARGEST_AREA
    patch = None if large else data.patch(at)
    image = _coarse(data, row) if patch is None else patch.image
    scale = max(image.shape[:2]) / max(row["width"], row["height"])

    def marks(layer: str, *kinds: str) -> Instances:
        mine = objects.filter(pl.col("layer").eq(layer) & pl.col("kind").is_in(list(kinds)))
        return instances_from_frame(mine).moved(0, 0, scale)

    colors = {one.name: one.color for one in data.classes}
    region_colors = {one.name: one.color for one in data.info.region_classes}
    return SheetPatch(
        image=image,
        title=_title(row, objects, same_size=_one_size(data)),
        labels=None if patch is None else patch.labels,
        colors=None if patch is None else label_colors(patch.class_ids, [one.name for one in data.classes], colors),
        # What has a label is drawn from the mask, which says what counts; a slide that is read coarsely has none.
        marks=marks("nucleus", "box", "point", *(() if patch else ("polygon",))),
        mark_colors=colors,
        regions=None if patch is None else patch.regions,
        region_colors=list(region_colors.values()),
        region_marks=marks("region", "polygon", "box"),
        region_mark_colors=region_colors,
        ignore=None if patch is None else patch.ignore,
        ignore_marks=marks("ignore", "polygon", "box"),
    )


def _one_size(data: Dataset) -> bool:
    return data.patches.select("width", "height").unique().height == 1


def _title(row: Mapping[str, Any], objects: pl.DataFrame, *, same_size: bool) -> str:
    """The id; below it the number of objects, the resolution, the size where it differs, the group and the split."""
    parts = [counted(objects.filter(pl.col("layer") == "nucleus").height, "object")]
    parts += [] if same_size else [f"{row['width']:,} x {row['height']:,} px"]
    parts.append("mpp unknown" if row["mpp"] is None else f"{row['mpp']:.4g} um/px")
    parts += [text for text in (row["group"], row["split"]) if text]
    return f"{row['patch_id']}\n{', '.join(parts)}"


def _coarse(data: Dataset, row: Mapping[str, Any]) -> npt.NDArray[np.uint8]:
    """An area of a slide, its longer side brought to 1024 pixels."""
    where = f"patch {row['patch_id']!r}"
    path, _ = image_path(data.path, row["image"], where, data.slides)
    try:
        with open_slide(path, settings=data.settings) as slide:
            own = slide.mpp
        with open_slide(path, mpp=own or _SCALE_MPP, settings=data.settings) as slide:
            level_0 = row["mpp"] / own if own and row["mpp"] else 1.0  # level-0 pixels in one of the area
            width, height = row["width"] * level_0, row["height"] * level_0
            mpp = (own or _SCALE_MPP) * max(width, height) / _SIDE
            return np.asarray(slide.read(Region(row["x"], row["y"], width, height, mpp)), dtype=np.uint8)
    except InputError as error:
        raise DatasetError(f"The slide cannot be read: {error.what}", where=where, fix=error.fix) from error
