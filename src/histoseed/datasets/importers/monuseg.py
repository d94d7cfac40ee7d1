"""Import ``monuseg``: the MoNuSeg 2018 challenge, as it was published, or the edition with one picture a nucleus.

::

    SOURCE/MoNuSeg 2018 Training Data/         part xml; the folder may be nested twice
        Tissue Images/<barcode>.tif            1000 x 1000
        Annotations/<barcode>.xml              Aperio XML, every region of every layer is a nucleus
    SOURCE/MoNuSegTestData/<barcode>.{tif,xml}

    SOURCE/dataset/train/<barcode>/            part masks
        images/<barcode>.png
        masks/mask_<number>.png                one nucleus each, 0 and 255

Images and annotations are paired by name. Outlines have fractions of pixels and overlap; they are kept as they are. A
picture that is not 1000 x 1000 pixels was resized by somebody, so its microns per pixel are unknown.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from histoseed.annotations import Instances
from histoseed.annotations.formats.aperio import AperioRegion, read_aperio_regions
from histoseed.datasets.cards import DatasetCard, Total
from histoseed.datasets.content import PatchContent, PatchFacts, Remark
from histoseed.datasets.importers.kumar import FOLD_OF, ORGAN_OF, barcode_of, published_mpp
from histoseed.datasets.importers.mask_files import check_masks, mask_folders, read_masks
from histoseed.datasets.intake.content import Collection, Item, object_ids
from histoseed.datasets.intake.support import chosen, clipped, find_folder, info_of, pairs_by_stem, read_rgb, stems
from histoseed.errors import DatasetError
from histoseed.settings import Settings

__all__ = ["CARD", "collect", "named_outlines", "usable_regions"]

_CHALLENGE = "https://monuseg.grand-challenge.org"
_MASKS = "https://github.com/bruceyang2012/Miccai_challenge_MONUSEG"

CARD = DatasetCard(
    name="monuseg",
    title="MoNuSeg 2018",
    task="nuclei: outlines",
    organ="breast, kidney, liver, prostate, bladder, colon, stomach and others",
    stain="H&E",
    mpp="0.25",
    parts={
        "xml": "training and test images with their XML, as published",
        "masks": "the public edition with one picture a nucleus: 30 training images, fewer nuclei",
    },
    counts="37 training images (30 documented) and 14 test images of 1000 x 1000",
    licence="CC-BY-NC-SA-4.0",
    commercial="no",
    where=f"{_CHALLENGE}; edition with masks: {_MASKS}",
    citation="N. Kumar et al.: A multi-organ nucleus segmentation challenge. IEEE Transactions on Medical Imaging 39 "
    "(2020), 1380-1391.",
    group="patient (one image each)",
    splits="train and test",
    layout="""\
