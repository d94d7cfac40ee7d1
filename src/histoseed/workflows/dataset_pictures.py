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
from histoseed.slides import open_slide

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


def legend_of(data: Dataset, shown: Sequence[int]) -> dict[str, str]:
    """Class -> colour of what these patches show; empty where one colour means everything."""
    objects = data.instances.filter(pl.col("layer") == "nucleus")
    legend = {one.name: one.color for one in data.classes} if objects.height else {}
    if legend and objects["class_name"].null_count():
        legend["unclassified"] = UNCLASSIFIED
    if any(_shows_regions(data, data.objects(at)) for at in shown):
        legend |= {f"{one.name} (region)": one.color for one in data.info.region_classes}
    return legend


def summary_line(facts: Mapping[str, Any]) -> str:
    """One line about a data set, from :meth:`Dataset.describe`."""
    objects, classes = facts["objects"], len(facts["classes"])
    parts = [_many(facts["patches"], "patch", "patches"), _many(objects, "object", "objects")]
    if objects and classes:
        parts.append(_many(classes, "class", "classes"))
    return ", ".join([*parts, facts["stain"] or "stain not stated", f"licence {facts['licence'] or 'not stated'}"])


def _many(count: int, one: str, more: str) -> str:
    return f"{count:,} {one if count == 1 else more}"


def sheet_patch(data: Dataset, at: int) -> SheetPatch:
    """A patch with what is annotated in it: outlines, boxes, points; regions where there is no object.

    An area of a slide that is too large to be read as it is, is read coarsely.

    Raises:
        DatasetError: a file is missing or damaged.
    """
    row, objects = data.patches.row(at, named=True), data.objects(at)
    title, regions = _title(row, objects), _shows_regions(data, objects)
    classes = data.info.region_classes if regions else data.classes
    colors = {one.name: one.color for one in classes}
    kinds = ("polygon",) if regions else ("box", "point")
    marked = objects.filter(pl.col("layer").eq("region" if regions else "nucleus") & pl.col("kind").is_in(list(kinds)))
    marks = instances_from_frame(marked)
    if not row["image"].startswith("images/") and row["width"] * row["height"] > _LARGEST_AREA:
        image = _coarse(data, row)
        scale = max(image.shape[:2]) / max(row["width"], row["height"])
        return SheetPatch(image=image, title=title, marks=marks.moved(0, 0, scale), mark_colors=colors)
    patch = data.patch(at)
    labels, ids = patch.labels, patch.class_ids
    if regions and patch.regions is not None:
        labels, ids = patch.regions.astype(np.int32), np.arange(len(classes) + 1, dtype=np.int32)
        marks = Instances.empty()
    drawn = label_colors(ids, [one.name for one in classes], colors)
    return SheetPatch(image=patch.image, title=title, labels=labels, colors=drawn, marks=marks, mark_colors=colors)


def _shows_regions(data: Dataset, objects: pl.DataFrame) -> bool:
    return bool(data.info.region_classes) and not objects["layer"].eq("nucleus").any()


def _title(row: Mapping[str, Any], objects: pl.DataFrame) -> str:
    """The id; below it the number of objects, the resolution, the group and the split."""
    parts = [_many(objects.filter(pl.col("layer") == "nucleus").height, "object", "objects")]
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
