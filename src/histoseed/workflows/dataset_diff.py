"""``dataset diff``: what became of every object between two versions of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from histoseed.datasets import Dataset, read_dataset
from histoseed.datasets.diff import Diff, Matchers, compare_patches, pair_patches
from histoseed.datasets.matching import object_spans
from histoseed.errors import InputError, OutputError
from histoseed.files import staged_folder, write_bytes, write_json, write_text
from histoseed.geometry import PixelSpans, paint_spans
from histoseed.metrics import match_points, max_weight_matching
from histoseed.pictures import contact_sheet, png_bytes
from histoseed.workflows.progress import Progress, Silent

__all__ = ["CHANGE_COLORS", "PICTURES", "Diff", "diff_data", "diff_datasets"]

CHANGE_COLORS: Mapping[str, str] = {
    "added": "#43feb6",
    "removed": "#d12000",
    "moved": "#e49136",
    "reclassed": "#2579ff",
}
"""Outlines on the contact sheet, in hues of the class palette; what was kept is not drawn."""

PICTURES = 12
"""Patches on the contact sheet, unless told otherwise."""

_FILES = frozenset({"objects.parquet", "objects.csv", "patches.csv", "summary.json", "changes.png"})


def diff_datasets(
    a: Dataset | Path | str,
    b: Dataset | Path | str,
    *,
    by_image: bool = False,
    match_iou: float = 0.1,
    kept_iou: float = 1.0,
    radius_um: float = 3.0,
    progress: Progress | None = None,
) -> Diff:
    """Compare two versions of a data set object by object.

    Objects are paired one to one so that the sum of their overlaps is greatest. Each counts with its own pixels, also
    where others lie on top of it.

    Args:
        a: One version, or its folder.
        b: The other.
        by_image: Pair patches of equal pixels; without it those of equal id.
        match_iou: Least intersection over union at which two outlines can be one object.
        kept_iou: Least intersection over union at which its outline counts as unchanged; 1: the same pixels.
        radius_um: Largest distance of two points that can be one object, micrometres (12 pixels where the mpp of a
            patch is not known).
        progress: Told about every patch.

    Raises:
        InputError: a threshold out of range.
        DatasetError: a data set that cannot be read, no patch in both, or two versions of a patch of different size.

    Example::

        diff = diff_datasets("original", "cleaned")
        diff.summary()["objects"]["nucleus"]  # {"kept": 45800, "moved": 1022, "reclassed": 57, ...}
    """
    for name, value in (("match_iou", match_iou), ("kept_iou", kept_iou)):
        if not 0 < value <= 1:
            raise InputError(f"An IoU of {value}.", where=name, fix="Give a number above 0, at most 1.")
    if not radius_um > 0:
        raise InputError(f"A distance of {radius_um} um.", where="radius_um", fix="Give micrometres above 0.")
    told = progress or Silent()
    first, second = (one if isinstance(one, Dataset) else read_dataset(one) for one in (a, b))
    if by_image:
        told.start(len(first) + len(second), "patches", "Pairing equal pictures")
    pairs = pair_patches(first, second, by_image=by_image, on_patch=partial(told.advance, 1) if by_image else None)
    told.start(len(pairs), "patches", "Comparing objects")
    diff = compare_patches(
        first,
        second,
        pairs,
        Matchers(max_weight_matching, match_points),
        match_iou=match_iou,
        kept_iou=kept_iou,
        radius_um=radius_um,
        on_patch=partial(told.advance, 1),
    )
    told.done()
    return diff


def diff_data(
    a: Path | str,
    b: Path | str,
    *,
    out: Path | None = None,
    pictures: int = PICTURES,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Compare two versions of a data set, and write the tables and a picture of the patches that changed most.

    Args:
        a: One version.
        b: The other.
        out: Folder for ``objects.parquet``, ``objects.csv``, ``patches.csv``, ``summary.json`` and, if something
            changed, ``changes.png``. None writes nothing.
        pictures: Most patches on the picture; 0 draws none.
        overwrite: Replace an earlier comparison at ``out``.
        progress: Told about every patch.
        **options: Of :func:`diff_datasets`.

    Returns:
        ``a``, ``b``, ``options`` and the keys of :meth:`Diff.summary`.

    Raises:
        OutputError: ``out`` is not empty, or holds something else than an earlier comparison.
        HistoseedError: as :func:`diff_datasets`.
    """
    if pictures < 0:
        raise InputError(f"{pictures:,} patches on a picture.", where="pictures", fix="Give 0 or more.")
    if out is not None:
        _check_out(out, overwrite=overwrite)
    first, second = read_dataset(a), read_dataset(b)
    diff = diff_datasets(first, second, progress=progress, **options)
    facts = {"a": str(a), "b": str(b), "options": options, **diff.summary()}
    if out is not None:
        with staged_folder(out, overwrite=overwrite) as stage:
            diff.objects.write_parquet(stage / "objects.parquet")
            write_text(stage / "objects.csv", diff.objects.write_csv())
            write_text(stage / "patches.csv", diff.patches.write_csv())
            write_json(stage / "summary.json", facts)
            sheet = _sheet(first, second, diff, pictures, progress or Silent())
            if sheet is not None:
                write_bytes(stage / "changes.png", png_bytes(sheet))
    return facts


