"""Import ``cryonuseg``: frozen sections of ten organs, marked up three times by two people.

::

    SOURCE/
        tissue images/Human_<Organ>_<NN>.tif                                     30 images, 512 x 512
        Annotator 1 (biologist)/label masks modify/<same name>.tif               one number a nucleus
        Annotator 1 (biologist second round of manual marks up)/<again>/label masks modify/<same name>.tif
        Annotator 2 (bioinformatician)/<again>/label masks modify/<same name>.tif
        Selected_WSIs.xlsx                                                       optional, or saved as .csv

``<again>`` stands for the folder's own name: the archive nests it twice; either nesting is read. The sheet comes from
the repository of the authors, not with the images. It alone tells the microns per pixel and the patient of each image;
without it both stay unknown. See :mod:`~histoseed.datasets.importers.cryonuseg_sheet`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from histoseed.datasets.cards import DatasetCard, Total
from histoseed.datasets.content import PatchContent, PatchFacts, Remark
from histoseed.datasets.importers.cryonuseg_sheet import IMAGE_NAME, SheetRow, read_sheet
from histoseed.datasets.importers.mask_files import label_plane
from histoseed.datasets.intake.content import Collection, Item
from histoseed.datasets.intake.support import (
    chosen,
    find_folder,
    info_of,
    pairs_by_stem,
    read_rgb,
    stems,
)
from histoseed.errors import DatasetError
from histoseed.settings import Settings

__all__ = ["CARD", "collect"]

_ROUNDS: Mapping[str, tuple[str, str]] = {
    "biologist-1": ("Annotator 1 (biologist)", "biologist, first round"),
    "biologist-2": ("Annotator 1 (biologist second round of manual marks up)", "biologist, second round"),
    "bioinformatician": ("Annotator 2 (bioinformatician)", "bioinformatician"),
}
"""Part -> folder, annotator."""

_SHEET = "https://github.com/masih4/CryoNuSeg (Selected_WSIs.xlsx)"

CARD = DatasetCard(
    name="cryonuseg",
    title="CryoNuSeg",
    task="nuclei: outlines, marked up three times",
    organ="adrenal gland, larynx, lymph nodes, mediastinum, pancreas, pleura, skin, testes, thymus, thyroid gland",
    stain="H&E",
    mpp="0.2265 to 0.254, for each image in the authors' sheet Selected_WSIs.xlsx (one is missing)",
    parts={
        "biologist-1": "the biologist's first round",
        "biologist-2": "the biologist's second round",
        "bioinformatician": "the bioinformatician's",
        "all": "all three, as three patches an image that stay together in a split",
    },
    counts="30 frozen-section images of 512 x 512; 7,596, 8,044 and 8,251 nuclei",
    licence=None,
    commercial="unknown",
    where="https://www.kaggle.com/datasets/ipateam/segmentation-of-nuclei-in-cryosectioned-he-images",
    citation="A. Mahbod et al.: CryoNuSeg: A dataset for nuclei instance segmentation of cryosectioned H&E-stained "
    "histological images. Computers in Biology and Medicine 132 (2021), 104349.",
    group="image (each is of another patient and centre)",
    layout="""\
