"""Import ``bcss``: regions of tissue in breast cancer, drawn by a crowd (Amgad et al. 2019). No nuclei.

::

    SOURCE/  (or 0_Public-data-Amgad2019_0.25MPP/ in it)
      rgbs_colorNormalized/<stem>.png   or images/<stem>.png, as the authors' script fetches them
      masks/<stem>.png                  one channel, a code a pixel
      annotations/, meta/, logs/        not read

    stem: TCGA-A1-A0SK-DX1_xmin45749_ymin25055_MPP-0.2500

Codes 0 (outside_roi) and 7 (exclude) are *don't care*: ignore area, not background. Every other code is a region class
of its own; nothing is grouped. Nuclei are not annotated, so no patch is exhaustive.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from histoseed.annotations import read_label_image
from histoseed.datasets.cards import DatasetCard, Total
from histoseed.datasets.intake.content import Collection, Item, PatchContent, Remark
from histoseed.datasets.intake.support import class_codes, find_folder, info_of, pairs_by_stem, read_rgb, stems, tcga
from histoseed.datasets.writer import PatchFacts
from histoseed.errors import DatasetError
from histoseed.geometry import known_mpp
from histoseed.settings import Settings
from histoseed.wording import some

__all__ = ["CARD", "collect"]

_REPOSITORY = "https://github.com/PathologyDataScience/BCSS"
_RELEASE = "0_Public-data-Amgad2019_0.25MPP"
_NORMALIZED = "rgbs_colorNormalized"

_CODES: dict[int, str | None] = dict(
    enumerate(
        (
            None, "tumor", "stroma", "lymphocytic_infiltrate", "necrosis_or_debris", "glandular_secretions", "blood",
            None, "metaplasia_NOS", "fat", "plasma_cells", "other_immune_infiltrate", "mucoid_material",
            "normal_acinus_or_duct", "lymphatics", "undetermined", "nerve", "skin_adnexa", "blood_vessel",
            "angioinvasion", "dcis", "other",
        )
    )
)  # fmt: skip
"""Code -> region class; None (outside_roi, exclude): don't care."""

_REGIONS = tuple(name for name in _CODES.values() if name is not None)

_TEST = ("E2", "EW", "GM", "LL", "OL", "S3")
"""Institutes that the authors test on."""

_INSTITUTES = {
    "A2": 18, "BH": 16, "E2": 16, "AR": 12, "D8": 12, "A7": 11, "EW": 10, "AO": 9, "C8": 7, "OL": 7, "GM": 6, "AC": 5,
    "AN": 5, "A8": 4, "LL": 4, "A1": 2, "AQ": 2, "S3": 2, "E9": 1, "GI": 1, "HN": 1,
}  # fmt: skip

CARD = DatasetCard(
    name="bcss",
    title="BCSS",
    task="regions of tissue (no nuclei)",
    organ="breast",
    stain="H&E",
    mpp="0.25",
    counts="151 pictures of 151 patients, 21 institutes",
    licence="CC0-1.0",
    commercial="yes",
    where=_REPOSITORY,
    citation="M. Amgad, H. Elfandy, H. Hussein et al.: Structured crowdsourcing enables convolutional segmentation of "
    "histology images. Bioinformatics 35 (2019), 3461-3467.",
    group="patient (one slide and one picture each)",
    splits="test: institutes OL, LL, E2, EW, GM, S3, as the authors have it; all others train. The eva framework takes "
    "BH, C8, A8, A1, E9 out of train for validation",
    layout=f"""\
SOURCE/  (or {_RELEASE}/)
  {_NORMALIZED}/<stem>.png  (or images/)
  masks/<stem>.png""",
    known_problems=(
        f"Pictures of {_NORMALIZED}/ are colour-normalised; the authors' script fetches the raw ones.",
        "Borders of regions are rough polygons by students, approved by pathologists.",
        "Codes 15 (undetermined) and 21 (other) hold what fits nowhere else.",
        "14 slides were scanned at 20x and upsampled to 0.25 microns.",
        "The eva framework's grouping into five classes counts tumor as other: its numbers cannot be compared.",
    ),
    shares=(
        "Slides are those of NuCLS and PanopTILs (TCGA-BRCA): split all three by patient together.",
        "MoNuSAC test has the patient TCGA-EW-A6SB too.",
        "MoNuSeg test has the patient TCGA-AO-A0J2 too.",
    ),
    totals=(
        Total(measure="patches", value=151, source=f"{_REPOSITORY}, roiBounds.csv"),
        Total(measure="patients", value=151, source=f"{_REPOSITORY}, roiBounds.csv"),
        Total(measure="slides", value=151, source=f"{_REPOSITORY}, roiBounds.csv"),
        Total(measure="patches", value=45, where={"split": "test"}, source="institutes of the authors' test set"),
        Total(measure="patches", value=106, where={"split": "train"}, source="institutes of the authors' test set"),
        *(
            Total(measure="patches", value=count, where={"centre": centre}, source=f"{_REPOSITORY}, roiBounds.csv")
            for centre, count in _INSTITUTES.items()
        ),
    ),
)

