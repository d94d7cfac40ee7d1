"""Import ``labels``: pictures and label images with equal stems.

::

    DIR/images/<stem>.<any image>      grey, 16 bit, alpha ... are converted and noted
    DIR/labels/<stem>.<png|tif|npy>    0 = background, every other number one object; numbers may skip
    DIR/types/<stem>.<png|tif|npy>     optional: class number of every pixel, 0 = none
    DIR/classes.json                   {"1": "name", ...}; needed where types/ is
    DIR/groups.csv                     optional: patch_id,patient,slide,centre,organ,mpp,split; patch_id is needed

The class of an object is the class number that most of its pixels have; pixels of number 0 do not vote, and of equally
frequent numbers the smallest wins. An object without a vote stays unclassified.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from skimage import measure

from histoseed.annotations import read_label_image
from histoseed.datasets.content import PatchFacts
from histoseed.datasets.dataset import Dataset
from histoseed.datasets.importers.label_folder import LabelFolder, scan_folder
from histoseed.datasets.info import DatasetInfo, named_classes
from histoseed.datasets.intake.content import Collection, Item, PatchContent, Remark
from histoseed.datasets.intake.engine import OnItem, take_in
from histoseed.datasets.intake.objects import class_by_majority
from histoseed.datasets.numbering import compact_labels
from histoseed.datasets.paths import check_patch_id
from histoseed.errors import DatasetError
from histoseed.geometry import Region
from histoseed.settings import Settings, read_settings
from histoseed.slides import Slide, open_slide
from histoseed.wording import some

__all__ = ["collect", "import_labels"]


@dataclass(frozen=True, slots=True)
class _Folder:
    """What stays the same from picture to picture."""

    files: LabelFolder
    exhaustive: bool
    settings: Settings


def collect(
    source: Path,
    *,
    name: str | None = None,
    exhaustive: bool = True,
    stain: str | None = None,
    licence: str | None = None,
    citation: str | None = None,
    settings: Settings,
) -> Collection:
    """Import a folder of pictures and label images; every picture becomes one patch of its stem's name.

    Args:
        source: The folder, see the module.
        name: Name of the data set; the folder's name when left out.
        exhaustive: Whether every object is annotated.
        stain: For ``dataset.json``.
        licence: For ``dataset.json``.
        citation: For ``dataset.json``.
        settings: Limits.

    Raises:
        DatasetError: the folder breaks the layout; the message names the stems, lines or numbers.
    """
    folder = _Folder(scan_folder(source), exhaustive, settings)
    files = folder.files
    for stem, path in files.images.items():
        check_patch_id(stem, path)
    info = DatasetInfo(
        name=name or source.resolve().name or "labels",
        classes=named_classes(files.classes.values()),
        stain=stain,
        licence=licence,
        citation=citation,
    )
    items = [
        Item(
            patch_id=stem,
            read=partial(_read, folder, stem),
            files=[by_stem[stem] for by_stem in (files.images, files.labels, files.types) if stem in by_stem],
            facts={"exhaustive": exhaustive, **files.groups.get(stem, {})},
        )
        for stem in sorted(files.images)
    ]
    return Collection(info=info, items=items)


def import_labels(
    source: Path | str,
    out: Path | str,
    *,
    mpp: float | None = None,
    source_mpp: float | None = None,
    name: str | None = None,
    exhaustive: bool = True,
    stain: str | None = None,
    licence: str | None = None,
    citation: str | None = None,
    overwrite: bool = False,
    settings: Settings | None = None,
    on_item: OnItem | None = None,
) -> Dataset:
    """Import a folder of pictures and label images; see :func:`collect` and :func:`take_in` for the arguments.

    The resolution of a picture is that of ``groups.csv``, else that of the file, else it is unknown.

    Raises:
        DatasetError: the folder breaks the layout; the message names the stems, lines or numbers.
        SlideError: a picture that cannot be read.
        AnnotationError: a label image that cannot be read, or holds fractions or colours.
        OutputError: ``out`` is not empty, or cannot be written.
    """
    limits = read_settings() if settings is None else settings
    options = {"name": name, "exhaustive": exhaustive, "stain": stain, "licence": licence, "citation": citation}
    found = collect(
        Path(source),
        name=name,
        exhaustive=exhaustive,
        stain=stain,
        licence=licence,
        citation=citation,
        settings=limits,
    )
    return take_in(
        found,
        out,
        importer="labels",
        options=options,
        mpp=mpp,
        source_mpp=source_mpp,
        overwrite=overwrite,
        settings=limits,
        on_item=on_item,
    )


def _read(folder: _Folder, stem: str) -> PatchContent:
    """Read the files of one stem and compare them."""
    files = folder.files
    remarks: list[Remark] = []
    facts: PatchFacts = {}
    with open_slide(files.images[stem], settings=folder.settings) as slide:
        labels = _remarked(_read_plane(folder, files.labels[stem], slide, remarks), folder.settings, remarks)
        class_of: dict[int, str | None] = {}
        if files.types:
            types = _read_plane(folder, files.types[stem], slide, remarks)
            _check_named(types, folder, files.types[stem])
            class_of, said = class_by_majority(labels, types, files.classes, files.types[stem])
            remarks += said
        image = slide.read(Region(0, 0, *slide.size))
        if files.groups.get(stem, {}).get("mpp") is None:
            facts = {"mpp": slide.mpp, "mpp_source": slide.mpp_source}
        remarks += [Remark(note, kind="note") for note in slide.notes]
    return PatchContent(image=np.asarray(image), objects=labels, class_of=class_of, facts=facts, remarks=remarks)


def _check_named(types: npt.NDArray[np.integer], folder: _Folder, path: Path) -> None:
    """Every class number has a name.

    Raises:
        DatasetError: numbers without one.
    """
    numbers = np.unique(types)
    unnamed = [str(n) for n in numbers[numbers > 0].tolist() if n not in folder.files.classes]
    if unnamed:
        what = f"Class number {some(unnamed, 5)} has no name in classes.json."
        raise DatasetError(what, where=path, fix="Name every number that types/ uses.")


def _read_plane(folder: _Folder, path: Path, slide: Slide, remarks: list[Remark]) -> npt.NDArray[np.integer]:
    """A label or type image of the size of its picture."""
    said: list[str] = []
    plane = read_label_image(path, folder.settings, notes=said)
    if plane.shape != (slide.size[1], slide.size[0]):
        what = (
            f"{path.parent.name}/{path.name} is {plane.shape[1]} x {plane.shape[0]} pixels, "
            f"images/{slide.path.name} is {slide.size[0]} x {slide.size[1]}."
        )
        raise DatasetError(what, where=path, fix="Export both at the same resolution, without resizing labels.")
    remarks += [Remark(f"{path.parent.name}: {text.removeprefix(f'{path.name}: ')}", kind="note") for text in said]
    return plane


def _remarked(labels: npt.NDArray[np.integer], settings: Settings, remarks: list[Remark]) -> npt.NDArray[np.integer]:
    """The labels, after a word about skipped numbers and detached parts; huge numbers are renumbered."""
    ids, compact = compact_labels(labels)
    if not ids.size:
        remarks.append(Remark("The label image is empty", kind="note"))
        return labels
    if ids[-1] > settings.max_objects:
        text = "Label numbers above the setting max_objects were replaced by 1, 2, 3, ..."
        remarks.append(Remark(text, kind="note"))
        return compact
    if ids[-1] != ids.size:
        remarks.append(Remark("Label numbers skip; they are kept as they are", kind="note"))
    parts = int(measure.label(labels, connectivity=2, background=0).max())  # type: ignore[no-untyped-call]
    if parts > ids.size:
        text = "Objects consist of detached parts, {count} {part|parts} more than objects; each label stays one object"
        remarks.append(Remark(text, parts - ids.size))
    return labels
