"""Import ``monusac``: nuclei of four classes in four organs, MoNuSAC 2020.

::

    SOURCE/MoNuSAC_images_and_annotations/<slide>/         train
        <slide>_<k>.xml                                    Aperio XML; class = Attributes/Attribute@Name of the layer
        <slide>_<k>.tif                                    the region, RGB or RGBA; some are missing in the test part
        <slide>_<k>.svs                                    the same region, as a slide
    SOURCE/MoNuSAC Testing Data and Annotations/<slide>/   test

The XML files say what there is: the image is the .tif or, where that is missing, the .svs. Loaders that list the .tif
find 85 of the 101 test regions. ``Ambiguous`` outlines (test only) enclose what could not be annotated: they are ignore
area, neither a class nor background. Numbers of the classes differ from loader to loader; names do not.

The exact microns per pixel are unknown. 0.25 is nominal; only what the image or else its XML states is taken over.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from histoseed.annotations.formats.aperio import AperioRegion, aperio_mpp
from histoseed.datasets.cards import DatasetCard, Total
from histoseed.datasets.content import PatchContent, PatchFacts, Remark
from histoseed.datasets.importers.kumar import barcode_of
from histoseed.datasets.importers.mask_files import read_colours
from histoseed.datasets.importers.monuseg import named_outlines, usable_regions
from histoseed.datasets.intake.content import Collection, Item
from histoseed.datasets.intake.support import find_folder, info_of, stems
from histoseed.datasets.near_names import nearest
from histoseed.errors import DatasetError, SlideError
from histoseed.settings import Settings
from histoseed.slides import open_slide
from histoseed.wording import some

__all__ = ["CARD", "collect"]

_FOLDERS = {"train": "MoNuSAC_images_and_annotations", "test": "MoNuSAC Testing Data and Annotations"}
_AMBIGUOUS = "Ambiguous"
_IN_BOTH = ("TCGA-A2-A0ES", "TCGA-MP-A4T7")
_COLORS = {"Epithelial": "#ff0000", "Lymphocyte": "#ffff00", "Neutrophil": "#0000ff", "Macrophage": "#008000"}
"""Classes, with the colours of the challenge."""

_CHALLENGE = "https://monusac-2020.grand-challenge.org/Data"

CARD = DatasetCard(
    name="monusac",
    title="MoNuSAC 2020",
    task="nuclei: outlines and classes",
    organ="lung, prostate, kidney, breast",
    stain="H&E",
    mpp="0.25 nominal, exact value unknown",
    schemes={"published": tuple(_COLORS)},
    counts="209 training and 101 test regions of 69 patients, about 46,900 nuclei",
    licence="CC-BY-NC-SA-4.0",
    commercial="no",
    where=_CHALLENGE,
    citation="R. Verma et al.: MoNuSAC2020: A multi-organ nuclei segmentation and classification challenge. IEEE "
    "Transactions on Medical Imaging 40 (2021), 3413-3423.",
    group="patient",
    splits="train and test, as published; two patients are in both",
    layout="""\
