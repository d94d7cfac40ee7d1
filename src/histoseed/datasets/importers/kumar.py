"""Import ``kumar``: the 30 images of Kumar et al. 2017 with their published split, as HoVer-Net hands them out.

::

    SOURCE/Kumar/                    or SOURCE itself
        train/                       16 images
        test_same/                   8 images of the same organs
        test_diff/                   6 images of other organs
            Images/<barcode>.tif     1000 x 1000
            Labels/<barcode>.mat     key inst_map: one number a nucleus, no classes

The split is told by the patient of the file name, not by the folder; a file in a folder of another part is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from histoseed.datasets.cards import DatasetCard, Total
from histoseed.datasets.content import PatchContent, PatchFacts, Remark
from histoseed.datasets.intake.arrays import plane, read_mat
from histoseed.datasets.intake.content import Collection, Item
from histoseed.datasets.intake.support import Barcode, find_folder, info_of, pairs_by_stem, read_rgb, stems, tcga
from histoseed.errors import DatasetError
from histoseed.settings import Settings

__all__ = ["CARD", "FOLD_OF", "ORGAN_OF", "barcode_of", "collect", "published_mpp"]

_SIZE = (1000, 1000)
_FOLDERS = ("train", "test_same", "test_diff")

_PATIENTS = (
    (
        "18-5592 21-5784 38-6178 50-5931 A7-A13E AR-A1AK AR-A1AS B0-5711 "
        "E2-A14V G9-6348 G9-6356 G9-6362 G9-6363 HE-7128 HE-7129 HE-7130"
    ),
    "21-5786 49-4488 A7-A13F CH-5767 E2-A1B5 G9-6336 B0-5698 B0-5710",
    "AY-A8YK DK-A2I6 KB-A93J NH-A8F7 RD-A8N9 G2-A2EK",
)

FOLD_OF: Mapping[str, int] = MappingProxyType(
    {f"TCGA-{short}": fold for fold, listed in enumerate(_PATIENTS) for short in listed.split()}
)
"""Patient -> 0 (train), 1 (test, same organs), 2 (test, other organs); these 30 are also MoNuSeg's training images."""

_PATIENTS_OF = {
    "breast": "A7-A13E A7-A13F AR-A1AK AR-A1AS E2-A14V E2-A1B5",
    "kidney": "B0-5698 B0-5710 B0-5711 HE-7128 HE-7129 HE-7130",
    "liver": "18-5592 21-5784 21-5786 38-6178 49-4488 50-5931",
    "prostate": "CH-5767 G9-6336 G9-6348 G9-6356 G9-6362 G9-6363",
    "bladder": "DK-A2I6 G2-A2EK",
    "colon": "AY-A8YK NH-A8F7",
    "stomach": "KB-A93J RD-A8N9",
}

ORGAN_OF: Mapping[str, str] = MappingProxyType(
    {f"TCGA-{short}": organ for organ, listed in _PATIENTS_OF.items() for short in listed.split()}
)
"""Patient -> organ as published with the challenge; the label "liver" is doubted (known_problems)."""

_README = "https://github.com/vqdang/hover_net (data/README.md)"

CARD = DatasetCard(
    name="kumar",
    title="Kumar",
    task="nuclei: outlines",
    organ="breast, kidney, liver, prostate, bladder, colon, stomach",
    stain="H&E",
    mpp="0.25",
    counts="30 images of 1000 x 1000, one a patient",
    licence="CC-BY-NC-SA-4.0",
    commercial="no",
    where="https://monuseg.grand-challenge.org (images), https://github.com/vqdang/hover_net (label maps)",
    citation="N. Kumar, R. Verma, S. Sharma, S. Bhargava, A. Vahadane, A. Sethi: A dataset and a technique for "
    "generalized nuclear segmentation for computational pathology. IEEE Transactions on Medical Imaging 36 (2017), "
    "1550-1560.",
    group="patient",
    splits="train 16; test 14. Column fold: 0 train, 1 test of the same organs (8), 2 test of other organs (6).",
    layout="""\
SOURCE/Kumar/{train,test_same,test_diff}/
  Images/<barcode>.tif
  Labels/<barcode>.mat""",
    known_problems=(
        (
            "The six test images of other organs are the only ones with slide barcodes TS1 and TSB, all others are "
            "DX1: 'other organ' is confounded with the preparation of the slide."
        ),
        (
            "Hospitals (G9, HE, B0 and others) occur on both sides: the test of the same organs is not independent of "
            "the centre."
        ),
        (
            "The organ is that of the challenge's own list; 'liver' is doubted for the barcodes 18-, 21-, 38-, 49- "
            "and 50-."
        ),
        "Pixels where nuclei overlap belong to one of them only.",
    ),
    shares=(
        "kumar and the 30 documented training images of monuseg are the same images.",
        "TCGA-G9-6356 is also in the test part of monusac.",
    ),
    totals=(
        Total(measure="patches", value=30, source=_README),
        Total(measure="patients", value=30, source=_README),
        Total(measure="patches", value=16, where={"split": "train"}, source=_README),
        Total(measure="patches", value=8, where={"fold": 1}, source=_README),
        Total(measure="patches", value=6, where={"fold": 2}, source=_README),
    ),
)


