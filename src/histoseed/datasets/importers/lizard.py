"""Import ``lizard``: nuclei of the colon in six classes.

::

    SOURCE/
        lizard_images1/Lizard_Images1/*.png          consep_*, crag_*
        lizard_images2/Lizard_Images2/*.png          dpath_*, glas_*, pannuke_*
        lizard_labels/Lizard_Labels/Labels/*.mat     one an image, of the same stem
        lizard_labels/Lizard_Labels/info.csv         columns Filename, Split (1, 2, 3), and others

The outer folders may be missing; an image is looked for in both image folders. A ``.mat`` file holds ``inst_map``
(H, W), 0 = background, and the aligned columns ``id`` and ``class``. A class belongs to the number in ``id``, never to
a row: a reader that takes row k for nucleus k + 1 mixes classes up. ``bbox`` is not read, because its order differs
between the readme and the loaders. An image with one nucleus has 1 x 1 columns.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.io

from histoseed.annotations.limits import over_limit
from histoseed.datasets.cards import DatasetCard, Total
from histoseed.datasets.content import PatchContent, PatchFacts, Remark
from histoseed.datasets.intake.content import Collection, Item
from histoseed.datasets.intake.remarks import some
from histoseed.datasets.intake.support import class_codes, find_folder, info_of, pairs_by_stem, read_rgb, stems
from histoseed.datasets.numbering import label_ids
from histoseed.errors import DatasetError
from histoseed.settings import Settings

__all__ = ["CARD", "CLASSES", "COHORTS", "check_names", "collect", "csv_rows", "plane", "read_mat", "whole_numbers"]

CLASSES: Mapping[int, str] = MappingProxyType(
    {1: "Neutrophil", 2: "Epithelial", 3: "Lymphocyte", 4: "Plasma", 5: "Eosinophil", 6: "Connective"}
)
"""Code -> class; 0 is background."""

COHORTS = ("consep", "crag", "dpath", "glas", "pannuke")
"""Prefixes of the image names: the data set that an image was taken from."""

_README = "readme of the release"
_NAMES = "image names, https://github.com/Vadori/cytoark (datasets/conic/20x/256x256/folds.csv)"

CARD = DatasetCard(
    name="lizard",
    title="Lizard",
    task="nuclei: outlines and classes",
    organ="colon",
    stain="H&E",
    mpp="0.5",
    schemes={"default": tuple(CLASSES.values())},
    counts="238 images of varying size, 431,913 nuclei",
    licence="CC-BY-NC-SA-4.0",
    commercial="no",
    where="https://warwick.ac.uk/fac/cross_fac/tia/data/lizard, "
    "https://www.kaggle.com/datasets/aadimator/lizard-dataset",
    citation="S. Graham, M. Jahanifar, A. Azam, M. Nimir, Y.-W. Tsang, K. Dodd, E. Hero, H. Sahota, A. Tank, K. Benes, "
    "N. Wahab, F. Minhas, S. E. A. Raza, H. El Daly, K. Gopalakrishnan, D. Snead, N. Rajpoot: Lizard: A large-scale "
    "dataset for colonic nuclear instance segmentation and classification. ICCV Workshops 2021, arXiv 2108.11195.",
    group="image (patients and slides are not published); column centre: the data set that it was taken from",
    splits="Column fold: 1, 2, 3 as published, by image. Some loaders take them for train, val and test.",
    layout="""\
