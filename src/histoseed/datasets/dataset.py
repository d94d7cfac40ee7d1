"""Read a data set in the common format, and check it while reading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from histoseed.annotations import Instances
from histoseed.datasets.checks import check_files, check_instances, check_patches, patch_row
from histoseed.datasets.info import ClassInfo, DatasetInfo, read_info
from histoseed.datasets.marks import marks_of_rows
from histoseed.datasets.near_names import nearest
from histoseed.datasets.objects import read_outlines
from histoseed.datasets.patch import Patch
from histoseed.datasets.paths import image_path, inside, side_file
from histoseed.datasets.pixels import read_label, read_png, read_probabilities
from histoseed.datasets.schema import INSTANCE_SCHEMA, PATCH_SCHEMA, read_table
from histoseed.datasets.summary import describe
from histoseed.datasets.verify import check_hashes, check_labels, check_measures
from histoseed.errors import DatasetError, InputError, LimitError
from histoseed.geometry import Region
from histoseed.settings import Settings, read_settings
from histoseed.slides import Slide, open_slide

__all__ = ["Dataset", "read_dataset"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set on the disk, or a selection of its patches. Pixels are read when a patch is asked for.

    Args:
        path: Its folder.
        info: The contents of ``dataset.json``.
        patches: Rows of ``patches.parquet``, one a patch.
        instances: Rows of ``instances.parquet``, one an object.
        slides: Folder of whole slides that rows may name, None if they lie in the data set.
        settings: Limits.
        file_rows: Patch id -> row of ``patches.parquet``, for messages; a selection keeps the numbers of the file.
    """

    path: Path
    info: DatasetInfo
    patches: pl.DataFrame
    instances: pl.DataFrame
    slides: Path | None
    settings: Settings
    file_rows: Mapping[str, int]

    @property
    def name(self) -> str:
        """Short name of the data set."""
        return self.info.name

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """Classes of the objects; class index k is ``classes[k - 1]``."""
        return self.info.classes

    @property
    def patch_ids(self) -> list[str]:
        """Ids of the patches in the order of the table."""
        return list(self.patches["patch_id"])

    def __len__(self) -> int:
        return self.patches.height

    def __iter__(self) -> Iterator[Patch]:
        return (self.patch(i) for i in range(len(self)))

    @cached_property
    def _row_of(self) -> dict[str, int]:
        return {patch_id: i for i, patch_id in enumerate(self.patches["patch_id"])}

    @cached_property
    def _objects_of(self) -> dict[str, pl.Series]:
        """Patch id -> rows of ``instances``; found once, so that reading all patches stays linear."""
        rows = self.instances.with_row_index("_row").group_by("patch_id", maintain_order=True).agg("_row")
        return dict(zip(rows["patch_id"], rows["_row"], strict=True))

    def row(self, key: int | str) -> int:
        """The row of a patch that is named by its id or its position.

        Raises:
            DatasetError: there is no such patch; the message offers the nearest id.
        """
        if isinstance(key, str):
            if key not in self._row_of:
                fix = nearest(key, self.patch_ids)
                raise DatasetError(f"There is no patch {key!r}.", where=self.path, fix=fix)
            return self._row_of[key]
        if not -len(self) <= key < len(self):
            raise DatasetError(f"There is no patch number {key}; the data set has {len(self):,}.", where=self.path)
        return key % len(self)

    def objects(self, key: int | str) -> pl.DataFrame:
        """The rows of ``instances.parquet`` of one patch, every layer and kind."""
        patch_id = self.patches["patch_id"][self.row(key)]
        rows = self._objects_of.get(patch_id)
        return self.instances.clear() if rows is None else self.instances[rows]

    def patch(self, key: int | str) -> Patch:
        """Read one patch and check that pixels and tables agree.

        Args:
            key: Its id or its position.

        Raises:
            DatasetError: a file is missing, damaged or of another size, or the labels in the mask are not the labels in
                ``instances.parquet``.
            LimitError: an area of a slide of more than ``max_pixels``; :meth:`instances_of` reads its objects.
        """
        at = self.row(key)
        row = self.patches.row(at, named=True)
        where = self._where(row["patch_id"])
        if self._is_large_area(row):
            size = f"{row['width']} x {row['height']} pixels"
            what = f"The patch is an area of a slide, and its {size} are more than is read at once (max_pixels)."
            fix = (
                "Cut smaller ones out (`histoseed dataset windows`), or give the slide itself where a command takes it."
            )
            raise LimitError(what, where=where, fix=fix)
        shape = (row["height"], row["width"])
        labels = self._labels(row, shape, where)
        rows = self.objects(at)
        objects = rows.filter(pl.col("label").is_not_null())
        check_labels(self.path, row, labels, objects, where)
        class_ids = np.zeros(int(labels.max()) + 1, dtype=np.int32)
        index = self.info.class_index()
        class_ids[objects["label"].to_numpy()] = [0 if c is None else index[c] for c in objects["class_name"]]
        ignore = self._side("ignore", row, shape, where)
        regions = self._side("regions", row, shape, where)
        if regions is not None and regions.max() > len(self.info.region_classes):
            what = f"regions/{row['patch_id']}.tif holds {regions.max()}; dataset.json names fewer region classes."
            raise DatasetError(what, where=where)
        facts = (
            "mpp",
            "mpp_source",
            "exhaustive",
            "x",
            "y",
            "group",
            "patient",
            "slide",
            "centre",
            "organ",
            "split",
            "fold",
        )
        return Patch(
            patch_id=row["patch_id"],
            image=self._image(row, shape, where),
            labels=labels,
            class_ids=class_ids,
            classes=tuple(c.name for c in self.info.classes),
            ignore=None if ignore is None else ignore > 0,
            regions=regions,
            region_classes=tuple(c.name for c in self.info.region_classes),
            marks=marks_of_rows(rows, index),
            **{name: row[name] for name in facts},
        )

    def instances_of(self, key: int | str) -> Instances:
        """The objects of one patch (layer *nucleus*) with their geometry, in the patch's own pixels.

        Where the table keeps a geometry, it is taken; the others get the outline of their pixels.

        Raises:
            DatasetError: a geometry that cannot be read, or a mask that :meth:`patch` would refuse.
        """
        at = self.row(key)
        row = self.patches.row(at, named=True)
        where = self._where(row["patch_id"])
        objects = self.objects(at).filter(pl.col("layer") == "nucleus")
        # Without a mask nothing is drawn, and an area of a slide may be larger than the memory.
        shape = (1, 1) if row["mask"] is None else (row["height"], row["width"])
        labels = self._labels(row, shape, where)
        check_labels(self.path, row, labels, objects.filter(pl.col("label").is_not_null()), where)
        colors = {c.name: c.color for c in self.info.classes}
        table = f"{self.path / 'instances.parquet'} (patch {row['patch_id']!r})"
        return read_outlines(objects, labels, where=table, colors=colors)

    def probabilities(self, key: int | str) -> npt.NDArray[np.float32] | None:
        """Class probabilities of the objects of one patch, (N, C) ascending by label; None where none are stored.

        Raises:
            DatasetError: the file is damaged, or has another number of objects or classes.
        """
        at = self.row(key)
        path = side_file(self.path, "probs", self.patches["patch_id"][at], ".npz")
        if not path.is_file():
            return None
        return read_probabilities(path, (int(self.objects(at)["label"].count()), len(self.classes)))

    def select(
        self,
        *,
        split: str | Iterable[str] | None = None,
        groups: str | Iterable[str] | None = None,
        patch_ids: str | Iterable[str] | None = None,
    ) -> Dataset:
        """The patches that fulfil every condition given, in the order of the table.

        Raises:
            DatasetError: a split, group or id that does not occur, or nothing is left.
        """
        keep = pl.lit(value=True)
        for column, wanted in (("split", split), ("group", groups), ("patch_id", patch_ids)):
            if wanted is None:
                continue
            names = [wanted] if isinstance(wanted, str) else list(wanted)
            known = self.patches[column].drop_nulls().unique().sort().to_list()
            for name in sorted(set(names) - set(known)):
                raise DatasetError(f"No patch has the {column} {name!r}.", where=self.path, fix=nearest(name, known))
            keep &= pl.col(column).is_in(pl.Series(names, dtype=pl.String).implode())
        return self._with(self.patches.filter(keep))

    def subset(self, keys: Iterable[int | str]) -> Dataset:
        """The patches of these ids or positions, in this order.

        Raises:
            DatasetError: there is no such patch, none is named, or one twice.
        """
        rows = [self.row(key) for key in ([keys] if isinstance(keys, str) else keys)]
        if len(set(rows)) != len(rows):
            raise DatasetError("A patch is named twice.", where=self.path)
        return self._with(self.patches[rows])

    def _with(self, patches: pl.DataFrame) -> Dataset:
        if not patches.height:
            raise DatasetError("The selection holds no patch.", where=self.path)
        return replace(self, patches=patches, instances=self.instances.join(patches, on="patch_id", how="semi"))

    def describe(self) -> dict[str, Any]:
        """Counts for people: patches, objects by class and kind, sizes, groups, resolutions, splits; JSON values."""
        return describe(self.path, self.info, self.patches, self.instances)

    def verify(self) -> None:
        """Read everything and compare it with the tables: hashes, sizes, labels, areas and boxes.

        Of an area of a slide that is too large to be read at once, only its place in the slide is checked.

        Raises:
            DatasetError: the first fault; it names file and row.
        """
        for at, row in enumerate(self.patches.iter_rows(named=True)):
            where = self._where(row["patch_id"])
            check_hashes(self.path, row, self.slides, where)
            if self._is_large_area(row):
                self._check_area(row, where)
            else:
                check_measures(self.path, self.patch(at).labels, self.objects(at), row["patch_id"])
            self.instances_of(at)
            self.probabilities(at)

    def _where(self, patch_id: str) -> str:
        return patch_row(self.path, self.file_rows[patch_id], patch_id)

    def _labels(self, row: dict[str, Any], shape: tuple[int, int], where: str) -> npt.NDArray[np.int32]:
        if row["mask"] is None:
            return np.zeros(shape, dtype=np.int32)
        labels = read_label(inside(self.path, row["mask"], where), shape, where, self.settings)
        largest = int(labels.max())
        if largest > self.settings.max_objects:
            what = f"{row['mask']} holds label {largest}; the setting max_objects allows {self.settings.max_objects}."
            raise DatasetError(what, where=where)
        return labels.astype(np.int32)

    def _side(
        self, folder: str, row: dict[str, Any], shape: tuple[int, int], where: str
    ) -> npt.NDArray[np.uint8] | None:
        path = side_file(self.path, folder, row["patch_id"])
        if row[f"{folder}_sha256"] is None and not path.is_file():
            return None
        return read_label(path, shape, where, self.settings, dtypes=("uint8",)).astype(np.uint8)

    def _is_large_area(self, row: Mapping[str, Any]) -> bool:
        """Whether the patch is an area of a slide that is not read as one picture."""
        is_slide = not row["image"].startswith("images/")
        return is_slide and row["width"] * row["height"] > self.settings.max_pixels

    def _check_area(self, row: dict[str, Any], where: str) -> None:
        """Open the slide of a patch and see whether the patch lies in it."""
        path, _ = image_path(self.path, row["image"], where, self.slides)
        try:
            with open_slide(path, settings=self.settings) as slide:
                region, size = _region_of(row, slide), slide.size
        except InputError as error:
            raise DatasetError(f"The slide cannot be read: {error.what}", where=where, fix=error.fix) from error
        if region.x + region.width > size[0] + 1 or region.y + region.height > size[1] + 1:  # a pixel of rounding
            raise DatasetError(f"The patch leaves its slide of {size[0]} x {size[1]} pixels.", where=where)

    def _image(self, row: dict[str, Any], shape: tuple[int, int], where: str) -> npt.NDArray[np.uint8]:
        path, is_slide = image_path(self.path, row["image"], where, self.slides)
        if not is_slide:
            return read_png(path, shape, where, self.settings)
        try:
            with open_slide(path, settings=self.settings) as slide:
                return np.asarray(slide.read(_region_of(row, slide)), dtype=np.uint8)
        except InputError as error:
            raise DatasetError(f"The slide cannot be read: {error.what}", where=where, fix=error.fix) from error


