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

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from histoseed.datasets.cards import DatasetCard, Total
from histoseed.datasets.content import PatchContent, PatchFacts, Remark
from histoseed.datasets.intake.arrays import check_names, csv_rows, plane, read_mat, whole_numbers
from histoseed.datasets.intake.content import Collection, Item
from histoseed.datasets.intake.support import class_codes, find_folder, info_of, pairs_by_stem, read_rgb, stems
from histoseed.datasets.numbering import label_ids
from histoseed.errors import DatasetError
from histoseed.settings import Settings
from histoseed.wording import counted, some

__all__ = ["CARD", "CLASSES", "COHORTS", "collect"]

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
        raise DatasetError(f"'id' has {counted(len(ids), 'row')}, 'class' has {len(codes):,}.", where=where)
    class_codes(codes, CLASSES, where)
    listed = dict(zip(ids.tolist(), codes.tolist(), strict=True))
    if any(listed[k] != code for k, code in zip(ids.tolist(), codes.tolist(), strict=True)):
        raise DatasetError("'id' holds a number twice, with different classes.", where=where)
    drawn = label_ids(labels).tolist()
    if absent := len(listed.keys() - set(drawn)):
        text = "{count} {object of the list has|objects of the list have} no pixel and {was|were} left out"
        remarks.append(Remark(text, absent))
    if unlisted := len(set(drawn) - listed.keys()):
        text = "{count} {object is|objects are} not in the list of classes and {stays|stay} unclassified"
        remarks.append(Remark(text, unlisted))
    return {label: CLASSES[listed[label]] if label in listed else None for label in drawn}
