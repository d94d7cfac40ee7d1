"""Import ``nuinsseg``: H&E patches of human and mouse organs, with areas too vague to annotate.

::

    SOURCE/<species> <organ>/               "human bladder", "mouse kidney" ...; SOURCE may hold one folder more
        tissue images/<stem>.png            512 x 512
        label masks modify/<stem>.tif       one number a nucleus: this is what is read
        vague areas/mask binary/<stem>.*    optional, also as "mask binary_vague"; all but 0 becomes ignore area
        label masks/                        not read: where two nuclei overlap it has a third number
        distance maps/, Imagj_zips/, mask binary*/, overlay/, stacked mask/, weighted_maps*/     not read

Common loaders take vague areas for background, so a model that finds the nuclei there is punished. Stems need not say
their organ; where they do not, the patch id begins with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from histoseed.datasets.cards import DatasetCard, Total
from histoseed.datasets.content import PatchContent, Remark
from histoseed.datasets.importers.mask_files import label_plane, read_colours
from histoseed.datasets.intake.content import Collection, Item
from histoseed.datasets.intake.support import find_folder, info_of, pairs_by_stem, stems
from histoseed.errors import DatasetError
from histoseed.settings import Settings

__all__ = ["CARD", "collect"]

_PAPER = "Mahbod et al., Scientific Data 11 (2024), 295"

CARD = DatasetCard(
    name="nuinsseg",
    title="NuInsSeg",
    task="nuclei: outlines, and areas too vague to annotate",
    organ="31 human and mouse organs",
    stain="H&E",
    mpp="not stated (0.25 is what other software assumes)",
    counts="665 patches of 512 x 512, 30,698 nuclei",
    licence="CC-BY-4.0",
    commercial="yes",
    where="https://zenodo.org/records/10518968 or https://www.kaggle.com/datasets/ipateam/nuinsseg",
    citation="A. Mahbod et al.: NuInsSeg: A fully annotated dataset for nuclei instance segmentation in H&E-stained "
    "histological images. Scientific Data 11 (2024), 295.",
    group="organ of a species (patients are not published)",
    layout="""\
SOURCE/<species> <organ>/
  tissue images/<stem>.png
  label masks modify/<stem>.tif
  vague areas/mask binary/<stem>.*""",
    known_problems=(
        "The release does not state its microns per pixel; 0.25, which other software assumes, is unverified.",
        (
            "665 patches come from 31 slides, about one for each organ, and patients are not published: the random "
            "cross-validation of the authors has the same slide on both sides and is optimistic."
        ),
        (
            "Areas that experts could not annotate are marked as vague; they are ignore areas here and background in "
            "common loaders."
        ),
        "Where nuclei overlap, the pixels belong to one of them only (folder 'label masks modify').",
    ),
    totals=(
        Total(measure="patches", value=665, source=_PAPER),
        Total(measure="objects", value=30_698, source=_PAPER),
        Total(
            measure="groups",
            value=31,
            source=_PAPER,
            note="Human and mouse organs; some descriptions speak of rats, which is wrong",
        ),
    ),
)

_VAGUE = ("mask binary", "mask binary_vague")
_SPECIES = ("human", "mouse")


def collect(source: Path, *, settings: Settings) -> Collection:
    """Import NuInsSeg: nuclei of human and mouse organs, H&E, with areas too vague to annotate.

    The module describes the layout.

    Args:
        source: The folder with the organ folders, or the one above it.
        settings: Limits.

    Raises:
        DatasetError: no organ folder, images without label image or the reverse, vague areas of no image.
    """
    organs = _organ_folders(source)
    items: list[Item] = []
    remarks: list[tuple[str, Remark]] = []
    for folder in organs:
        images, labels = stems(folder / "tissue images"), stems(folder / "label masks modify")
        names = pairs_by_stem(images, labels, "label image (label masks modify)")
        vague = _vague_areas(folder, images)
        without = sum(name not in vague for name in names)
        if without:
            text = "{count} {image has|images have} no mask of vague areas and {is|are} taken to have none"
            remarks.append((folder.name, Remark(text, without, "note")))
        items += [_item(folder, images[name], labels[name], vague.get(name), settings) for name in names]
    return Collection(info=info_of(CARD), items=items, remarks=remarks)


def _organ_folders(source: Path) -> list[Path]:
    root = find_folder(source, "NuInsSeg", ".")
    for pattern in ("*/tissue images", "*/*/tissue images"):
        found = sorted(path.parent for path in root.glob(pattern) if not path.parent.name.startswith((".", "__")))
        if found:
            return found
    what = "There is no organ folder: none holds 'tissue images'."
    raise DatasetError(what, where=root, fix="Give the folder that holds 'human bladder' and the others.")


def _vague_areas(folder: Path, images: Mapping[str, Path]) -> dict[str, Path]:
    """Stem -> mask of vague areas; empty where the organ has no such folder."""
    present = [folder / "vague areas" / name for name in _VAGUE if (folder / "vague areas" / name).is_dir()]
    if not present:
        return {}
    if len(present) > 1:
        what = f"There are both {_VAGUE[0]!r} and {_VAGUE[1]!r}."
        raise DatasetError(what, where=folder / "vague areas", fix="Take one of them away.")
    vague = stems(present[0])
    orphans = sorted(vague.keys() - images.keys())
    if orphans:
        raise DatasetError(f"No image for {', '.join(orphans[:5])}.", where=present[0], fix="Unpack the archive again.")
    return vague


def _item(folder: Path, image: Path, labels: Path, vague: Path | None, settings: Settings) -> Item:
    slug = folder.name.replace(" ", "_")
    species, _, organ = folder.name.partition(" ")
    return Item(
        patch_id=image.stem if image.stem.startswith(slug) else f"{slug}_{image.stem}",
        read=partial(_read, image, labels, vague, settings),
        files=[image, labels] if vague is None else [image, labels, vague],
        facts={"group": folder.name, "organ": organ if organ and species in _SPECIES else folder.name},
    )


def _read(image: Path, labels: Path, vague: Path | None, settings: Settings) -> PatchContent:
    remarks: list[Remark] = []
    picture = read_colours(image, settings, remarks)
    shape = (picture.shape[0], picture.shape[1])
    return PatchContent(
        image=picture,
        objects=label_plane(labels, shape, settings, remarks),
        ignore=None if vague is None else label_plane(vague, shape, settings) > 0,
        remarks=remarks,
    )
