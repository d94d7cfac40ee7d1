"""Which row of which table breaks the common format, and which array does."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from histoseed.datasets.info import DatasetInfo
from histoseed.datasets.near_names import nearest
from histoseed.datasets.paths import check_patch_id, image_path, inside, side_file
from histoseed.datasets.schema import LAYERS, MPP_SOURCES, OBJECT_KINDS, SPLITS
from histoseed.errors import DatasetError, LimitError
from histoseed.geometry import MPP_RANGE
from histoseed.settings import Settings
from histoseed.wording import agreed

__all__ = [
    "check_files",
    "check_instances",
    "check_patches",
    "check_split",
    "checked_ignore",
    "checked_labels",
    "checked_probabilities",
    "checked_regions",
    "patch_row",
]


def check_split(split: str | None, where: object) -> None:
    """Refuse a split that is not train, val or test.

    Raises:
        DatasetError: it is not; the message offers the nearest.
    """
    if split is not None and split not in SPLITS:
        raise DatasetError(f"{split!r} is not a split.", where=where, fix=nearest(split, SPLITS))


def patch_row(root: Path, row: int, patch_id: object) -> str:
    """How messages name a row of ``patches.parquet``; rows count from 0."""
    return f"{root / 'patches.parquet'}, row {row} (patch {patch_id!r})"


def _refuse(frame: pl.DataFrame, path: Path, bad: pl.Expr, what: str) -> None:
    """Raise for the first row where ``bad`` holds; ``{column}`` in ``what`` is filled from that row."""
    rows = frame.with_row_index("_row").filter(bad.fill_null(value=False))
    if rows.height:
        values = rows.row(0, named=True)
        more = f" {rows.height:,} rows have this fault." if rows.height > 1 else ""
        where = f"{path}, row {values['_row']} (patch {values['patch_id']!r})"
        raise DatasetError(what.format(**{k: repr(v) for k, v in values.items()}) + more, where=where)


def _required(frame: pl.DataFrame, path: Path, columns: Iterable[str]) -> None:
    for name in columns:
        _refuse(frame, path, pl.col(name).is_null(), f"{name!r} is empty.")


def check_patches(root: Path, frame: pl.DataFrame) -> None:
    """The values of ``patches.parquet``, without a look at other files.

    Raises:
        DatasetError: it names the first row with a fault (rows count from 0).
    """
    path = root / "patches.parquet"
    if not frame.height:
        raise DatasetError("The table has no row.", where=path)
    _required(frame, path, ("patch_id", "image", "width", "height", "mpp_source", "exhaustive"))
    for row, patch_id in enumerate(frame["patch_id"]):
        check_patch_id(patch_id, f"{path}, row {row}")
    folded = pl.col("patch_id").str.to_lowercase()
    _refuse(
        frame, path, folded.is_duplicated(), "The patch id stands on several rows (upper and lower case are equal)."
    )
    _refuse(frame, path, (pl.col("width") < 1) | (pl.col("height") < 1), "A size of {width} x {height} pixels.")
    low, high = MPP_RANGE
    mpp = pl.col("mpp")
    nonsense = mpp.is_not_null() & ~mpp.is_between(low, high)
    _refuse(frame, path, nonsense, f"'mpp' is {{mpp}}; it lies between {low} and {high}, or is empty.")
    source = pl.col("mpp_source")
    _refuse(frame, path, ~source.is_in(MPP_SOURCES), f"'mpp_source' is {{mpp_source}}, not one of {list(MPP_SOURCES)}.")
    unequal = (source == "unknown") != mpp.is_null()
    _refuse(frame, path, unequal, "'mpp' is {mpp} and 'mpp_source' is {mpp_source}.")
    wrong = pl.col("split").is_not_null() & ~pl.col("split").is_in(SPLITS)
    _refuse(frame, path, wrong, f"'split' is {{split}}, not one of {list(SPLITS)}.")


def check_files(root: Path, frame: pl.DataFrame, slides: Path | None) -> None:
    """Every path of ``patches.parquet`` stays inside the data set and names a file.

    Raises:
        DatasetError: it names the row and the file.
    """
    columns = ("patch_id", "image", "mask", "regions_sha256", "ignore_sha256", "x", "y")
    for row, (patch_id, image, mask, regions, ignore, x, y) in enumerate(frame.select(columns).iter_rows()):
        where = patch_row(root, row, patch_id)
        picture, is_slide = image_path(root, image, where, slides)
        wanted = [("image", picture)]
        if is_slide and (x is None or y is None):
            raise DatasetError("'image' names a slide, and 'x' or 'y' is empty.", where=where)
        if mask is not None:
            wanted.append(("mask", inside(root, mask, where)))
        if regions is not None:
            wanted.append(("regions", side_file(root, "regions", patch_id)))
        if ignore is not None:
            wanted.append(("ignore", side_file(root, "ignore", patch_id)))
        for kind, path in wanted:
            if not path.is_file():
                fix = "Restore the file, or import the data set again."
                if kind == "image" and is_slide:
                    fix = (
                        "Name the folder that the slides were imported from: HISTOSEED_SLIDES_DIR=DIR before the "
                        "command; `dataset info`, `verify` and `merge` have --slides DIR, too."
                    )
                raise DatasetError(
                    f"The {kind} file {path.relative_to(root) if path.is_relative_to(root) else path} is missing.",
                    where=where,
                    fix=fix,
                )


def check_instances(root: Path, frame: pl.DataFrame, patches: pl.DataFrame, info: DatasetInfo) -> None:
    """The values of ``instances.parquet`` against themselves, the patches and the classes.

    Raises:
        DatasetError: it names the first row with a fault (rows count from 0).
    """
    path = root / "instances.parquet"
    numbers = ("x0", "y0", "x1", "y1", "centroid_x", "centroid_y")
    _required(frame, path, ("patch_id", "instance_id", "layer", "kind", *numbers, "locked"))

    def refuse(bad: pl.Expr, what: str) -> None:
        _refuse(frame, path, bad, what)

    layer, kind, label, name = (pl.col(c) for c in ("layer", "kind", "label", "class_name"))
    refuse(~pl.col("patch_id").is_in(patches["patch_id"].implode()), "patches.parquet has no such patch.")
    refuse(~layer.is_in(LAYERS), f"'layer' is {{layer}}, not one of {list(LAYERS)}.")
    refuse(~kind.is_in(OBJECT_KINDS), f"'kind' is {{kind}}, not one of {list(OBJECT_KINDS)}.")
    refuse(pl.struct("patch_id", "instance_id").is_duplicated(), "The patch has two objects of the id {instance_id}.")
    refuse(label < 1, "'label' is {label}; labels start at 1.")
    refuse(label.is_not_null() & (layer != "nucleus"), "An object of the layer {layer} has a label.")
    twice = label.is_not_null() & pl.struct("patch_id", "label").is_duplicated()
    refuse(twice, "The patch has two objects of the label {label}.")
    refuse((kind == "mask") & (layer == "nucleus") & label.is_null(), "An object of kind 'mask' has no label.")
    refuse(kind.is_in(["box", "point"]) & label.is_not_null(), "An object of kind {kind} has a label.")
    refuse((kind != "mask") & pl.col("geometry").is_null(), "An object of kind {kind} has no geometry.")
    refuse((kind != "point") & pl.col("area_px").is_null(), "'area_px' is empty.")
    finite = pl.all_horizontal(pl.col(c).is_finite() for c in (*numbers, "area_px"))
    refuse(~finite.fill_null(value=True), "A box, area or centroid is not a finite number.")
    upright = (pl.col("x0") <= pl.col("x1")) & (pl.col("y0") <= pl.col("y1"))
    refuse(~upright, "The box {x0}, {y0}, {x1}, {y1} is not x0, y0, x1, y1.")
    for which, classes in (("nucleus", info.classes), ("region", info.region_classes)):
        unknown = (layer == which) & name.is_not_null() & ~name.is_in([c.name for c in classes])
        refuse(unknown, f"dataset.json lists no class {{class_name}} for the layer {which}.")
    labelled = frame.filter(label.is_not_null())["patch_id"].unique()
    without = pl.col("mask").is_null() & pl.col("patch_id").is_in(labelled.implode())
    _refuse(patches, root / "patches.parquet", without, "'mask' is empty, and instances.parquet has labels of it.")


def checked_labels(
    labels: npt.NDArray[np.integer] | None, shape: tuple[int, int], where: str, settings: Settings
) -> npt.NDArray[np.integer]:
    """A label image that may be written; None gives an empty one.

    Raises:
        DatasetError: another shape, no integers, negative numbers.
        LimitError: a label above ``settings.max_objects``.
    """
    if labels is None:
        return np.zeros(shape, dtype=np.int32)
    if labels.ndim != 2 or not np.issubdtype(labels.dtype, np.integer):
        raise DatasetError(
            f"The label image is {labels.dtype} of shape {labels.shape}, not integers (H, W).", where=where
        )
    if labels.shape != shape:
        what = f"The label image is {labels.shape[1]} x {labels.shape[0]} pixels, the image {shape[1]} x {shape[0]}."
        raise DatasetError(what, where=where)
    if labels.min() < 0:
        raise DatasetError("The label image holds negative numbers.", where=where)
    if labels.max() > settings.max_objects:
        what = f"Label {labels.max()} is above the setting max_objects ({settings.max_objects})."
        raise LimitError(what, where=where, fix="Number the objects 1, 2, 3, ...")
    return labels


def checked_regions(
    regions: npt.NDArray[np.integer], shape: tuple[int, int], where: str, count: int
) -> npt.NDArray[np.uint8]:
    """A map of ``count`` region classes that may be written.

    Raises:
        DatasetError: another shape, no integers, or a value without a class.
    """
    if regions.shape != shape or not np.issubdtype(regions.dtype, np.integer):
        raise DatasetError(f"regions is {regions.dtype} of shape {regions.shape}, not integers {shape}.", where=where)
    if regions.min() < 0 or regions.max() > min(count, 255):
        named = agreed("{count} region {class is|classes are} named", count)
        what = f"regions holds {regions.min()} to {regions.max()}, and {named}."
        raise DatasetError(what, where=where, fix="Name every region class (at most 255) in the data set's info.")
    return regions.astype(np.uint8)


def checked_ignore(ignore: npt.NDArray[np.bool_], shape: tuple[int, int], where: str) -> npt.NDArray[np.bool_]:
    """An ignore area that may be written.

    Raises:
        DatasetError: another shape or type.
    """
    if ignore.shape != shape or ignore.dtype != bool:
        raise DatasetError(f"ignore is {ignore.dtype} of shape {ignore.shape}, not bool {shape}.", where=where)
    return ignore


def checked_probabilities(
    values: npt.NDArray[np.floating], wanted: tuple[int, int], where: str
) -> npt.NDArray[np.float32]:
    """Class probabilities that may be written; ``wanted`` is (objects, classes).

    Raises:
        DatasetError: another shape.
    """
    if values.shape != wanted:
        what = f"probabilities has shape {values.shape}, not {wanted} (objects, classes)."
        raise DatasetError(what, where=where)
    return values.astype(np.float32)
