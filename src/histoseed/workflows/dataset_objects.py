"""The patches of a data set as annotated images, for formats outside of it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy import ndimage

from histoseed.annotations import Instances, instances_from_frame, instances_from_labels
from histoseed.annotations.formats import IGNORE_CLASS, AnnotatedImage
from histoseed.datasets import Dataset, read_dataset
from histoseed.datasets.intake.content import object_ids
from histoseed.geometry import polygons_to_label
from histoseed.settings import Settings
from histoseed.wording import agreed, counted

__all__ = ["is_dataset", "read_patches"]

_NOT_CONVERTED = ("x", "y", "group", "patient", "slide", "centre", "organ", "split", "fold")
"""Columns of ``patches.parquet`` that annotation files have no place for."""


def is_dataset(path: Path) -> bool:
    """Whether a folder is a data set in the common format."""
    return (path / "dataset.json").is_file()


def read_patches(path: Path, settings: Settings) -> tuple[list[AnnotatedImage], list[str]]:
    """Every patch with all its objects, and sentences about what annotation files have no place for.

    What counts for nothing becomes objects of QuPath's class ``Ignore*``: the outlines of the layer *ignore* as they
    are, the rest of the ignore area along pixel edges. Outlines of regions go only where the whole data set has no
    nucleus, since they would pass for nuclei otherwise.

    Args:
        path: The data set.
        settings: Limits.

    Raises:
        DatasetError: the folder breaks the common format.
    """
    dataset = read_dataset(path, settings=settings)
    regions = not dataset.instances["layer"].eq("nucleus").any()
    images = []
    ignored = 0
    for at, row in enumerate(dataset.patches.iter_rows(named=True)):
        ignore = _ignored(dataset, at)
        ignored += len(ignore)
        own = _regions(dataset, at) if regions else dataset.instances_of(at)
        table = Instances.concatenate([own, ignore])
        picture = PurePosixPath(row["image"])
        name = picture.name if picture.parts[0] == "images" else row["patch_id"]
        size = (row["width"], row["height"])
        images.append(AnnotatedImage(name, size, table, row["mpp"], partial(_pixels, dataset, at)))
    return images, _sentences(dataset, ignored, regions=regions)


def _pixels(dataset: Dataset, at: int) -> npt.NDArray[np.uint8]:
    return dataset.patch(at).image


def _regions(dataset: Dataset, at: int) -> Instances:
    """The outlines of regions of a patch, with their classes."""
    rows = dataset.objects(at).filter(pl.col("layer") == "region")
    return instances_from_frame(rows, colors={one.name: one.color for one in dataset.info.region_classes})


def _ignored(dataset: Dataset, at: int) -> Instances:
    """What counts for nothing in a patch, as objects."""
    rows = dataset.objects(at).filter(pl.col("layer") == "ignore")
    outlines = instances_from_frame(rows)
    outlines = replace(outlines, class_name=np.full(len(outlines), IGNORE_CLASS, dtype=object))
    patch_id = dataset.patches["patch_id"][at]
    if not (dataset.path / "ignore" / f"{patch_id}.tif").is_file():
        return outlines
    area = dataset.patch(at).ignore
    if area is None:
        return outlines
    drawn = polygons_to_label(outlines.geometry[outlines.kind == "polygon"], area.shape) > 0
    labels, count = ndimage.label(area & ~drawn)
    ids = object_ids(dataset.name, f"{patch_id}/ignore", count)
    rest = instances_from_labels(labels, class_of=dict.fromkeys(range(1, count + 1), IGNORE_CLASS), id=ids)
    return Instances.concatenate([outlines, rest])


def _sentences(dataset: Dataset, ignored: int, *, regions: bool) -> list[str]:
    outlined = dataset.instances.filter(pl.col("layer") == "region").height
    said = ["No nucleus is annotated: the outlines of regions are converted."] if regions and outlined else []
    if ignored:
        said.append(f"What counts for nothing became {counted(ignored, 'object')} of class {IGNORE_CLASS!r}.")
    maps = int(dataset.patches["regions_sha256"].is_not_null().sum())
    left = 0 if regions else outlined
    if left or maps:
        lost = [counted(left, "outline of a region", "outlines of regions")] if left else []
        lost += [f"the region {agreed('{map|maps} of {count} {patch|patches}', maps)}"] if maps else []
        said.append(f"Not converted: {' and '.join(lost)}.")
    partly = int((~dataset.patches["exhaustive"]).sum())
    if partly:
        text = "{count} {patch is|patches are} not annotated completely; the files written do not say so."
        said.append(agreed(text, partly))
    annotated = dataset.instances["annotator"].count()
    if annotated:
        said.append(agreed("The {annotator|annotators} of {count} {object is|objects are} not converted.", annotated))
    stated = [name for name in _NOT_CONVERTED if dataset.patches[name].count()]
    if stated:
        said.append(f"What the data set says about its patches is not converted: {', '.join(stated)}.")
    return said