def collect(source: Path, *, settings: Settings) -> Collection:
    """Import Kumar: nuclei of seven organs, H&E, with the published split of HoVer-Net's label maps.

    The module describes the layout.

    Args:
        source: The folder with ``train``, ``test_same`` and ``test_diff``, or the one above it.
        settings: Limits.

    Raises:
        DatasetError: a folder or partner is missing, or an image is not in the published split or in a wrong part.
    """
    root = find_folder(source, "Kumar", "kumar", ".")
    items: list[Item] = []
    for fold, name in enumerate(_FOLDERS):
        folder = find_folder(root, name)
        images, labels = stems(folder / "Images"), stems(folder / "Labels", (".mat",))
        for stem in pairs_by_stem(images, labels, "label file (.mat)"):
            facts = _facts(images[stem], fold)
            read = partial(_read, images[stem], labels[stem], settings)
            items.append(Item(patch_id=stem, read=read, files=[images[stem], labels[stem]], facts=facts))
    return Collection(info=info_of(CARD), items=items)


def barcode_of(path: Path) -> Barcode:
    """The TCGA barcode in a file name.

    Raises:
        DatasetError: there is none.
    """
    barcode = tcga(path.name)
    if barcode is None:
        fix = "Names of this data set begin like TCGA-A7-A13E-01Z-00-DX1; the patient is read from them."
        raise DatasetError("The file name holds no TCGA barcode.", where=path, fix=fix)
    return barcode


def published_mpp(size: tuple[int, int], remarks: list[Remark]) -> PatchFacts:
    """0.25 microns per pixel, as published, for images of the published size; unknown, with a remark, for others.

    Args:
        size: Width, height.
        remarks: Gets the remark.
    """
    if size == _SIZE:
        return {"mpp": 0.25, "mpp_source": "metadata"}
    text = f"The image is not {_SIZE[0]} x {_SIZE[1]} pixels as published; its resolution is unknown"
    remarks.append(Remark(text))
    return {"mpp": None}


def _facts(image: Path, fold: int) -> PatchFacts:
    barcode = barcode_of(image)
    published = FOLD_OF.get(barcode.patient)
    if published != fold:
        belongs = "not one of the 30 images" if published is None else f"in {_FOLDERS[published]}"
        what = f"In the published split, {barcode.patient} is {belongs}; the file lies in {_FOLDERS[fold]}."
        raise DatasetError(what, where=image, fix="Unpack the archive again.")
    return {
        "patient": barcode.patient,
        "slide": barcode.slide,
        "centre": barcode.centre,
        "organ": ORGAN_OF.get(barcode.patient),
        "split": "train" if fold == 0 else "test",
        "fold": fold,
    }


def _read(image: Path, labels: Path, settings: Settings) -> PatchContent:
    remarks: list[Remark] = []
    picture = read_rgb(image, settings, remarks)
    height, width = picture.shape[:2]
    facts = published_mpp((width, height), remarks)
    numbers = read_mat(labels, ("inst_map",), settings)["inst_map"]
    nuclei = plane(numbers, picture.shape, "inst_map", labels)
    return PatchContent(image=picture, objects=nuclei, facts=facts, remarks=remarks)