def _check_out(out: Path, *, overwrite: bool) -> None:
    """Only an earlier comparison is ever replaced, and a folder in the way is found before the work begins."""
    if not out.is_dir():
        return
    names = {path.name for path in out.iterdir()}
    if names and not overwrite:
        raise OutputError("The folder is not empty.", where=out, fix="Choose another --out, or add --overwrite.")
    if names - _FILES:
        what = f"The folder holds {min(names - _FILES)!r}, which is no part of a comparison, and is not removed."
        raise OutputError(what, where=out, fix="Choose another --out, or remove it yourself.")


def _sheet(a: Dataset, b: Dataset, diff: Diff, most: int, told: Progress) -> npt.NDArray[np.uint8] | None:
    """The patches with most changes, those first; None where nothing is to be shown."""
    changed = diff.patches.filter(pl.col("changes") > 0).sort("changes", descending=True, maintain_order=True)
    shown = changed.filter(pl.Series(_has_picture(a, b, changed), dtype=pl.Boolean)).head(most)
    if not shown.height:
        return None
    told.start(shown.height, "patches", "Drawing the patches that changed most")
    images, labels, colors, titles = [], [], [], []
    for row in shown.iter_rows(named=True):
        patch = a.patch(row["patch_a"]) if row["patch_b"] is None else b.patch(row["patch_b"])
        drawn, color = _drawn(a, b, diff, row, patch.labels.shape)
        images.append(patch.image)
        labels.append(drawn)
        colors.append(color)
        counts = ", ".join(f"{row[change]} {change}" for change in CHANGE_COLORS if row[change])
        titles.append(f"{patch.patch_id}\n{counts}, {row['kept']} kept")
        told.advance(1)
    told.done()
    return contact_sheet(
        images,
        titles,
        labels=labels,
        colors=colors,
        side=400,
        limit=len(images),
        total=changed.height,
        legend=CHANGE_COLORS,
    )


def _has_picture(a: Dataset, b: Dataset, patches: pl.DataFrame) -> list[bool]:
    """Which of the patches have a picture of their own; areas of slides are not drawn."""
    own = [set(one.patches.filter(pl.col("image").str.starts_with("images/"))["patch_id"]) for one in (a, b)]
    return [one in own[0] or other in own[1] for one, other in patches.select("patch_a", "patch_b").iter_rows()]


def _drawn(
    a: Dataset, b: Dataset, diff: Diff, row: Mapping[str, Any], shape: tuple[int, int]
) -> tuple[npt.NDArray[np.int32], dict[int, str]]:
    """A label image of what changed, and the colour of each label; what was removed lies below what is there now."""
    mine = pl.col("patch_a").eq_missing(pl.lit(row["patch_a"], pl.String)) & pl.col("patch_b").eq_missing(
        pl.lit(row["patch_b"], pl.String)
    )
    objects = diff.objects.filter(mine & (pl.col("change") != "kept"))
    drawn = np.zeros(shape, dtype=np.int32)
    colors: dict[int, str] = {}
    for dataset, name, side, changes in (
        (a, row["patch_a"], "a", ("removed",)),
        (b, row["patch_b"], "b", ("moved", "reclassed", "added")),
    ):
        if name is None:
            continue
        rows, labels = dataset.objects(name), dataset.patch(name).labels
        spans = object_spans(rows, labels)
        of_id = {instance: number for number, instance in enumerate(rows["instance_id"])}
        for change in changes:
            wanted = [of_id[one] for one in objects.filter(pl.col("change") == change)[f"id_{side}"]]
            kept = np.isin(spans.polygon, wanted)
            numbers = np.arange(rows.height, dtype=np.int32) + len(colors) + 1
            some = PixelSpans(spans.polygon[kept], spans.start[kept], spans.length[kept])
            painted = paint_spans(some, numbers, shape)
            drawn = np.where(painted > 0, painted, drawn)
            colors |= dict.fromkeys(numbers.tolist(), CHANGE_COLORS[change])
    return drawn, colors
