"""Import ``tnbc``: triple-negative breast cancer by Naylor et al., and the brain slides of its second version.

::

    SOURCE/TNBC_NucleiSegmentation/       v1.0; v1.1 is TNBC_and_Brain_dataset/ with Slide_12 to Slide_14
        Slide_<NN>/<NN>_<k>.png           512 x 512, RGBA; the fourth channel may be empty
        GT_<NN>/<NN>_<k>.png              0 and 255: nucleus or not, without numbers

Objects are the connected components of the mask (two pixels belong together where they touch at a side or a corner).
Nuclei that touch are therefore one object. Holes of one pixel are drawing errors and are filled.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from histoseed.datasets.cards import DatasetCard, Total
from histoseed.datasets.content import PatchContent, Remark
from histoseed.datasets.importers.mask_files import label_plane, read_colours
from histoseed.datasets.intake.content import Collection, Item
from histoseed.datasets.intake.support import chosen, find_folder, info_of, pairs_by_stem, stems
from histoseed.errors import DatasetError
from histoseed.settings import Settings
from histoseed.wording import some

__all__ = ["CARD", "collect", "components"]

_BREAST, _BRAIN = range(1, 12), range(12, 15)
_ZENODO = "https://zenodo.org/records/1175282"
_ZENODO_2 = "https://zenodo.org/records/3552674"

CARD = DatasetCard(
    name="tnbc",
    title="TNBC (Naylor)",
    task="nuclei: outlines",
    organ="breast (triple-negative cancer); v1.1 also brain",
    stain="H&E",
    mpp="0.25",
    parts={
        "v1.0": "Slide_01 to Slide_11, breast, 50 images; more slides in the folder are left out",
        "v1.1": "with Slide_12 to Slide_14, brain, 68 images",
    },
    counts="50 images of 512 x 512, 11 patients; v1.1 68 images, 14 slides",
    licence="CC-BY-4.0",
    commercial="yes",
    where=f"{_ZENODO} (v1.0), {_ZENODO_2} (v1.1)",
    citation="P. Naylor, M. Laé, F. Reyal, T. Walter: Segmentation of nuclei in histopathology images by deep "
    "regression of the distance map. IEEE Transactions on Medical Imaging 38 (2019), 448-459.",
    group="patient (one slide each)",
    layout="""\
SOURCE/TNBC_NucleiSegmentation/  (or TNBC_and_Brain_dataset/)
  Slide_<NN>/<NN>_<k>.png
  GT_<NN>/<NN>_<k>.png""",
    known_problems=(
        "The masks are binary: nuclei that touch without a gap of a pixel are one object.",
        "The masks have holes of one pixel; they are filled.",
        "No file states the microns per pixel: 0.25 is what other software takes for the 40x of the publication.",
    ),
    totals=(
        Total(measure="patches", value=50, source=_ZENODO),
        Total(measure="patients", value=11, source=_ZENODO),
        Total(measure="patches", value=68, source=_ZENODO_2, part="v1.1"),
        Total(measure="slides", value=14, source=_ZENODO_2, part="v1.1"),
    ),
)

_SLIDE = re.compile(r"Slide_(\d\d)")


def collect(source: Path, *, part: str | None = None, settings: Settings) -> Collection:
    """Import TNBC by Naylor et al.: nuclei of triple-negative breast cancer, H&E; v1.1 with brain.

    The module describes the layout.

    Args:
        source: The unpacked folder, or the one above it.
        part: "v1.0" (default) or "v1.1".
        settings: Limits.

    Raises:
        DatasetError: missing slides, images without a mask or the reverse.
        InputError: no such part.
    """
    part = chosen(part, CARD.parts, "--part")
    root = find_folder(source, "TNBC_NucleiSegmentation", "TNBC_and_Brain_dataset", ".")
    slides = {int(m.group(1)): p for p in sorted(root.iterdir()) if p.is_dir() and (m := _SLIDE.fullmatch(p.name))}
    wanted = [*_BREAST, *(_BRAIN if part == "v1.1" else ())]
    missing = [f"Slide_{number:02d}" for number in wanted if number not in slides]
    if missing:
        fix = "Give the unpacked folder; v1.0 ends with Slide_11, v1.1 with Slide_14."
        raise DatasetError(f"There is no folder {some(missing, 5)}.", where=root, fix=fix)
    items = [item for number in wanted for item in _slide_items(slides[number], number, settings)]
    others = sorted(path.name for number, path in slides.items() if number not in wanted)
    left_out = Remark(f"{some(others, 5)}: left out, part {part} does not have them", kind="note")
    return Collection(info=info_of(CARD, part=part), items=items, remarks=[(root.name, left_out)] if others else [])


def components(mask: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int32], int]:
    """Connected components of a mask, touching corners included, after holes of one pixel are filled.

    A hole is a background pixel whose four neighbours are all foreground. They touch each other at corners, so filling
    it never joins two objects.

    Args:
        mask: (H, W) bool.

    Returns:
        (H, W) int32 labels 1, 2, ... in reading order, and the number of holes that were filled.

    >>> ring = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)
    >>> components(ring)[0].tolist(), components(ring)[1]
    ([[1, 1, 1], [1, 1, 1], [1, 1, 1]], 1)
    """
    framed = np.pad(mask, 1)
    holes = ~mask & framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:]
    labels: npt.NDArray[Any] = ndimage.label(mask | holes, structure=np.ones((3, 3), bool))[0]
    return labels.astype(np.int32), int(holes.sum())


def _slide_items(folder: Path, number: int, settings: Settings) -> list[Item]:
    images, masks = stems(folder), stems(folder.parent / f"GT_{number:02d}")
    return [
        Item(
            patch_id=stem if stem.startswith(f"{number:02d}_") else f"{number:02d}_{stem}",
            read=partial(_read, images[stem], masks[stem], settings),
            files=[images[stem], masks[stem]],
            facts={
                "patient": f"tnbc-{number:02d}",
                "slide": folder.name,
                "organ": "breast" if number in _BREAST else "brain",
                "mpp": 0.25,
                "mpp_source": "metadata",
            },
        )
        for stem in pairs_by_stem(images, masks, "mask")
    ]


def _read(image: Path, mask: Path, settings: Settings) -> PatchContent:
    remarks: list[Remark] = []
    picture = read_colours(image, settings, remarks)
    plane = label_plane(mask, (picture.shape[0], picture.shape[1]), settings)
    values = np.unique(plane)
    if values[values > 0].size > 1:
        listed = some(map(str, values.tolist()), 6)
        fix = "Use the archive whose GT_ folders hold 0 and 255; the names of the cell types are not published with it."
        raise DatasetError(f"A mask of 0 and 255 is expected, this holds {listed}: cell types?", where=mask, fix=fix)
    labels, filled = components(plane > 0)
    if filled:
        text = "{count} {hole of one pixel inside a nucleus was|holes of one pixel inside nuclei were} filled"
        remarks.append(Remark(text, filled, "note"))
    return PatchContent(image=picture, objects=labels, remarks=remarks)
