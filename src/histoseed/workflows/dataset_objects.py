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

__all__ = ["is_dataset", "read_patches"]

_NOT_CONVERTED = ("x", "y", "group", "patient", "slide", "centre", "organ", "split", "fold")
"""Columns of ``patches.parquet`` that annotation files have no place for."""


def is_dataset(path: Path) -> bool:
    """Whether a folder is a data set in the common format."""
    return (path / "dataset.json").is_file()


def read_patches(path: Path, settings: Settings) -> tuple[list[AnnotatedImage], list[str]]:
    """Every patch with all its objects, and sentences about what annotation files have no place for.

    What counts for nothing becomes objects of QuPath's class ``Ignore*``: the outlines of the layer *ignore* as they
    are, the rest of the ignore area along pixel edges.

    Args:
        path: The data set.
        settings: Limits.

    Raises:
        DatasetError: the folder breaks the common format.
    """
    dataset = read_dataset(path, settings=settings)
    images = []
    ignored = 0
    for at, row in enumerate(dataset.patches.iter_rows(named=True)):
        ignore = _ignored(dataset, at)
        ignored += len(ignore)
        table = Instances.concatenate([dataset.instances_of(at), ignore])
        picture = PurePosixPath(row["image"])
        name = picture.name if picture.parts[0] == "images" else row["patch_id"]
        size = (row["width"], row["height"])
        images.append(AnnotatedImage(name, size, table, row["mpp"], partial(_pixels, dataset, at)))
    return images, _sentences(dataset, ignored)


def _pixels(dataset: Dataset, at: int) -> npt.NDArray[np.uint8]:
    return dataset.patch(at).image


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


def _sentences(dataset: Dataset, ignored: int) -> list[str]:
    said = []
    if ignored:
        said.append(f"What counts for nothing became {ignored} objects of class {IGNORE_CLASS!r}.")
    regions = dataset.instances.filter(pl.col("layer") == "region").height
    maps = int(dataset.patches["regions_sha256"].is_not_null().sum())
    if regions or maps:
        said.append(f"{regions} outlines of regions and the region maps of {maps} patches are not converted.")
    partly = int((~dataset.patches["exhaustive"]).sum())
    if partly:
        said.append(f"{partly} patches are not annotated completely; the files written do not say so.")
    annotated = dataset.instances["annotator"].count()
    if annotated:
        said.append(f"The annotators of {annotated} objects are not converted.")
    stated = [name for name in _NOT_CONVERTED if dataset.patches[name].count()]
    if stated:
        said.append(f"What the data set says about its patches is not converted: {', '.join(stated)}.")
    return said
