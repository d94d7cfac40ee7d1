"""Import ``conic``: patches of Lizard, as the challenge CoNIC 2022 published them.

::

    SOURCE/
        images.npy        (N, 256, 256, 3) uint8
        labels.npy        (N, 256, 256, 2) uint16: number of the nucleus, class 1..6 as in lizard
        patch_info.csv    column patch_info: "consep_1-0000", the name of each patch
        counts.csv        optional: nuclei of each class inside the central 224 x 224 pixels

Nuclei are numbered from 1 in every patch, so that one nucleus has other numbers in neighbouring patches. A patch
belongs to the image named before its last ``-``; patches of one image may overlap: a split must keep images together.
``counts.csv`` is compared with the label maps; where they differ, the maps count and the difference is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from histoseed.datasets.cards import DatasetCard, Total
from histoseed.datasets.content import PatchContent, Remark
from histoseed.datasets.importers.lizard import CLASSES, COHORTS
from histoseed.datasets.intake.arrays import ArrayStack, csv_rows, open_array, pixels, whole_numbers
from histoseed.datasets.intake.content import Collection, Item
from histoseed.datasets.intake.support import class_by_majority, info_of, root_of
from histoseed.errors import DatasetError
from histoseed.settings import Settings
from histoseed.wording import agreed, counted

__all__ = ["CARD", "collect"]

_CARDS = "Hugging Face dataset card saahilw/nuclei-conic (counted in the maps)"
_CODE = "https://github.com/TissueImageAnalytics/CoNIC"

CARD = DatasetCard(
    name="conic",
    title="CoNIC 2022",
    task="nuclei: outlines and classes",
    organ="colon",
    stain="H&E",
    mpp="0.5",
    schemes={"default": tuple(CLASSES.values())},
    counts="4,981 patches of 256 x 256 out of 238 images, 569,861 nuclei (those cut by borders count in each patch)",
    licence="CC-BY-NC-SA-4.0",
    commercial="no",
    where="https://conic-challenge.grand-challenge.org",
    citation="S. Graham et al.: CoNIC: Colon nuclei identification and counting challenge 2022. arXiv 2111.14485.",
    group="image (patients and slides are not published); column centre: the data set that it was taken from",
    splits="None in the release. The published baseline draws images by cohort, 3,963 and 1,018 patches (seed 5).",
    layout="""\
