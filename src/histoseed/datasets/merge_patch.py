"""One patch of a data set that is merged: its files copied, or written anew where a class left or has a new number."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import shapely

from histoseed.datasets.dataset import Dataset
from histoseed.datasets.encoding import FILES
from histoseed.datasets.mappings import Resolved, Target
from histoseed.datasets.matching import object_spans
from histoseed.datasets.paths import image_path, inside, side_file
from histoseed.datasets.pixels import encode_label, encode_probabilities
from histoseed.datasets.verify import check_hashes
from histoseed.errors import DatasetError
from histoseed.files import sha256_of
from histoseed.geometry import label_to_polygons, paint_spans, pixel_spans

__all__ = ["Merged", "Source", "merged_patch"]

Labels = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Source:
    """A data set that is merged.

    Args:
        dataset: The data set.
        title: What notes and new ids call it; no two alike.
        classes: What becomes of its classes.
        columns: Class of the merged data set -> its place, for class probabilities.
        region_values: Region class of the merged data set -> its value in region maps.
    """

    dataset: Dataset
    title: str
    classes: Resolved
    columns: Mapping[str, int]
    region_values: Mapping[str, int]

    @property
    def same_probabilities(self) -> bool:
        """Whether class probabilities can be copied."""
        plain = {c.name: Target("class", c.name) for c in self.dataset.classes}
        return self.classes.objects == plain and list(self.columns) == list(plain)

    def region_table(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
        """Old value of a region map -> new value, and whether it becomes ignore area; (K + 1,) each."""
        values = np.zeros(len(self.dataset.info.region_classes) + 1, dtype=np.uint8)
        ignored = np.zeros(len(values), dtype=bool)
        for old, entry in enumerate(self.dataset.info.region_classes, start=1):
            target = self.classes.regions[entry.name]
            ignored[old] = target.fate == "ignore"
            values[old] = self.region_values[target.name] if target.fate == "class" else 0
        return values, ignored


@dataclass(frozen=True, slots=True)
class Merged:
    """What one patch became.

    Args:
        row: Columns of ``patches.parquet`` that changed.
        objects: Its rows of ``instances.parquet``.
        dropped: Objects that became background.
        ignored: Objects that became ignore area.
    """

    row: Mapping[str, Any]
    objects: pl.DataFrame
    dropped: int
    ignored: int


def merged_patch(source: Source, row: Mapping[str, Any], new_id: str, stage: Path) -> Merged:
    """Bring one patch into the merged data set.

    Args:
        source: Its data set.
        row: Its row of ``patches.parquet``.
        new_id: Its id in the merged data set.
        stage: Folder of the merged data set.

    Raises:
        DatasetError: a file that was changed, cannot be read, or is a slide that another data set has too.
    """
    dataset, where = source.dataset, f"patch {row['patch_id']!r} of {source.title}"
    check_hashes(dataset.path, row, dataset.slides, where)
    objects = dataset.objects(row["patch_id"])
    fates = _fates(objects, source.classes)
    renamed = objects.with_columns(
        pl.lit(new_id).alias("patch_id"),
        pl.Series("class_name", [name for _, name in fates], dtype=pl.String),
    )
    gone, ignored = (
        pl.Series([fate in wanted for fate, _ in fates], dtype=pl.Boolean)
        for wanted in (("drop", "ignore"), ("ignore",))
    )
    values, ignored_regions = source.region_table()
    renumbered = bool(ignored_regions.any() or (values != np.arange(len(values))).any())
    renumbered &= side_file(dataset.path, "regions", row["patch_id"]).is_file()
    kept, area = renamed.filter(~gone), renamed.filter(ignored)
    labels = regions = ignore = None
    if row["image"].startswith("images/") and (gone.any() or renumbered):
        patch = dataset.patch(row["patch_id"])
        after, kept = _without(patch.labels, renamed, gone)
        labels = None if np.array_equal(patch.labels, after) else after
        # What is left on top of an ignored object still counts, but nothing does in an ignored region.
        ignore = _area(patch.labels, area.filter(pl.col("layer") == "nucleus")) & (after == 0)
        ignore |= _area(patch.labels, area.filter(pl.col("layer") != "nucleus"))
        if renumbered:
            regions = values[patch.regions]
            ignore |= ignored_regions[patch.regions]
        ignore = None if not ignore.any() else ignore if patch.ignore is None else ignore | patch.ignore
        area = _outlined(area, patch.labels)
    area = area.with_columns(pl.lit("ignore").alias("layer"), pl.lit(None, dtype=pl.Int64).alias("label"))
    table = pl.concat([kept, area])
    put = _Files(source, row["patch_id"], new_id, stage)
    columns = {"patch_id": new_id, "image": _copy_image(source, row, new_id, stage), **put.labels(row["mask"], labels)}
    columns |= put.plane("regions", regions) | put.plane("ignore", None if ignore is None else ignore.astype(np.uint8))
    put.probabilities(objects, table)
    return Merged(columns, table, int((gone & ~ignored).sum()), int(ignored.sum()))


def _fates(objects: pl.DataFrame, classes: Resolved) -> list[tuple[str, str | None]]:
    """What becomes of each object: its fate, and the class name that it gets."""
    out: list[tuple[str, str | None]] = []
    tables = {"nucleus": classes.objects, "region": classes.regions}
    for layer, name in objects.select("layer", "class_name").iter_rows():
        if layer not in tables or (name is None and layer != "nucleus"):
            out.append(("class", name))
            continue
        target = classes.unclassified if name is None else tables[layer][name]
        # What becomes ignore area keeps its old name: it says why nothing counts there.
        out.append((target.fate, {"class": target.name, "ignore": name}.get(target.fate)))
    return out


def _without(labels: Labels, objects: pl.DataFrame, gone: pl.Series) -> tuple[Labels, pl.DataFrame]:
    """The label image and the rows without some objects; outlines that they hid come to light."""
    rest = objects.filter(~gone)
    hidden = np.isin(labels, objects.filter(gone)["label"].drop_nulls().to_numpy()) & (labels > 0)
    out = np.where(hidden, 0, labels).astype(np.int32)
    polygons = rest.with_row_index("_row").filter((pl.col("kind") == "polygon") & (pl.col("layer") == "nucleus"))
    if not polygons.height or not hidden.any():
        return out, rest
    free = int(labels.max()) + 1
    numbers = np.array([free + k if label is None else label for k, label in enumerate(polygons["label"])])
    spans = pixel_spans(shapely.from_wkb(polygons["geometry"].to_numpy()), labels.shape)
    painted = paint_spans(spans, numbers.astype(np.int32), labels.shape)
    out = np.where(hidden, painted, out)
    new = {row: int(n) for row, n in zip(polygons["_row"], numbers, strict=True) if n >= free and (out == n).any()}
    labelled = [new.get(row, label) for row, label in enumerate(rest["label"])]
    return out, rest.with_columns(pl.Series("label", labelled, dtype=pl.Int64))


def _area(labels: Labels, objects: pl.DataFrame) -> npt.NDArray[np.bool_]:
    """The pixels of some objects, (H, W) bool."""
    spans = object_spans(objects, labels)
    return paint_spans(spans, np.ones(objects.height, dtype=np.uint8), labels.shape) > 0


def _outlined(objects: pl.DataFrame, labels: Labels) -> pl.DataFrame:
    """Rows of kind *mask* become polygons along their pixels."""
    ids, polygons = label_to_polygons(labels)
    outline = dict(zip(ids.tolist(), shapely.to_wkb(polygons).tolist(), strict=True))
    pairs = objects.select("geometry", "label").iter_rows()
    shapes = [geometry if geometry is not None else outline[label] for geometry, label in pairs]
    return objects.with_columns(
        pl.col("kind").replace("mask", "polygon"), pl.Series("geometry", shapes, dtype=pl.Binary)
    )


def _copy_image(source: Source, row: Mapping[str, Any], new_id: str, stage: Path) -> str:
    """Copy the picture; a slide that lies outside the data set stays where it is."""
    dataset = source.dataset
    path, is_slide = image_path(dataset.path, row["image"], f"patch {row['patch_id']!r}", dataset.slides)
    name = row["image"] if is_slide else f"images/{new_id}.png"
    if is_slide and not path.is_relative_to(dataset.path):
        return str(name)
    target = stage / name
    if is_slide and target.is_file():
        if sha256_of(target) != sha256_of(path):
            what = f"Another data set has another slide at {name!r}."
            raise DatasetError(what, where=source.title, fix="Rename one of the slides and its rows.")
        return str(name)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)
    return str(name)


@dataclass(frozen=True, slots=True)
class _Files:
    """Puts the files of one patch into the merged data set, copied or new."""

    source: Source
    old_id: str
    new_id: str
    stage: Path

    def _put(self, folder: str, old: Path, data: bytes | None) -> str | None:
        """Write or copy one file; its hash, or None where there is no file."""
        if data is None and not old.is_file():
            return None
        path = side_file(self.stage, folder, self.new_id, FILES[folder][0])
        path.parent.mkdir(exist_ok=True)
        content = old.read_bytes() if data is None else data
        path.write_bytes(content)
        return hashlib.sha256(content).hexdigest()

    def labels(self, mask: str | None, labels: Labels | None) -> dict[str, Any]:
        """The mask; ``labels`` is None where it did not change."""
        none = {"mask": None, "mask_sha256": None}
        if mask is None or (labels is not None and not labels.any()):
            return none
        data = None
        if labels is not None:
            narrow = np.uint16 if labels.max() <= np.iinfo(np.uint16).max else np.uint32
            data = encode_label(labels.astype(narrow))
        found = self._put("masks", inside(self.source.dataset.path, mask, self.old_id), data)
        return {"mask": f"masks/{self.new_id}.tif", "mask_sha256": found}

    def plane(self, folder: str, plane: npt.NDArray[np.uint8] | None) -> dict[str, Any]:
        """Regions or ignore area; None where it did not change."""
        data = None if plane is None else encode_label(plane)
        old = side_file(self.source.dataset.path, folder, self.old_id)
        return {f"{folder}_sha256": self._put(folder, old, data)}

    def probabilities(self, before: pl.DataFrame, after: pl.DataFrame) -> None:
        """Class probabilities: columns of joined classes are added up, those of classes that left are gone."""
        old = side_file(self.source.dataset.path, "probs", self.old_id, ".npz")
        if not old.is_file():
            return
        if self.source.same_probabilities and before.height == after.height:
            self._put("probs", old, None)
            return
        values = np.asarray(self.source.dataset.probabilities(self.old_id))
        row_of = {label: k for k, label in enumerate(sorted(before["label"].drop_nulls()))}
        kept = sorted(after["label"].drop_nulls())
        out = np.zeros((len(kept), len(self.source.columns)), dtype=np.float32)
        for old_column, entry in enumerate(self.source.dataset.classes):
            target = self.source.classes.objects[entry.name]
            if target.fate == "class":
                for k, label in enumerate(kept):
                    if label in row_of:
                        out[k, self.source.columns[target.name]] += values[row_of[label], old_column]
        self._put("probs", old, encode_probabilities(out))