SOURCE/
  lizard_images1/Lizard_Images1/*.png
  lizard_images2/Lizard_Images2/*.png
  lizard_labels/Lizard_Labels/Labels/*.mat
  lizard_labels/Lizard_Labels/info.csv""",
    known_problems=(
        (
            "The annotations are semi-automatic, made in several rounds with pathologists in the loop: outlines have "
            "the shapes that models give."
        ),
        "Mitoses are no class of their own.",
        "Neutrophils and eosinophils are less than 1 % of the nuclei each.",
        "Fibroblasts, muscle and endothelium are one class, Connective.",
        "Patients and slides are not published: several images may come from one slide.",
    ),
    shares=(
        "conic is cut from the images of lizard.",
        "The images consep_1 to consep_16 are images of consep at half the resolution; labels are new.",
        "The images pannuke_* are regions of pannuke; labels are new.",
        "The images glas_*, crag_* and dpath_* come from GlaS, CRAG and DigestPath.",
    ),
    totals=(
        Total(measure="patches", value=238, source=_NAMES),
        *(
            Total(measure="patches", value=value, where={"centre": cohort}, source=_NAMES)
            for cohort, value in zip(COHORTS, (16, 64, 69, 61, 28), strict=True)
        ),
        Total(
            measure="objects",
            value=431_913,
            source=_README,
            note="495,179 in the paper includes images of TCGA that were not released",
        ),
        *(
            Total(measure="objects", value=value, where={"class_name": name}, source=_README)
            for name, value in zip(CLASSES.values(), (4_116, 210_372, 92_238, 24_861, 2_979, 97_347), strict=True)
        ),
    ),
)

_UNPACK = "Was the archive unpacked completely?"
_NUMERIC = ("double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
_HDF5 = b"\x89HDF\r\n\x1a\n"
_LARGEST = 2**31 - 1


def collect(source: Path, *, settings: Settings) -> Collection:
    """Import nuclei of the colon in six classes (Lizard).

    Args:
        source: The folder with the three unpacked archives, see the module.
        settings: Limits.

    Raises:
        DatasetError: a folder or partner is missing, an image is in both folders, or ``info.csv`` does not fit.
    """
    images: dict[str, Path] = {}
    for k in (1, 2):
        folder = find_folder(source, f"lizard_images{k}/Lizard_Images{k}", f"Lizard_Images{k}")
        found = stems(folder, (".png",))
        if twice := sorted(images.keys() & found.keys()):
            fix = "Take one of the two away."
            raise DatasetError(f"{some(twice, 5)} is in both image folders.", where=folder, fix=fix)
        images |= found
    folder = find_folder(source, "lizard_labels/Lizard_Labels", "Lizard_Labels")
    mats = stems(folder / "Labels", (".mat",))
    names = pairs_by_stem(images, mats, "label file (.mat)")
    folds = _folds(folder / "info.csv", names, settings)
    items = [
        Item(
            patch_id=name,
            read=partial(_read, images[name], mats[name], settings),
            files=[images[name], mats[name]],
            facts=_facts(name, folds[name], images[name]),
        )
        for name in names
    ]
    return Collection(info=info_of(CARD), items=items)


def csv_rows(path: Path, columns: Sequence[str], settings: Settings) -> list[dict[str, str]]:
    """The rows of a small table, as far as these columns are concerned.

    Args:
        path: Comma-separated, the first line names the columns.
        columns: Which must be there; others are passed over.
        settings: ``max_geojson_bytes`` is the most that is read.

    Raises:
        DatasetError: absent, unreadable, a column or a field missing.
        LimitError: a larger file.
    """
    if not path.is_file():
        raise DatasetError("There is no such file.", where=path, fix=_UNPACK)
    if (size := path.stat().st_size) > settings.max_geojson_bytes:
        what = f"The table has {size} bytes; at most {settings.max_geojson_bytes} are read."
        raise over_limit("max_geojson_bytes", what, where=path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = [(row, k) for k, row in enumerate(csv.reader(stream, strict=True), start=1) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"Cannot be read as CSV ({error}).", where=path) from error
    head = [cell.strip() for cell in lines[0][0]] if lines else []
    if missing := [name for name in columns if head.count(name) != 1]:
        what = f"The first line must name a column {missing[0]!r} once; it names {', '.join(head) or 'nothing'}."
        raise DatasetError(what, where=path)
    at = [head.index(name) for name in columns]
    for row, k in lines[1:]:
        if len(row) != len(head):
            raise DatasetError(
                f"The line has {len(row)} fields, the first line {len(head)}.", where=f"{path}, line {k}"
            )
    return [{name: row[i].strip() for name, i in zip(columns, at, strict=True)} for row, _ in lines[1:]]


def check_names(names: Iterable[str], listed: Iterable[str], path: Path) -> None:
    """Refuse a table that names other images than those that are there.

    Args:
        names: Images that are there.
        listed: Images that the table names.
        path: The table, for messages.

    Raises:
        DatasetError: it names up to five of those that are on one side only.
    """
    there, told = set(names), set(listed)
    if there - told:
        raise DatasetError(f"There is no line for {some(sorted(there - told), 5)}.", where=path, fix=_UNPACK)
    if told - there:
        raise DatasetError(f"There is no image of the name {some(sorted(told - there), 5)}.", where=path, fix=_UNPACK)


def read_mat(path: Path, keys: Sequence[str], settings: Settings) -> dict[str, npt.NDArray[Any]]:
    """Numeric arrays of a MATLAB file before 7.3, in the types and shapes that it states.

    Args:
        path: The file.
        keys: Names of the arrays; others are not unpacked.
        settings: ``max_pixels`` is the most numbers of one array.

    Raises:
        DatasetError: damaged, HDF5 (MATLAB 7.3), or without one of the keys as an array of numbers.
        LimitError: a larger array; nothing was unpacked.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(520)
        hdf5 = _HDF5 in (head[:8], head[512:])
        listed = [] if hdf5 else scipy.io.whosmat(path, appendmat=False)
    except Exception as error:  # scipy raises whatever the damage leads to
        raise _damaged(path, error) from error
    if hdf5:
        fix = "Save it again from MATLAB with the option '-v7', or take the file of the original release."
        raise DatasetError("This is a file of MATLAB 7.3 (HDF5), which is not read.", where=path, fix=fix)
    for key in keys:
        found = [(shape, kind) for name, shape, kind in listed if name == key]
        if len(found) != 1 or found[0][1] not in _NUMERIC:
            state = f"a {found[0][1]}" if len(found) == 1 else "missing" if not found else f"there {len(found)} times"
            names = some((name for name, *_ in listed), 8) or "nothing"
            raise DatasetError(f"The array {key!r} is {state}; the file holds {names}.", where=path, fix=_UNPACK)
        if np.prod(found[0][0], dtype=float) > settings.max_pixels:
            what = f"{key!r} has {' x '.join(map(str, found[0][0]))} numbers; at most {settings.max_pixels} are read."
            raise over_limit("max_pixels", what, where=path)
    try:
        arrays = scipy.io.loadmat(path, variable_names=list(keys), appendmat=False)
        return {key: np.asarray(arrays[key]) for key in keys}
    except Exception as error:  # as above
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DatasetError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return DatasetError(f"Cannot be read as a MATLAB file ({reason}).", where=path, fix="Unpack the archive again.")


def whole_numbers(values: npt.NDArray[Any], what: str, where: object, *, most: int = _LARGEST) -> npt.NDArray[np.int32]:
    """Numbers of any real type as int32, in the same shape.

    Args:
        values: Integers, booleans, or floats that are whole.
        what: How a message calls them: "inst_map".
        where: The file, for messages.
        most: The largest that is allowed; the smallest is 0.

    Raises:
        DatasetError: other types, fractions, NaN, or numbers out of range.
    """
    if values.dtype.kind not in "buif":
        raise DatasetError(f"{what} holds {values.dtype}, not numbers.", where=where)
    with np.errstate(invalid="ignore"):
        numbers = values.astype(np.int32)
    wrong = numbers < 0
    if values.dtype.kind == "f" or values.dtype.itemsize >= 4:
        wrong |= numbers != values
    if most < _LARGEST:
        wrong |= numbers > most
    if wrong.any():
        what = f"{what} holds {values[wrong][0]}; whole numbers from 0 to {most} are needed."
        raise DatasetError(what, where=where, fix="Is this the original file? Others may hold scaled values.")
    return numbers


def plane(values: npt.NDArray[Any], shape: tuple[int, ...], what: str, where: object) -> npt.NDArray[np.int32]:
    """A map of numbers as large as its picture.

    Args:
        values: (H, W), of any real type.
        shape: Rows and columns of the picture (what follows is passed over).
        what: How a message calls it: "inst_map".
        where: The file, for messages.

    Raises:
        DatasetError: another shape, or no whole numbers from 0 on.
    """
    if values.shape != shape[:2]:
        sizes = " x ".join(map(str, values.shape)), " x ".join(map(str, shape[:2]))
        fix = "Unpack both again; labels must not be resized."
        raise DatasetError(
            f"{what} has {sizes[0]} pixels (rows x columns), its image {sizes[1]}.", where=where, fix=fix
        )
    return whole_numbers(values, what, where)


def _folds(path: Path, names: Sequence[str], settings: Settings) -> dict[str, int]:
    """Image -> published fold; the table must name exactly the images that are there."""
    rows = csv_rows(path, ("Filename", "Split"), settings)
    folds = {row["Filename"]: row["Split"] for row in rows}
    if len(folds) != len(rows):
        raise DatasetError("An image stands on two lines.", where=path)
    for name, split in folds.items():
        if split not in ("1", "2", "3"):
            raise DatasetError(f"The split of {name} is {split!r}; 1, 2 or 3 is known.", where=path)
    check_names(names, folds, path)
    return {name: int(folds[name]) for name in names}


def _facts(name: str, fold: int, path: Path) -> PatchFacts:
    cohort = name.partition("_")[0]
    if cohort not in COHORTS:
        what = f"The name does not begin with {', '.join(COHORTS[:-1])} or {COHORTS[-1]}, and '_'."
        raise DatasetError(what, where=path, fix="The cohort is read from the name; do not rename files.")
    return {"mpp": 0.5, "mpp_source": "metadata", "group": name, "centre": cohort, "fold": fold}


def _read(image: Path, mat: Path, settings: Settings) -> PatchContent:
    remarks: list[Remark] = []
    picture = read_rgb(image, settings, remarks)
    arrays = read_mat(mat, ("inst_map", "id", "class"), settings)
    labels = plane(arrays["inst_map"], picture.shape, "inst_map", mat)
    ids, codes = (whole_numbers(arrays[key].ravel(), f"'{key}'", mat) for key in ("id", "class"))
    return PatchContent(
        image=picture, objects=labels, class_of=_classes(labels, ids, codes, mat, remarks), remarks=remarks
    )


def _classes(
    labels: npt.NDArray[np.int32],
    ids: npt.NDArray[np.int32],
    codes: npt.NDArray[np.int32],
    where: Path,
    remarks: list[Remark],
) -> dict[int, str | None]:
    """Label -> class, joined on the column ``id``."""
    if len(ids) != len(codes):
        raise DatasetError(f"'id' has {len(ids)} rows, 'class' has {len(codes)}.", where=where)
    class_codes(codes, CLASSES, where)
    listed = dict(zip(ids.tolist(), codes.tolist(), strict=True))
    if any(listed[k] != code for k, code in zip(ids.tolist(), codes.tolist(), strict=True)):
        raise DatasetError("'id' holds a number twice, with different classes.", where=where)
    drawn = label_ids(labels).tolist()
    if absent := len(listed.keys() - set(drawn)):
        remarks.append(Remark("{count} objects of the list have no pixel and were left out", absent))
    if unlisted := len(set(drawn) - listed.keys()):
        remarks.append(Remark("{count} objects are not in the list of classes and stay unclassified", unlisted))
    return {label: CLASSES[listed[label]] if label in listed else None for label in drawn}