def _region_of(row: Mapping[str, Any], slide: Slide) -> Region:
    """The part of a slide that a patch is."""
    known = slide.mpp is not None and row["mpp"] is not None
    scale = row["mpp"] / slide.mpp if known else 1.0
    return Region(row["x"], row["y"], row["width"] * scale, row["height"] * scale, row["mpp"] if known else None)


def read_dataset(
    path: Path | str, *, verify: bool = False, slides: Path | str | None = None, settings: Settings | None = None
) -> Dataset:
    """Open a data set and check its tables; with ``verify`` also every pixel and hash.

    Args:
        path: The folder.
        verify: Read all files and compare them with the tables.
        slides: Folder of whole slides, for rows that are a region of a slide outside the data set; the setting
            ``slides_dir`` when left out.
        settings: Limits; read from the environment when left out.

    Raises:
        DatasetError: the folder breaks the format; the message says which row of which file (rows count from 0).
        LimitError: a table or an image above a limit.
    """
    root = Path(path)
    settings = read_settings() if settings is None else settings
    if not (root / "dataset.json").is_file():
        what = "There is no data set: dataset.json is missing." if root.is_dir() else "There is no such folder."
        raise DatasetError(what, where=root, fix="Give the folder that `histoseed import` made.")
    info = read_info(root / "dataset.json")
    patches = read_table(root / "patches.parquet", PATCH_SCHEMA, settings)
    instances = read_table(root / "instances.parquet", INSTANCE_SCHEMA, settings)
    named = settings.slides_dir if slides is None else slides
    folder = Path(named) if str(named) else None
    check_patches(root, patches)
    check_files(root, patches, folder)
    check_instances(root, instances, patches, info)
    file_rows = {patch_id: row for row, patch_id in enumerate(patches["patch_id"])}
    dataset = Dataset(root, info, patches, instances, folder, settings, file_rows)
    if verify:
        dataset.verify()
    return dataset
