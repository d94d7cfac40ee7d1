"""Import ``cytodark0``: cells of the brain, Nissl stain, several species and areas.

::

    SOURCE/cytoDArk0/                              or SOURCE itself, or the folder of one size
        {20x,40x}/{256x256,512x512,1024x1024}/     and 40x/2048x2048
            image/<name>.png                       ID10_Aud_Cortex_Tursiops_3: section, area, species, crop
            label/<name>.tiff                      one number a cell
            folds.csv                              optional: columns img_id, fold (0 train, 1 val, 2 test)
            graymask4/                             not read

One import takes one magnification and one size, named by ``--part``: crops of all sizes and both magnifications show
the same fields. What stays together is the number that the name begins with. There are no classes of cells.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from histoseed.datasets.cards import DatasetCard, Total
from histoseed.datasets.content import PatchContent, PatchFacts, Remark
from histoseed.datasets.importers.mask_files import label_plane
from histoseed.datasets.intake.arrays import check_names, csv_rows
from histoseed.datasets.intake.content import Collection, Item
from histoseed.datasets.intake.support import chosen, find_folder, info_of, pairs_by_stem, read_rgb, stems
from histoseed.errors import DatasetError
from histoseed.settings import Settings

__all__ = ["CARD", "collect"]

_MPP = {"20x": 0.548, "40x": 0.274}
_SIZES = {"20x": (256, 512, 1024), "40x": (256, 512, 1024, 2048)}
_AREAS = {
    "Aud_Cortex": "Auditory cortex",
    "Visual_Cortex": "Visual cortex",
    "Cerebellum": "Cerebellum",
    "Hippocampus": "Hippocampus",
}
_NAME = re.compile(r"(ID\d+)_([A-Za-z_]+?)_[A-Za-z]+(_\d+)?")
_SPLITS = {"0": "train", "1": "val", "2": "test"}
_SHEET = "https://github.com/Vadori/cytoark (datasets/cytodark0/cytoDArk0_metadata.xlsx)"

CARD = DatasetCard(
    name="cytodark0",
    title="CytoDArk0",
    task="cells: outlines",
    organ="brain: auditory and visual cortex, cerebellum, hippocampus",
    stain="Nissl",
    mpp="0.548 (20x), 0.274 (40x)",
    parts={
        f"{magnification}-{size}": f"{magnification} ({_MPP[magnification]} µm/px), crops of {size} x {size}"
        for magnification, sizes in _SIZES.items()
        for size in sizes
    },
    counts="69 fields at 20x, 58 at 40x; about 40,000 cells",
    licence="unverified for the data; the authors' repository is CC-BY-NC-SA-4.0",
    commercial="unknown",
    where="https://zenodo.org/records/13694738",
    citation="V. Vadori, J.-M. Graïc, A. Peruffo, G. Vadori, L. Finos, E. Grisan: CISCA and CytoDArk0: a cell instance "
    "segmentation and classification method for histo(patho)logical image analyses and a new, open, Nissl-stained "
    "dataset for brain cytoarchitecture studies. arXiv 2409.04175. Data: https://doi.org/10.5281/zenodo.13694738.",
    group="the number at the beginning of the name (ID10); how numbers belong to animals is not published",
    splits="train, val, test as in folds.csv",
    layout="""\
SOURCE/cytoDArk0/{20x,40x}/<size>x<size>/
  image/<name>.png
  label/<name>.tiff
  folds.csv (optional)""",
    known_problems=(
        "Nissl stain, not H&E: stain normalisation that is made for H&E does not apply.",
        "20x and 40x, and crops of all sizes, show the same fields: never split across them.",
        "How the numbers in the names belong to animals is not published.",
        "Most fields are of one species and area, the auditory cortex of the bottlenose dolphin (Tursiops).",
        "The licence of the data is unverified.",
    ),
    totals=(
        Total(
            measure="patches",
            value=69,
            source=_SHEET,
            part="20x-1024",
            note="The sheet lists whole fields; smaller crops are more",
        ),
        Total(
            measure="patches",
            value=58,
            source=_SHEET,
            part="40x-2048",
            note="The sheet lists whole fields; smaller crops are more",
        ),
    ),
)


def collect(source: Path, *, part: str | None = None, settings: Settings) -> Collection:
    """Import cells of Nissl-stained brain sections (CytoDArk0).

    Args:
        source: The folder ``cytoDArk0``, the one above it, or the folder of the chosen size.
        part: Magnification and size of the crops, "20x-256" to "40x-2048".
        settings: Limits.

    Raises:
        InputError: another part.
        DatasetError: a folder or partner is missing, a name of another form, or ``folds.csv`` does not fit.
    """
    part = chosen(part, CARD.parts, "--part")
    magnification, _, size = part.partition("-")
    inner = f"{magnification}/{size}x{size}"
    folder = find_folder(source, f"cytoDArk0/{inner}", inner)
    images, labels = stems(folder / "image", (".png",)), stems(folder / "label", (".tiff", ".tif"))
    names = pairs_by_stem(images, labels, "label image")
    splits, remarks = _splits(folder / "folds.csv", names, settings)
    items = [
        Item(
            patch_id=name,
            read=partial(_read, images[name], labels[name], settings),
            files=[images[name], labels[name]],
            facts={**_facts(name, images[name]), "mpp": _MPP[magnification], "split": splits.get(name)},
        )
        for name in names
    ]
    return Collection(info=info_of(CARD, part=part), items=items, remarks=remarks)


def _facts(name: str, path: Path) -> PatchFacts:
    found = _NAME.fullmatch(name)
    if found is None:
        fix = "Names are like ID10_Aud_Cortex_Tursiops_3; what stays together in a split is read from them."
        raise DatasetError("The name does not begin with ID, a number, an area and a species.", where=path, fix=fix)
    facts: PatchFacts = {"mpp_source": "metadata", "group": found[1]}
    if found[2] in _AREAS:
        facts["organ"] = _AREAS[found[2]]
    return facts


def _splits(
    path: Path, names: Sequence[str], settings: Settings
) -> tuple[Mapping[str, str], Sequence[tuple[str, Remark]]]:
    """Name -> split, and a note where the table is missing."""
    if not path.exists():
        return {}, [(path.parent.name, Remark("There is no folds.csv; the published split is not known", kind="note"))]
    folds: dict[str, str] = {}
    for row in csv_rows(path, ("img_id", "fold"), settings):
        name, fold = row["img_id"], row["fold"]
        if fold not in _SPLITS:
            raise DatasetError(f"The fold of {name} is {fold!r}; 0 (train), 1 (val), 2 (test) are known.", where=path)
        if folds.setdefault(name, fold) != fold:  # a name may stand on several lines where training was oversampled
            raise DatasetError(f"{name} is in two folds.", where=path)
    check_names(names, folds, path)
    return {name: _SPLITS[folds[name]] for name in names}, []


def _read(image: Path, labels: Path, settings: Settings) -> PatchContent:
    remarks: list[Remark] = []
    picture = read_rgb(image, settings, remarks)
    objects = label_plane(labels, (picture.shape[0], picture.shape[1]), settings, remarks)
    return PatchContent(image=picture, objects=objects, remarks=remarks)
