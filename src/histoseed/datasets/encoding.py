"""One patch into the bytes and rows of the common format; nothing is written here."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from histoseed.annotations import Instances, labels_from_instances
from histoseed.datasets.checks import (
    check_split,
    checked_ignore,
    checked_labels,
    checked_probabilities,
    checked_regions,
)
from histoseed.datasets.content import PatchContent, PatchFacts, SlideArea
from histoseed.datasets.info import DatasetInfo
from histoseed.datasets.near_names import nearest
from histoseed.datasets.numbering import label_ids
from histoseed.datasets.objects import label_rows, outline_rows
from histoseed.datasets.paths import check_patch_id
from histoseed.datasets.pixels import encode_label, encode_png, encode_probabilities
from histoseed.datasets.schema import INSTANCE_SCHEMA, PATCH_SCHEMA
from histoseed.errors import DatasetError
from histoseed.geometry import known_mpp, polygons_to_label
from histoseed.settings import Settings

__all__ = ["FILES", "EncodedPatch", "check_classes", "encode_patch"]

FILES = {
    "images": (".png", "image", "sha256"),
    "masks": (".tif", "mask", "mask_sha256"),
    "regions": (".tif", None, "regions_sha256"),
    "ignore": (".tif", None, "ignore_sha256"),
    "probs": (".npz", None, None),
}
"""Folder -> suffix, column of ``patches.parquet`` with the path, column with the hash."""


@dataclass(frozen=True, slots=True)
class EncodedPatch:
    """A patch ready to be written.

    Args:
        row: Its row of ``patches.parquet``.
        files: Path in the data set -> bytes.
        objects: Its rows of ``instances.parquet``.
        pixels_lost: Pixels of outlines that other outlines hide.
        objects_lost: Outlines without a pixel of their own.
        colors: Class name -> "#rrggbb" where the source states one.
    """

    row: dict[str, Any]
    files: Mapping[str, bytes]
    objects: pl.DataFrame
    pixels_lost: int
    objects_lost: int
    colors: Mapping[str, str]


def encode_patch(
    patch_id: str,
    content: PatchContent,
    facts: PatchFacts,
    info: DatasetInfo,
    settings: Settings,
    *,
    pixels: bool = True,
) -> EncodedPatch:
    """Check one patch against the format and encode it.

    Args:
        patch_id: Unique; it becomes the name of the files.
        content: What was read.
        facts: What is known of the patch; ``content.facts`` go before.
        info: What ``dataset.json`` says; class names of the layer *nucleus* are not checked here.
        settings: Limits.
        pixels: Whether to encode the files; without them only the tables are made.

    Raises:
        DatasetError: a shape, value or id that breaks the format; it names the patch.
        LimitError: a label above ``settings.max_objects``.
    """
    where = f"patch {patch_id!r}"
    check_patch_id(patch_id)
    shape = _shape_of(content.image, where)
    row = _patch_row(patch_id, shape, PatchFacts(**{**facts, **content.facts}), where)
    if isinstance(content.image, SlideArea):
        _check_slide_area(content, row, where)
        row |= {"image": content.image.path}
        tables, lost = [], (0, 0)
        files: dict[str, bytes] = {}
    else:
        labels, table, lost = _objects(patch_id, content, shape, info, settings)
        tables = [table]
        files = _pixel_files(patch_id, content, labels, table, info) if pixels else {}
        if labels.any() and not pixels:
            row |= {"mask": f"masks/{patch_id}.tif"}
    annotator = content.annotator
    for layer, outlined in (("region", content.region_outlines), ("ignore", content.ignore_outlines)):
        if outlined is not None and len(outlined):
            none = [None] * len(outlined)
            tables.append(outline_rows(patch_id, outlined, layer=layer, labels=none, annotator=annotator))
            if layer == "region":
                check_classes(tables[-1], {c.name for c in info.region_classes}, where, layer="region")
    objects = pl.concat([pl.DataFrame(schema=dict(INSTANCE_SCHEMA)), *tables])
    twice = objects.filter(pl.col("instance_id").is_duplicated())
    if twice.height:
        raise DatasetError(f"Two objects have the id {twice['instance_id'][0]}.", where=where)
    return EncodedPatch(
        row=row | _columns(files),
        files=files,
        objects=objects,
        pixels_lost=content.pixels_lost + lost[0],
        objects_lost=content.objects_lost + lost[1],
        colors=content.objects.colors if isinstance(content.objects, Instances) else {},
    )


def check_classes(rows: pl.DataFrame, known: Collection[str], where: str, *, layer: str = "nucleus") -> None:
    """Refuse class names of a layer that the data set does not list.

    Raises:
        DatasetError: the first of them, with the nearest one that is listed.
    """
    what = "class" if layer == "nucleus" else f"{layer} class"
    new = set(rows.filter(pl.col("layer") == layer)["class_name"].drop_nulls().unique().to_list()) - set(known)
    if new:
        fix = f"Name every {what} in the data set's info. {nearest(min(new), sorted(known))}"
        raise DatasetError(f"{min(new)!r} is not a {what} of the data set.", where=where, fix=fix)


def _shape_of(image: npt.NDArray[np.uint8] | SlideArea, where: str) -> tuple[int, int]:
    if isinstance(image, SlideArea):
        return image.height, image.width
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise DatasetError(f"The image is {image.dtype} of shape {image.shape}, not uint8 (H, W, 3).", where=where)
    return image.shape[0], image.shape[1]


def _patch_row(patch_id: str, shape: tuple[int, int], facts: PatchFacts, where: str) -> dict[str, Any]:
    """A row of ``patches.parquet`` without the columns of the files."""
    unknown = facts.keys() - PatchFacts.__annotations__.keys()
    if unknown:
        raise TypeError(f"add() got an unexpected keyword argument {min(unknown)!r}")
    mpp = facts.get("mpp")
    if mpp is not None and known_mpp(mpp) is None:
        raise DatasetError(f"{mpp} microns per pixel cannot be right.", where=where, fix="Give None if unknown.")
    check_split(facts.get("split"), where)
    row: dict[str, Any] = dict.fromkeys(PATCH_SCHEMA)
    row |= {"patch_id": patch_id, "width": shape[1], "height": shape[0], "exhaustive": True, **facts}
    row["mpp_source"] = "unknown" if mpp is None else facts.get("mpp_source") or "user"
    row["group"] = next((v for k in ("group", "patient", "slide", "centre") if (v := row[k]) is not None), None)
    return row


def _check_slide_area(content: PatchContent, row: Mapping[str, Any], where: str) -> None:
    """An area of a slide has a place, and nothing that would have to be drawn at its size."""
    if row["x"] is None or row["y"] is None:
        raise DatasetError("An area of a slide needs x and y.", where=where)
    drawn = ("objects", "regions", "ignore", "probabilities")
    given = [name for name in drawn if getattr(content, name) is not None]
    if given:
        what = f"{given[0]!r} cannot be drawn at the size of a slide."
        raise DatasetError(what, where=where, fix="Give outlines of regions, or cut patches.")


def _objects(
    patch_id: str, content: PatchContent, shape: tuple[int, int], info: DatasetInfo, settings: Settings
) -> tuple[npt.NDArray[np.integer], pl.DataFrame, tuple[int, int]]:
    """The label image, the rows of the objects, and what overlap cost: pixels, objects."""
    objects, annotator = content.objects, content.annotator
    if isinstance(objects, Instances):
        labels, report = labels_from_instances(objects, shape)
        visible = set(label_ids(labels).tolist())
        label_of: Sequence[int | None] = [i if i in visible else None for i in range(1, len(objects) + 1)]
        table = outline_rows(patch_id, objects, layer="nucleus", labels=label_of, annotator=annotator)
        return labels, table, (report.pixels_lost, report.objects_lost)
    labels_ = checked_labels(objects, shape, f"patch {patch_id!r}", settings)
    named, scored = content.class_of or {}, content.scores or {}
    table = label_rows(patch_id, labels_, info.name, named, scored, source=content.source, annotator=annotator)
    if content.marks is not None and len(content.marks):
        none = [None] * len(content.marks)
        marked = outline_rows(patch_id, content.marks, layer="nucleus", labels=none, annotator=annotator)
        table = pl.concat([table, marked])
    return labels_, table, (0, 0)


def _pixel_files(
    patch_id: str, content: PatchContent, labels: npt.NDArray[np.integer], table: pl.DataFrame, info: DatasetInfo
) -> dict[str, bytes]:
    """Path in the data set -> bytes."""
    where, shape = f"patch {patch_id!r}", (labels.shape[0], labels.shape[1])
    data = {"images": encode_png(np.asarray(content.image))}
    if labels.any():
        narrow = np.uint16 if labels.max() <= np.iinfo(np.uint16).max else np.uint32
        data["masks"] = encode_label(labels.astype(narrow))
    if content.regions is not None:
        data["regions"] = encode_label(checked_regions(content.regions, shape, where, len(info.region_classes)))
    ignore = None if content.ignore is None else checked_ignore(content.ignore, shape, where)
    if content.ignore_outlines is not None and len(content.ignore_outlines):
        outlined = content.ignore_outlines
        drawn = polygons_to_label(outlined.geometry[outlined.kind == "polygon"], shape) > 0
        ignore = drawn if ignore is None else ignore | drawn
    if ignore is not None and ignore.any():
        data["ignore"] = encode_label(ignore.astype(np.uint8))
    if content.probabilities is not None:
        wanted = (int(table["label"].count()), len(info.classes))
        data["probs"] = encode_probabilities(checked_probabilities(content.probabilities, wanted, where))
    return {f"{folder}/{patch_id}{FILES[folder][0]}": content_ for folder, content_ in data.items()}


def _columns(files: Mapping[str, bytes]) -> dict[str, str]:
    """The columns of ``patches.parquet`` that name the files and their hashes."""
    columns = {}
    for path, data in files.items():
        _, path_column, hash_column = FILES[path.partition("/")[0]]
        if path_column is not None:
            columns[path_column] = path
        if hash_column is not None:
            columns[hash_column] = hashlib.sha256(data).hexdigest()
    return columns