SOURCE/MoNuSeg 2018 Training Data/{Tissue Images/*.tif,Annotations/*.xml}
SOURCE/MoNuSegTestData/*.{tif,xml}
  or, with --part masks,
SOURCE/dataset/train/<barcode>/{images,masks}/*.png""",
    known_problems=(
        "The download holds 37 training images, the papers speak of 30; the organs of the other 7 are unknown.",
        (
            "Six of the 30 documented training images are of frozen sections (slide barcodes TS1 and TSB), the others "
            "are of diagnostic slides (DX1)."
        ),
        "The label 'liver' of six training images is doubted.",
        (
            "The edition with one picture a nucleus (part masks) holds 16,958 nuclei and misses some of the published "
            "annotations: scores on it are not comparable."
        ),
    ),
    shares=(
        "The 30 documented training images are those of kumar.",
        "TCGA-G9-6356 (train) is also in the test part of monusac.",
        "TCGA-F9-A8NY (one of the 7 undocumented training images) is also in the test part of monusac.",
        "TCGA-AO-A0J2 (test) is also in bcss.",
    ),
    totals=(
        Total(
            measure="patches",
            value=37,
            where={"split": "train"},
            source=_CHALLENGE,
            note="The present download; 30 of them are documented",
        ),
        Total(measure="patches", value=14, where={"split": "test"}, source=_CHALLENGE),
        Total(measure="patients", value=14, where={"split": "test"}, source=_CHALLENGE),
        Total(measure="patches", value=30, source=_MASKS, part="masks"),
        Total(
            measure="objects",
            value=16_958,
            source=_MASKS,
            part="masks",
            note="Mask files; those wholly hidden have no object",
        ),
    ),
)

_TRAIN = "MoNuSeg 2018 Training Data"


def collect(source: Path, *, part: str | None = None, settings: Settings) -> Collection:
    """Import MoNuSeg 2018: nuclei of several organs, H&E, from Aperio XML or one picture a nucleus.

    The module describes the layout.

    Args:
        source: The folder that holds the unpacked archives, or one of them.
        part: "xml" (default) or "masks".
        settings: Limits.

    Raises:
        DatasetError: neither split is there, a partner is missing, or a name without a barcode.
        InputError: no such part.
    """
    part = chosen(part, CARD.parts, "--part")
    remarks: list[tuple[str, Remark]] = []
    items = _mask_items(source, settings) if part == "masks" else _xml_items(source, settings, remarks)
    extra = [item.patch_id for item in items if item.facts["split"] == "train" and item.facts["patient"] not in FOLD_OF]
    if extra:
        text = "The training image is none of the 30 documented ones"
        remarks += [(name, Remark(text, kind="note")) for name in extra]
    return Collection(info=info_of(CARD, part=part), items=items, remarks=remarks)


def usable_regions(path: Path, settings: Settings, remarks: list[Remark]) -> list[AperioRegion]:
    """The regions of an Aperio XML that have a place; what was repaired and what was left out becomes remarks.

    Raises:
        AnnotationError: another format, or damaged.
        LimitError: a limit of the settings.
    """
    regions, said = read_aperio_regions(path, settings)
    kept = [region for region in regions if region.geometry is not None]
    lost, repaired = len(regions) - len(kept), sum(region.repaired for region in kept)
    counts = {
        "{count} {outline|outlines} of less than three different vertices or without area {was|were} left out": lost,
        "{count} {outline that crosses itself was|outlines that cross themselves were} repaired": repaired,
    }
    remarks += [Remark(text, count) for text, count in counts.items() if count]
    remarks += [Remark(text.rstrip(".")) for text in said if not text.startswith(_COUNTED)]
    return kept


_COUNTED = ("An outline of less than three different vertices", "An outline that crosses itself")
"""How the reader's own sentences about what is counted here begin."""


def named_outlines(
    regions: list[AperioRegion], names: list[str | None], id_of: tuple[str, str], size: tuple[int, int]
) -> tuple[Instances, list[Remark]]:
    """The table of regions, cut at the border of the image.

    Args:
        regions: Regions with a geometry.
        names: Class name of each.
        id_of: Data set and patch (or patch and layer) that the ids are made from.
        size: Width, height.
    """
    table = Instances.build(
        [region.geometry for region in regions],
        class_name=names,
        kind=[region.kind for region in regions],
        id=object_ids(*id_of, len(regions)),
    )
    return clipped(table, size)


def _xml_items(source: Path, settings: Settings, remarks: list[tuple[str, Remark]]) -> list[Item]:
    items: list[Item] = []
    train = _folder(source, f"{_TRAIN}/{_TRAIN}", _TRAIN, *(["."] if (source / "Tissue Images").is_dir() else []))
    test = _folder(source, "MoNuSegTestData/MoNuSegTestData", "MoNuSegTestData")
    places = {
        "train": (train / "Tissue Images", train / "Annotations") if train else None,
        "test": (test, test) if test else None,
    }
    for split, place in places.items():
        if place is None:
            remarks.append((split, Remark("This split is not there", kind="note")))
            continue
        images, annotations = stems(place[0], (".tif", ".tiff")), stems(place[1], (".xml",))
        items += [
            Item(
                patch_id=stem,
                read=partial(_read, images[stem], annotations[stem], settings),
                files=[images[stem], annotations[stem]],
                facts=_facts(images[stem], split),
            )
            for stem in pairs_by_stem(images, annotations, "annotation (.xml)")
        ]
    if not items:
        what = f"There is neither {_TRAIN}/ nor MoNuSegTestData/."
        raise DatasetError(what, where=source, fix="Give the folder of the unpacked archives, or use --part masks.")
    return items


def _folder(source: Path, *names: str) -> Path | None:
    find_folder(source, ".")
    try:
        return find_folder(source, *names)
    except DatasetError:
        return None


def _mask_items(source: Path, settings: Settings) -> list[Item]:
    root = find_folder(source, "dataset/train", "train", ".")
    folders = mask_folders(root)
    check_masks(folders, root)
    return [
        Item(
            patch_id=folder.name,
            read=partial(read_masks, folder, settings, published_mpp),
            files=[folder.image, *folder.masks],
            facts=_facts(folder.image, "train"),
        )
        for folder in folders
    ]


def _facts(image: Path, split: str) -> PatchFacts:
    barcode = barcode_of(image)
    return {
        "patient": barcode.patient,
        "slide": barcode.slide,
        "centre": barcode.centre,
        "organ": ORGAN_OF.get(barcode.patient),
        "split": split,
    }


def _read(image: Path, annotation: Path, settings: Settings) -> PatchContent:
    remarks: list[Remark] = []
    picture = read_rgb(image, settings, remarks)
    regions = usable_regions(annotation, settings, remarks)
    size = (picture.shape[1], picture.shape[0])
    nuclei, cut = named_outlines(regions, [None] * len(regions), (CARD.name, image.stem), size)
    facts = published_mpp(size, remarks)
    return PatchContent(image=picture, objects=nuclei, facts=facts, remarks=[*remarks, *cut])