SOURCE/MoNuSAC_images_and_annotations/<slide>/<slide>_<k>.{xml,tif,svs}
SOURCE/MoNuSAC Testing Data and Annotations/<slide>/<slide>_<k>.{xml,tif,svs}""",
    known_problems=(
        "The patients TCGA-A2-A0ES and TCGA-MP-A4T7 are in both train and test: leave them out, or move them.",
        "Thirteen outlines cross themselves, one of them with three vertices only; they are repaired.",
        "Ambiguous areas are marked in the test part only; in the training part they are not told from background.",
        "The exact microns per pixel are unknown; 0.25 is nominal.",
        (
            "Published ranks of the challenge are no reference: its code of the panoptic quality removes matched "
            "objects by a wrong index and misses false positives, and its supplementary table S2 swaps neutrophils "
            "and macrophages (Foucart et al., Comments on MoNuSAC2020)."
        ),
    ),
    shares=(
        "TCGA-G9-6356 (test) is also a training image of monuseg and kumar.",
        "TCGA-F9-A8NY (test) is also one of the 7 undocumented training images of monuseg.",
        "TCGA-EW-A6SB (test) is also in bcss.",
    ),
    totals=(
        Total(measure="patches", value=209, where={"split": "train"}, source=_CHALLENGE),
        Total(
            measure="patches",
            value=101,
            where={"split": "test"},
            source=_CHALLENGE,
            note="Loaders that list the .tif files find 85",
        ),
        Total(
            measure="objects",
            value=46_899,
            source="https://huggingface.co/datasets/saahilw (MoNuSAC)",
            note="Counted in a converted copy; it does not say what became of outlines without area",
        ),
        Total(measure="patients", value=46, where={"split": "train"}, source=_CHALLENGE),
        Total(measure="patients", value=25, where={"split": "test"}, source=_CHALLENGE),
        Total(
            measure="patients",
            value=69,
            source=_CHALLENGE,
            note="The papers say 71: 46 and 25, two of them twice",
        ),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """The files of one region: its annotation, and the image in one or two forms."""

    xml: Path
    tif: Path | None
    svs: Path | None


def collect(source: Path, *, scheme: str | None = None, settings: Settings) -> Collection:
    """Import MoNuSAC 2020: nuclei of four classes in four organs, H&E, from Aperio XML.

    The module describes the layout.

    Args:
        source: The folder that holds the two unpacked archives, or one of them.
        scheme: "published" (default), the only one.
        settings: Limits.

    Raises:
        DatasetError: neither split is there, annotations without an image, or a name without a barcode.
        InputError: no such class scheme.
    """
    info = info_of(CARD, scheme, colors=_COLORS)
    items: list[Item] = []
    remarks: list[tuple[str, Remark]] = []
    for split, name in _FOLDERS.items():
        folder = _folder(source, name)
        if folder is None:
            remarks.append((split, Remark("This split is not there", kind="note")))
            continue
        regions, alone = _regions(folder)
        items += [_item(files, split, settings) for files in regions]
        remarks += [(path.name, Remark("The image has no XML and was left out")) for path in alone]
    if not items:
        what = f"There is no region with an XML in {' or '.join(f'{name}/' for name in _FOLDERS.values())}."
        raise DatasetError(what, where=source, fix="Give the folder that holds the unpacked archives.")
    splits = {split: {item.facts["patient"] for item in items if item.facts["split"] == split} for split in _FOLDERS}
    both = sorted(str(patient) for patient in splits["train"] & splits["test"])
    remarks += [(patient, Remark("A patient is in both train and test, as published")) for patient in both]
    return Collection(info=info, items=items, remarks=remarks)


def _folder(source: Path, name: str) -> Path | None:
    find_folder(source, ".")
    try:
        return find_folder(source, f"{name}/{name}", name)
    except DatasetError:
        return None


def _regions(folder: Path) -> tuple[list[_Files], list[Path]]:
    """The regions of a split, and the images that have no annotation.

    Raises:
        DatasetError: annotations without an image.
    """
    found: list[_Files] = []
    alone: list[Path] = []
    missing: list[str] = []
    for slide in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        xml, tif, svs = (stems(slide, suffixes) for suffixes in ((".xml",), (".tif", ".tiff"), (".svs",)))
        missing += [stem for stem in xml if stem not in tif and stem not in svs]
        alone += [path for stem, path in {**svs, **tif}.items() if stem not in xml]
        found += [_Files(xml=path, tif=tif.get(stem), svs=svs.get(stem)) for stem, path in xml.items()]
    if missing:
        fix = "Unpack the archive again: a region has a .tif or a .svs beside its .xml."
        raise DatasetError(f"No image for {some(missing, 5)}.", where=folder, fix=fix)
    return found, alone


def _item(files: _Files, split: str, settings: Settings) -> Item:
    barcode = barcode_of(files.xml)
    facts: PatchFacts = {
        "patient": barcode.patient,
        "slide": barcode.slide,
        "centre": barcode.centre,
        "organ": _ORGAN_OF.get(barcode.patient),
        "split": split,
    }
    twice = split == "test" and barcode.patient in _IN_BOTH  # the numbers of their regions may be the same
    patch_id = f"{files.xml.stem}.test" if twice else files.xml.stem
    used = [path for path in (files.xml, files.tif, files.svs) if path is not None]
    return Item(patch_id=patch_id, read=partial(_read, patch_id, files, settings), files=used, facts=facts)


def _read(patch_id: str, files: _Files, settings: Settings) -> PatchContent:
    remarks: list[Remark] = []
    picture, mpp = _picture(files, settings, remarks)
    mpp = mpp or aperio_mpp(files.xml, settings)
    size = (picture.shape[1], picture.shape[0])
    regions = usable_regions(files.xml, settings, remarks)
    names = [_class_name(region, files.xml) for region in regions]
    tables = []
    for layer, chosen in (("nucleus", False), ("ignore", True)):
        rows = [i for i, name in enumerate(names) if (name == _AMBIGUOUS) is chosen]
        id_of = (CARD.name, patch_id if layer == "nucleus" else f"{patch_id}/{layer}")
        table, cut = named_outlines([regions[i] for i in rows], [names[i] for i in rows], id_of, size)
        tables.append(table)
        remarks += cut
    unnamed = Counter(names)[None]
    if unnamed:
        text = "{count} {outline is|outlines are} in a layer without a class name and {stays|stay} unclassified"
        remarks.append(Remark(text, unnamed))
    facts: PatchFacts = {} if mpp is None else {"mpp": mpp, "mpp_source": "metadata"}
    return PatchContent(image=picture, objects=tables[0], ignore_outlines=tables[1], facts=facts, remarks=remarks)


def _picture(files: _Files, settings: Settings, remarks: list[Remark]) -> tuple[npt.NDArray[np.uint8], float | None]:
    """The pixels, and the resolution that the image or else the slide beside it states."""
    path = files.tif or files.svs
    assert path is not None  # noqa: S101 - regions without an image were refused
    picture = read_colours(path, settings, remarks)
    size = (picture.shape[1], picture.shape[0])
    mpp = _stated_mpp(path, size, settings)
    if files.tif is None:
        remarks.append(Remark("There is no .tif; the .svs was read", kind="note"))
    elif mpp is None and files.svs is not None:
        with contextlib.suppress(SlideError):  # nothing of it is needed
            mpp = _stated_mpp(files.svs, size, settings)
    return picture, mpp


def _stated_mpp(path: Path, size: tuple[int, int], settings: Settings) -> float | None:
    """Microns per pixel that an image of this size states."""
    with open_slide(path, settings=settings) as slide:
        return slide.mpp if slide.size == size else None


def _class_name(region: AperioRegion, path: Path) -> str | None:
    """The class of a region, None where its layer has no attribute.

    Raises:
        DatasetError: a name that is no class of this data set.
    """
    known = {name.casefold(): name for name in (*_COLORS, _AMBIGUOUS)}
    text = (region.attribute or "").strip()
    if text and text.casefold() not in known:
        where = f"{path}, layer {region.layer_id or '?'}, region {region.region_id or '?'}"
        raise DatasetError(f"There is no class {text!r}.", where=where, fix=nearest(text, list(known.values())))
    return known[text.casefold()] if text else None


_PATIENTS_OF: Mapping[str, str] = {
    "lung": "49-6743 50-6591 55-1594 55-7570 55-7573 69-7760 69-A59K 73-4662 73-4668 78-7152 78-7220 86-7713 86-8672 "
    "L4-A4E5 MP-A4SY MP-A4T7",
    "kidney": "2Z-A9JG 2Z-A9JN 5P-A9K0 B9-A44B B9-A8YI DW-7838 DW-7841 DW-7963 EV-5903 F9-A8NY F9-A97G G7-A8LD IZ-A6M9 "
    "MH-A55W MH-A560 P4-AAVK SX-A7SR UZ-A9PO UZ-A9PU",
    "breast": "A2-A04X A2-A0CV A2-A0ES B6-A0WZ BH-A18T D8-A1X5 D8-A3Z6 E2-A108 E2-A154 E9-A22B E9-A22G EW-A6SB EW-A6SD "
    "S3-AA11",
    "prostate": "EJ-5495 EJ-5505 EJ-5517 G9-6342 G9-6356 G9-6367 G9-6499 J4-A67Q J4-A67T KK-A59X KK-A6E0 KK-A7AW "
    "V1-A8WL V1-A9O9 VP-A87E VP-A87H X4-A8KQ X4-A8KS YL-A9WL YL-A9WY",
}
"""Organ -> patients, from the description of the data on the page of the challenge."""

_ORGAN_OF = {f"TCGA-{short}": organ for organ, listed in _PATIENTS_OF.items() for short in listed.split()}