SOURCE/tissue images/Human_<Organ>_<NN>.tif
SOURCE/Annotator 1 (biologist)/label masks modify/*.tif
SOURCE/Annotator 1 (biologist second round of manual marks up)/<the same>/label masks modify/*.tif
SOURCE/Annotator 2 (bioinformatician)/<the same>/label masks modify/*.tif
SOURCE/Selected_WSIs.xlsx  (optional; gives resolution and patients)""",
    known_problems=(
        (
            "Three mark-ups disagree (7,596, 8,044 and 8,251 nuclei); most in Human_AdrenalGland_01 (134 and 85) and "
            "Human_Pancreas_01 (239 and 136)."
        ),
        "Microns per pixel and patients stand in a sheet of the authors' repository only; Human_Testes_01 has none.",
        "A licence of the images and annotations was not found; the code is MIT.",
        "Where nuclei overlap, the pixels belong to one of them only (folder 'label masks modify').",
    ),
    shares=("No patient is shared with monusac, bcss, or the documented images of monuseg (30 and 14).",),
    totals=(
        Total(measure="patches", value=30, source=_SHEET),
        Total(measure="objects", value=7_596, source=_SHEET),
        Total(measure="patches", value=30, source=_SHEET, part="biologist-2"),
        Total(measure="objects", value=8_044, source=_SHEET, part="biologist-2"),
        Total(measure="patches", value=30, source=_SHEET, part="bioinformatician"),
        Total(measure="objects", value=8_251, source=_SHEET, part="bioinformatician"),
        Total(measure="patches", value=90, source=_SHEET, part="all", note="30 images, three mark-ups each"),
        Total(measure="groups", value=30, source=_SHEET, part="all"),
        Total(measure="objects", value=23_891, source=_SHEET, part="all", note="The sum of the three mark-ups"),
    ),
)


def collect(source: Path, *, part: str | None = None, settings: Settings) -> Collection:
    """Import CryoNuSeg: nuclei of ten organs in frozen sections, H&E, marked up three times.

    The module describes the layout.

    Args:
        source: The folder with ``tissue images``.
        part: "biologist-1" (default), "biologist-2", "bioinformatician" or "all".
        settings: Limits.

    Raises:
        DatasetError: a missing folder or partner, a foreign file name, a sheet that cannot be understood.
        InputError: no such part.
    """
    part = chosen(part, CARD.parts, "--part")
    root = find_folder(source, "tissue images").parent
    images = stems(root / "tissue images")
    sheet = _find_sheet(root)
    items: list[Item] = []
    for name in _ROUNDS if part == "all" else [part]:
        folder, annotator = _ROUNDS[name]
        labels = stems(find_folder(root, *(f"{top}/label masks modify" for top in (f"{folder}/{folder}", folder))))
        items += [
            Item(
                patch_id=f"{stem}.{name}" if part == "all" else stem,
                read=partial(_read, images[stem], labels[stem], annotator, settings),
                files=[images[stem], labels[stem]],
                facts=_facts(images[stem], sheet.get(stem)),
            )
            for stem in pairs_by_stem(images, labels, f"label image of {folder}")
        ]
    remarks = [
        (stem, Remark("The sheet Selected_WSIs says nothing about this image; its resolution is unknown"))
        for stem in images
        if sheet and stem not in sheet
    ]
    if not sheet:
        text = "Selected_WSIs.xlsx is not beside the data: resolution and patients are unknown"
        remarks.append((root.name, Remark(text, kind="note")))
    return Collection(info=info_of(CARD, part=part), items=items, remarks=remarks)


def _facts(image: Path, row: SheetRow | None) -> PatchFacts:
    match = IMAGE_NAME.fullmatch(image.stem)
    if match is None:
        fix = "Images of this data set are called like Human_AdrenalGland_01.tif."
        raise DatasetError("The file name is of another form.", where=image, fix=fix)
    facts: PatchFacts = {"organ": re.sub(r"(?<=[a-z])(?=[A-Z])", " ", match.group(1)).lower()}
    barcode = row.barcode if row else None
    if barcode:
        facts |= {"patient": barcode.patient, "slide": barcode.slide, "centre": barcode.centre}
    else:
        facts["group"] = image.stem
    if row and row.mpp:
        facts |= {"mpp": row.mpp, "mpp_source": "metadata"}
    return facts


def _read(image: Path, labels: Path, annotator: str, settings: Settings) -> PatchContent:
    remarks: list[Remark] = []
    picture = read_rgb(image, settings, remarks)
    objects = label_plane(labels, (picture.shape[0], picture.shape[1]), settings, remarks)
    return PatchContent(image=picture, objects=objects, annotator=annotator, remarks=remarks)


def _find_sheet(root: Path) -> Mapping[str, SheetRow]:
    found = [path for path in (root / "Selected_WSIs.xlsx", root / "Selected_WSIs.csv") if path.is_file()]
    if len(found) > 1:
        raise DatasetError("There are Selected_WSIs.xlsx and .csv.", where=root, fix="Take one of them away.")
    return read_sheet(found[0]) if found else {}