_STEM = re.compile(r"(?P<slide>TCGA-[^_]+)_xmin(?P<x>\d+)_ymin(?P<y>\d+)_MPP-(?P<mpp>\d+\.\d+)")


def collect(source: Path, *, settings: Settings) -> Collection:
    """Import BCSS: regions of tissue in breast cancer, without nuclei.

    Args:
        source: The folder of the release, or the one above it.
        settings: Limits.

    Raises:
        DatasetError: missing folders, pictures without a mask or the reverse, names of another form.
    """
    names = (_NORMALIZED, f"{_RELEASE}/{_NORMALIZED}", "images", f"{_RELEASE}/images")
    folder = find_folder(source, *names)
    images, masks = stems(folder), stems(folder.absolute().parent / "masks")
    listed = pairs_by_stem(images, masks, "mask")
    facts = {stem: _facts(stem) for stem in listed}
    strange = [stem for stem, found in facts.items() if found is None]
    if strange:
        fix = "Names are TCGA-XX-YYYY-DX1_xmin..._ymin..._MPP-0.2500."
        raise DatasetError(f"Not a name of BCSS: {some(strange, 5)}.", where=folder, fix=fix)
    items = [
        Item(
            patch_id=stem,
            read=partial(_read, images[stem], masks[stem], settings),
            files=[images[stem], masks[stem]],
            facts=found,
        )
        for stem, found in facts.items()
        if found is not None
    ]
    normalized = folder.name == _NORMALIZED
    text = "The authors normalised the colours of the pictures"
    remarks = [(folder.name, Remark(text, kind="note"))] if normalized else []
    return Collection(info=info_of(CARD, region_classes=_REGIONS), items=items, remarks=remarks)


def _facts(stem: str) -> PatchFacts | None:
    """What a name says; None where it is of another form. xmin and ymin are level-0 pixels of the slide."""
    match, barcode = _STEM.fullmatch(stem), tcga(stem)
    mpp = known_mpp(float(match["mpp"])) if match else None
    if match is None or barcode is None or mpp is None:
        return None
    return {
        "mpp": mpp,
        "mpp_source": "metadata",
        "exhaustive": False,
        "x": float(match["x"]),
        "y": float(match["y"]),
        "slide": match["slide"],
        "patient": barcode.patient,
        "centre": barcode.centre,
        "organ": "breast",
        "split": "test" if barcode.centre in _TEST else "train",
    }


def _read(image: Path, mask: Path, settings: Settings) -> PatchContent:
    remarks: list[Remark] = []
    picture = read_rgb(image, settings, remarks)
    said: list[str] = []
    codes = read_label_image(mask, settings, notes=said)
    remarks += [Remark(f"masks: {text.partition(': ')[2].rstrip('.')}", kind="note") for text in said]
    if codes.shape != picture.shape[:2]:
        what = (
            f"The mask is {codes.shape[1]} x {codes.shape[0]} pixels, its picture "
            f"{picture.shape[1]} x {picture.shape[0]}."
        )
        raise DatasetError(what, where=mask)
    class_codes(codes, _CODES, mask)
    value_of = np.zeros(len(_CODES), dtype=np.uint8)
    value_of[[code for code, name in _CODES.items() if name is not None]] = np.arange(1, len(_REGIONS) + 1)
    regions = value_of[codes]
    return PatchContent(image=picture, regions=regions, ignore=regions == 0, remarks=remarks)