SOURCE/
  images.npy
  labels.npy
  patch_info.csv
  counts.csv (optional)""",
    known_problems=(
        "Patches of one image may share pixels at their right and lower border: split by image, never by patch.",
        "One nucleus has other numbers in neighbouring patches, and counts in each of them.",
        (
            "counts.csv counts the central 224 x 224 pixels only (446,216 nuclei), and one nucleus too few where one "
            "class covers all of them."
        ),
        "The annotations are those of lizard: semi-automatic, outlines have the shapes that models give.",
    ),
    shares=(
        "All patches are cut from images of lizard.",
        "The images consep_* and pannuke_* come from consep and pannuke; labels are new.",
    ),
    totals=(
        Total(measure="patches", value=4_981, source=_CODE),
        Total(measure="groups", value=238, source=_CODE),
        Total(
            measure="objects",
            value=569_861,
            source=_CARDS,
            note="446,216 in counts.csv are those of the central 224 x 224 pixels",
        ),
        *(
            Total(measure="objects", value=value, where={"class_name": name}, source=_CARDS)
            for name, value in zip(CLASSES.values(), (5_082, 282_082, 120_933, 31_965, 3_849, 125_950), strict=True)
        ),
    ),
)

_SIDE = 256
_MARGIN = 16  # (256 - 224) / 2
_COLUMNS = tuple(name.lower() for name in CLASSES.values())


def collect(source: Path, *, settings: Settings) -> Collection:
    """Import patches of the colon with nuclei in six classes (CoNIC 2022).

    Args:
        source: The folder with the four files.
        settings: Limits.

    Raises:
        DatasetError: a file is missing, damaged, or does not fit the others.
        LimitError: patches larger than ``settings.max_pixels``.
    """
    needed = ("images.npy", "labels.npy", "patch_info.csv")
    folder = root_of(source, lambda path: (path / needed[0]).is_file())
    if missing := [name for name in needed if not (folder / name).is_file()]:
        fix = "Give the folder that holds them; was the archive unpacked completely?"
        raise DatasetError(f"There is no {' and no '.join(missing)}.", where=folder, fix=fix)
    paths = [folder / name for name in needed[:2]]
    images = open_array(paths[0], (None, _SIDE, _SIDE, 3), settings)
    labels = open_array(paths[1], (len(images), _SIDE, _SIDE, 2), settings)
    names = [row["patch_info"] for row in csv_rows(folder / "patch_info.csv", ("patch_info",), settings)]
    _check_rows(names, len(images), folder / "patch_info.csv")
    counts = _counts(folder / "counts.csv", len(images), settings)
    items = []
    for i, name in enumerate(names):
        group, _, _ = name.rpartition("-")
        cohort = group.partition("_")[0]
        if cohort not in COHORTS:
            what = f"{name!r} is no name of a patch; names are like 'consep_1-0000'."
            raise DatasetError(what, where=f"{folder / 'patch_info.csv'}, row {i} of the data")
        items.append(
            Item(
                patch_id=name,
                read=partial(_read, images, labels, i, None if counts is None else counts[i], paths),
                files=paths,
                facts={"mpp": 0.5, "mpp_source": "metadata", "group": group, "centre": cohort},
            )
        )
    return Collection(info=info_of(CARD), items=items)


def _check_rows(names: Sequence[str], count: int, path: Path) -> None:
    if len(names) != count:
        what = f"The table names {counted(len(names), 'patch')}, images.npy holds {count:,}."
        raise DatasetError(what, where=path, fix="Unpack the archive again; the files belong together.")
    twice = len(names) - len(set(names))
    if twice:
        raise DatasetError(agreed("{count} {name of a patch stands|names of patches stand} twice.", twice), where=path)


def _counts(path: Path, count: int, settings: Settings) -> npt.NDArray[np.int64] | None:
    """(N, 6) nuclei inside the central square, columns in the order of the classes; None without the file."""
    if not path.exists():
        return None
    rows = csv_rows(path, _COLUMNS, settings)
    if len(rows) != count:
        raise DatasetError(
            f"The table has {counted(len(rows), 'row')}, images.npy holds {counted(count, 'patch')}.", where=path
        )
    try:
        return np.array([[int(row[name]) for name in _COLUMNS] for row in rows], dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise DatasetError(f"A count is no whole number ({error}).", where=path) from error


def _read(
    images: ArrayStack,
    labels: ArrayStack,
    index: int,
    counted: npt.NDArray[np.int64] | None,
    paths: Sequence[Path],
) -> PatchContent:
    picture = pixels(images[index], f"{paths[0]}, patch {index}")
    where = f"{paths[1]}, patch {index}"
    maps = whole_numbers(np.moveaxis(labels[index], -1, 0), "The label map", where)
    class_of, remarks = class_by_majority(maps[0], maps[1], {0: None, **CLASSES}, where)
    if counted is not None and (off := int(np.abs(_central(maps[0], maps[1]) - counted).sum())):
        text = "counts.csv and the label maps differ by {count} {nucleus|nuclei}; the maps were taken"
        remarks.append(Remark(text, off))
    return PatchContent(image=picture, objects=maps[0], class_of=class_of, remarks=remarks)


def _central(labels: npt.NDArray[np.int32], types: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Nuclei of each class with a pixel inside the central square, counted as the challenge did: (6,) int64."""
    inside = (slice(_MARGIN, -_MARGIN), slice(_MARGIN, -_MARGIN))
    found = []
    for code in CLASSES:
        numbers = labels[inside][types[inside] == code]
        # the challenge drops the lowest number that it finds, background or not
        covered = numbers.size == (_SIDE - 2 * _MARGIN) ** 2 and bool(numbers.all())
        found.append(np.unique(numbers[numbers > 0]).size - covered)
    return np.array(found, dtype=np.int64)
