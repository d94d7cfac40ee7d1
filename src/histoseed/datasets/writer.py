"""Write a data set: one patch at a time, whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict, Unpack

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow.parquet as pq

from histoseed.annotations import Instances, labels_from_instances
from histoseed.datasets.checks import (
    check_split,
    checked_ignore,
    checked_labels,
    checked_probabilities,
    checked_regions,
    nearest,
)
from histoseed.datasets.info import DatasetInfo, named_classes
from histoseed.datasets.numbering import label_ids
from histoseed.datasets.objects import label_rows, outline_rows
from histoseed.datasets.patch import Patch
from histoseed.datasets.paths import check_patch_id, side_file
from histoseed.datasets.pixels import encode_label, encode_png, encode_probabilities
from histoseed.datasets.schema import INSTANCE_SCHEMA, PATCH_SCHEMA
from histoseed.errors import DatasetError
from histoseed.files import staged_folder, write_json
from histoseed.geometry import known_mpp, polygons_to_label
from histoseed.settings import Settings, read_settings

__all__ = ["DatasetWriter", "PatchFacts", "write_dataset"]

_ROWS_HELD = 50_000


class PatchFacts(TypedDict, total=False):
    """What may be known of a patch; every field may be left out.

    Attributes:
        mpp: Microns per pixel, None where unknown.
        mpp_source: "metadata" or "user"; "user" is assumed where an mpp is given.
        exhaustive: Whether every object is annotated; true where it is not said.
        x: Left border in its slide, level-0 pixels.
        y: Upper border in its slide, level-0 pixels.
        group: What stays on one side of a split; left out, it is the patient, else the slide, else the centre.
        patient: Patient.
        slide: Slide.
        centre: Hospital or laboratory.
        organ: Organ.
        split: "train", "val" or "test".
        fold: Number of an official fold.
    """

    mpp: float | None
    mpp_source: str
    exhaustive: bool
    x: float | None
    y: float | None
    group: str | None
    patient: str | None
    slide: str | None
    centre: str | None
    organ: str | None
    split: str | None
    fold: int | None


class DatasetWriter:
    """A context manager that makes a data-set folder; it appears only when the block ends well.

    Pixels go to the disk with each :meth:`add`, objects every 50,000 rows, so that memory does not grow with them.

    Args:
        path: The folder to make; absent or empty, unless ``overwrite`` is given.
        info: What ``dataset.json`` is to say. Losses by overlap are appended to ``known_problems`` at the end.
        overwrite: Replace a folder that stands there, once the new one is complete.
        open_classes: Classes that ``info`` does not list are appended to it (sorted by name) instead of refused.
        settings: Limits; read from the environment when left out.

    Raises:
        OutputError: the folder is not empty, the disk is full, or the place is not writable.
        DatasetError: what is added breaks the format; nothing is left behind.
    """

    def __init__(
        self,
        path: Path | str,
        info: DatasetInfo,
        *,
        overwrite: bool = False,
        open_classes: bool = False,
        settings: Settings | None = None,
    ) -> None:
        self.path = Path(path)
        self._info = info
        self._overwrite = overwrite
        self._open_classes = open_classes
        self._settings = read_settings() if settings is None else settings
        self._stack = contextlib.ExitStack()
        self._stage: Path | None = None
        self._table: Any = None
        self._held: list[pl.DataFrame] = []
        self._patches: list[dict[str, Any]] = []
        self._seen: set[str] = set()
        self._colors: dict[str, str] = {}
        self._classes = {c.name for c in info.classes}
        self._notes: list[str] = []
        self._problems: list[str] = []
        self._pixels_lost = 0
        self._objects_lost = 0
        self._patches_with_loss = 0

    def __enter__(self) -> Self:
        self._stage = self._stack.enter_context(staged_folder(self.path, overwrite=self._overwrite))
        (self._stage / "images").mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if kind is not None:
            with contextlib.suppress(OSError, ValueError):  # a full disk; the error that led here is the one to tell
                self._close_table()
            return self._stack.__exit__(kind, error, trace)
        with self._stack:
            self._finish()
        return None

    def note(self, text: str) -> None:
        """Append a sentence to the ``notes`` of ``dataset.json``."""
        self._notes.append(text)

    def problem(self, text: str) -> None:
        """Append a sentence to the ``known_problems`` of ``dataset.json``."""
        self._problems.append(text)

    @property
    def losses(self) -> tuple[int, int]:
        """Pixels and objects that overlap has cost so far."""
        return self._pixels_lost, self._objects_lost

    def add(
        self,
        patch_id: str,
        image: npt.NDArray[np.uint8],
        objects: npt.NDArray[np.integer] | Instances | None = None,
        *,
        class_of: Mapping[int, str | None] | None = None,
        scores: Mapping[int, float] | None = None,
        source: str | None = None,
        annotator: str | None = None,
        probabilities: npt.NDArray[np.floating] | None = None,
        regions: npt.NDArray[np.uint8] | None = None,
        ignore: npt.NDArray[np.bool_] | None = None,
        ignore_outlines: Instances | None = None,
        **facts: Unpack[PatchFacts],
    ) -> None:
        """Write one patch.

        Args:
            patch_id: Unique; it becomes the name of the files.
            image: (H, W, 3) uint8, RGB.
            objects: A label image (H, W) of integers, or outlines, boxes and points in the patch's own pixels. Outlines
                that overlap are flattened (later rows lie on top) and keep their geometry; boxes and points are never
                drawn.
            class_of: Label -> class name, for a label image.
            scores: Label -> confidence, for a label image.
            source: Who or what made the objects of a label image.
            annotator: Who drew the objects.
            probabilities: (N, C) class probabilities, rows ascending by label, columns in the order of the classes.
            regions: (H, W) map of region classes; value k is ``info.region_classes[k - 1]``, 0 says nothing.
            ignore: (H, W) bool, area that counts for nothing.
            ignore_outlines: Outlines that are drawn into the ignore area and kept as objects of the layer *ignore*.
            **facts: What is known of the patch, see :class:`PatchFacts`.

        Raises:
            DatasetError: a shape, value, class or id that breaks the format; it names the patch.
            LimitError: a label above ``settings.max_objects``.
        """
        stage, where = self._running(), f"patch {patch_id!r}"
        check_patch_id(patch_id)
        if patch_id.casefold() in self._seen:
            raise DatasetError("The patch id was used before (upper and lower case count as equal).", where=where)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise DatasetError(f"The image is {image.dtype} of shape {image.shape}, not uint8 (H, W, 3).", where=where)
        shape = (image.shape[0], image.shape[1])
        row = _patch_row(patch_id, shape, facts, where)
        if isinstance(objects, Instances):
            labels, rows = self._flatten(patch_id, objects, shape, annotator)
        else:
            labels = checked_labels(objects, shape, where, self._settings)
            named, scored = class_of or {}, scores or {}
            rows = label_rows(patch_id, labels, self._info.name, named, scored, source=source, annotator=annotator)
        self._check_classes(rows, where)
        tables = [rows]
        if ignore is not None:
            checked_ignore(ignore, shape, where)
        if ignore_outlines is not None and len(ignore_outlines):
            none = [None] * len(ignore_outlines)
            tables.append(outline_rows(patch_id, ignore_outlines, layer="ignore", labels=none, annotator=annotator))
            drawn = polygons_to_label(ignore_outlines.geometry[ignore_outlines.kind == "polygon"], shape) > 0
            ignore = drawn if ignore is None else ignore | drawn

        files: dict[str, bytes] = {"images": encode_png(image)}
        if labels.any():
            files["masks"] = encode_label(_narrow(labels))
        if regions is not None:
            files["regions"] = encode_label(checked_regions(regions, shape, where, len(self._info.region_classes)))
        if ignore is not None and ignore.any():
            files["ignore"] = encode_label(ignore.astype(np.uint8))
        if probabilities is not None:
            wanted = (int(rows["label"].count()), len(self._info.classes))
            files["probs"] = encode_probabilities(checked_probabilities(probabilities, wanted, where))
        self._patches.append(row | _put_files(stage, patch_id, files))
        self._seen.add(patch_id.casefold())
        self._hold(tables)

    def add_patch(self, patch: Patch, *, source: str | None = None, scores: Mapping[int, float] | None = None) -> None:
        """Write a patch that was read from another data set or cut out of one, with its labels, classes and facts.

        Its objects become objects of kind *mask*: boxes, points and outlines finer than pixels are no part of a patch.
        """
        names = (None, *patch.classes)
        self.add(
            patch.patch_id,
            patch.image,
            patch.labels,
            class_of={int(label): names[patch.class_ids[label]] for label in patch.label_ids},
            scores=scores,
            source=source,
            regions=patch.regions,
            ignore=patch.ignore,
            mpp=patch.mpp,
            mpp_source=patch.mpp_source,
            exhaustive=patch.exhaustive,
            x=patch.x,
            y=patch.y,
            group=patch.group,
            patient=patch.patient,
            slide=patch.slide,
            centre=patch.centre,
            organ=patch.organ,
            split=patch.split,
            fold=patch.fold,
        )

    def _running(self) -> Path:
        if self._stage is None:
            raise DatasetError("The writer is not open.", fix="Use it as `with DatasetWriter(...) as writer:`.")
        return self._stage

    def _flatten(
        self, patch_id: str, objects: Instances, shape: tuple[int, int], annotator: str | None
    ) -> tuple[npt.NDArray[np.integer], pl.DataFrame]:
        """Draw the polygons, count what overlap costs, and make one row an object."""
        labels, report = labels_from_instances(objects, shape)
        self._pixels_lost += report.pixels_lost
        self._objects_lost += report.objects_lost
        self._patches_with_loss += bool(report.pixels_lost or report.objects_lost)
        visible = set(label_ids(labels).tolist())
        label_of = [i if i in visible else None for i in range(1, len(objects) + 1)]
        self._colors |= objects.colors
        return labels, outline_rows(patch_id, objects, layer="nucleus", labels=label_of, annotator=annotator)

    def _check_classes(self, rows: pl.DataFrame, where: str) -> None:
        new = set(rows["class_name"].drop_nulls().unique().to_list()) - self._classes
        if new and not self._open_classes:
            fix = f"Name every class in the data set's info. {nearest(min(new), sorted(self._classes))}"
            raise DatasetError(f"{min(new)!r} is not a class of the data set.", where=where, fix=fix)
        self._classes |= new

    def _hold(self, tables: Iterable[pl.DataFrame]) -> None:
        self._held.extend(tables)
        if sum(frame.height for frame in self._held) >= _ROWS_HELD:
            self._flush()

    def _flush(self) -> None:
        empty = pl.DataFrame(schema=dict(INSTANCE_SCHEMA))
        table = pl.concat([empty, *self._held]).to_arrow(compat_level=pl.CompatLevel.oldest())
        self._held = []
        if self._table is None:
            path = self._running() / "instances.parquet"
            self._table = pq.ParquetWriter(path, table.schema, compression="zstd")
        self._table.write_table(table)

    def _close_table(self) -> None:
        if self._table is not None:
            self._table.close()
            self._table = None

    def _finish(self) -> None:
        """Write the tables and ``dataset.json``; the folder is complete afterwards."""
        stage = self._running()
        if not self._patches:
            raise DatasetError("The data set has no patch.", where=self.path)
        self._flush()
        self._close_table()
        pl.DataFrame(self._patches, schema=dict(PATCH_SCHEMA)).write_parquet(stage / "patches.parquet")
        write_json(stage / "dataset.json", self._final_info().to_json())

    def _final_info(self) -> DatasetInfo:
        info = self._info
        new = sorted(self._classes - {c.name for c in info.classes})
        classes = (*info.classes, *named_classes(new, self._colors))
        problems = [*info.known_problems, *self._problems]
        if self._patches_with_loss:
            problems.append(
                f"Overlapping outlines were flattened into label images: {self._pixels_lost} pixels and "
                f"{self._objects_lost} whole objects of {self._patches_with_loss} patches are hidden there; "
                "their outlines are kept in instances.parquet."
            )
        return replace(info, classes=classes, known_problems=tuple(problems), notes=(*info.notes, *self._notes))


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


_FILES = {  # folder: (suffix, column of the path, column of the hash)
    "images": (".png", "image", "sha256"),
    "masks": (".tif", "mask", "mask_sha256"),
    "regions": (".tif", None, "regions_sha256"),
    "ignore": (".tif", None, "ignore_sha256"),
    "probs": (".npz", None, None),
}


def _put_files(stage: Path, patch_id: str, files: Mapping[str, bytes]) -> dict[str, str]:
    """Write the files of a patch and give the columns that name them and their hashes."""
    columns = {}
    for folder, data in files.items():
        suffix, path_column, hash_column = _FILES[folder]
        path = side_file(stage, folder, patch_id, suffix)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        if path_column is not None:
            columns[path_column] = f"{folder}/{path.name}"
        if hash_column is not None:
            columns[hash_column] = hashlib.sha256(data).hexdigest()
    return columns


def _narrow(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.integer]:
    return labels.astype(np.uint16 if labels.max() <= np.iinfo(np.uint16).max else np.uint32)


def write_dataset(
    path: Path | str,
    info: DatasetInfo,
    patches: Iterable[Patch],
    *,
    overwrite: bool = False,
    settings: Settings | None = None,
) -> None:
    """Write patches that are in memory, or come from a generator, as a data set.

    Raises:
        OutputError: the folder is not empty, the disk is full, or the place is not writable.
        DatasetError: a patch breaks the format; nothing is left behind.
    """
    with DatasetWriter(path, info, overwrite=overwrite, settings=settings) as writer:
        for patch in patches:
            writer.add_patch(patch)
