"""Import ``consep``: nuclei of colorectal adenocarcinoma in seven classes.

::

    SOURCE/CoNSeP/                   or SOURCE itself
        Train/                       27 tiles, train_1 ... train_27
        Test/                        14 tiles, test_1 ... test_14
            Images/<stem>.png        1000 x 1000
            Labels/<stem>.mat        keys inst_map (numbers may skip) and type_map (class 1..7 of every pixel)
            Overlay/                 not read

Four classes, as the paper reports them, are a view: ``--classes merged`` renames the class of every pixel before the
vote. The class of a nucleus is the one that most of its pixels have; nuclei of mixed pixels are said.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np

from histoseed.datasets.cards import DatasetCard, Total
from histoseed.datasets.content import PatchContent, Remark
from histoseed.datasets.intake.arrays import plane, read_mat
from histoseed.datasets.intake.content import Collection, Item
from histoseed.datasets.intake.support import (
    chosen,
    class_by_majority,
    class_codes,
    find_folder,
    info_of,
    pairs_by_stem,
    read_rgb,
    stems,
)
from histoseed.settings import Settings

__all__ = ["CARD", "CLASSES", "MERGED", "collect"]

CLASSES: Mapping[int, str] = MappingProxyType(
    {
        1: "Other",
        2: "Inflammatory",
        3: "Healthy epithelial",
        4: "Dysplastic or malignant epithelial",
        5: "Fibroblast",
        6: "Muscle",
        7: "Endothelial",
    }
)
"""Code in ``type_map`` -> class."""

MERGED: Mapping[int, int] = MappingProxyType({0: 0, 1: 1, 2: 2, 3: 3, 4: 3, 5: 4, 6: 4, 7: 4})
"""Code in ``type_map`` -> code of the four classes that the paper reports."""

_FOUR: Mapping[int, str] = MappingProxyType({1: "Other", 2: "Inflammatory", 3: "Epithelial", 4: "Spindle-shaped"})
_SCHEMES: Mapping[str, Mapping[int, str]] = MappingProxyType({"raw": CLASSES, "merged": _FOUR})
_PAPER = "Graham et al., Medical Image Analysis 58 (2019), 101563"

CARD = DatasetCard(
    name="consep",
    title="CoNSeP",
    task="nuclei: outlines and classes",
    organ="colon",
    stain="H&E",
    mpp="0.25",
    schemes={name: tuple(names.values()) for name, names in _SCHEMES.items()},
    counts="41 tiles of 1000 x 1000 from 16 slides of 16 patients, 24,319 nuclei",
    licence="unconfirmed: the original page is gone, other software states Apache-2.0",
    commercial="unknown",
    where="https://warwick.ac.uk/fac/cross_fac/tia/data/hovernet (gone); copies of the original archive",
    citation="S. Graham, Q. D. Vu, S. E. A. Raza, A. Azam, Y. W. Tsang, J. T. Kwak, N. Rajpoot: Hover-Net: "
    "Simultaneous segmentation and classification of nuclei in multi-tissue histology images. Medical Image Analysis "
    "58 (2019), 101563.",
    group="the published split: which tiles share a patient is not published",
    splits="train 27, test 14",
    layout="""\
SOURCE/CoNSeP/{Train,Test}/
  Images/<stem>.png
  Labels/<stem>.mat""",
    known_problems=(
        (
            "No table says which of the 41 tiles come from which of the 16 patients: whether patients are on both "
            "sides of the published split is unknown, and any other split is worse. The split itself is the group."
        ),
        "Pixels where nuclei overlap belong to one of them only.",
        "The licence is unconfirmed; take it for research only until it is.",
    ),
    shares=("The images consep_1 to consep_16 of lizard and conic are tiles of consep at half the resolution.",),
    totals=(
        Total(measure="patches", value=41, source=_PAPER),
        Total(measure="patches", value=27, where={"split": "train"}, source=_PAPER),
        Total(measure="patches", value=14, where={"split": "test"}, source=_PAPER),
        Total(measure="objects", value=24_319, source=_PAPER),
    ),
)


def collect(source: Path, *, scheme: str | None = None, settings: Settings) -> Collection:
    """Import nuclei of colorectal adenocarcinoma in seven or four classes (CoNSeP).

    Args:
        source: The folder with ``Train`` and ``Test``, or the one above it.
        scheme: "raw", seven classes, or "merged", four.
        settings: Limits.

    Raises:
        InputError: another scheme.
        DatasetError: a folder or partner is missing.
    """
    scheme = chosen(scheme, CARD.schemes, "--classes")
    root = find_folder(source, "CoNSeP/Train", "Train").parent
    items = []
    for split in ("train", "test"):
        folder = root / split.capitalize()
        images, mats = stems(folder / "Images"), stems(folder / "Labels", (".mat",))
        items += [
            Item(
                patch_id=name,
                read=partial(_read, images[name], mats[name], scheme, settings),
                files=[images[name], mats[name]],
                facts={"mpp": 0.25, "mpp_source": "metadata", "group": f"published {split}", "split": split},
            )
            for name in pairs_by_stem(images, mats, "label file (.mat)")
        ]
    return Collection(info=info_of(CARD, scheme), items=items)


def _read(image: Path, mat: Path, scheme: str, settings: Settings) -> PatchContent:
    remarks: list[Remark] = []
    picture = read_rgb(image, settings, remarks)
    arrays = read_mat(mat, ("inst_map", "type_map"), settings)
    labels = plane(arrays["inst_map"], picture.shape, "inst_map", mat)
    types = plane(arrays["type_map"], picture.shape, "type_map", mat)
    if scheme == "merged":
        class_codes(types, {0: None, **CLASSES}, mat)
        types = np.array([MERGED[code] for code in range(len(MERGED))], dtype=np.int32)[types]
    class_of, voted = class_by_majority(labels, types, _SCHEMES[scheme], mat)
    return PatchContent(image=picture, objects=labels, class_of=class_of, remarks=[*remarks, *voted])
