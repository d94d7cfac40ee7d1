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

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from skimage import measure

from histoseed.annotations import read_label_image
from histoseed.datasets.dataset import Dataset, read_dataset
from histoseed.datasets.importers.label_folder import LabelFolder, scan_folder
from histoseed.datasets.importers.remarks import Remarks, some
from histoseed.datasets.info import DatasetInfo, named_classes
from histoseed.datasets.numbering import compact_labels
from histoseed.datasets.paths import check_patch_id
from histoseed.datasets.writer import DatasetWriter, PatchFacts
from histoseed.errors import DatasetError, InputError
from histoseed.geometry import MPP_RANGE, Region, known_mpp
from histoseed.settings import Settings, read_settings
from histoseed.slides import Slide, open_slide

__all__ = ["import_labels"]


@dataclass
class _Import:
    """What stays the same from picture to picture, and what is collected on the way."""

    folder: LabelFolder
    mpp: float | None
    exhaustive: bool
    settings: Settings
    notes: Remarks = field(default_factory=Remarks)
    problems: Remarks = field(default_factory=Remarks)


def import_labels(
    source: Path | str,
    out: Path | str,
    *,
    mpp: float | None = None,
    name: str | None = None,
    exhaustive: bool = True,
    stain: str | None = None,
    licence: str | None = None,
    citation: str | None = None,
    overwrite: bool = False,
    settings: Settings | None = None,
) -> Dataset:
    """Import a folder of pictures and label images; every picture becomes one patch of its stem's name.

    Args:
        source: The folder, see the module.
        out: The data-set folder to make.
        mpp: Microns per pixel of all pictures; ``groups.csv`` goes before it, the files' own metadata comes after it.
            Where none of them says it, it stays unknown.
        name: Name of the data set; the folder's name when left out.
        exhaustive: Whether every object is annotated.
        stain: For ``dataset.json``.
        licence: For ``dataset.json``.
        citation: For ``dataset.json``.
        overwrite: Replace a data set at ``out``.
        settings: Limits; read from the environment when left out.

    Raises:
        DatasetError: the folder breaks the layout; the message names the stems, lines or numbers.
        SlideError: a picture that cannot be read.
        AnnotationError: a label image that cannot be read, or holds fractions or colours.
        OutputError: ``out`` is not empty, or cannot be written.
    """
    folder = Path(source)
    if mpp is not None and known_mpp(mpp) is None:
        raise InputError(f"{mpp} microns per pixel is outside {MPP_RANGE[0]} to {MPP_RANGE[1]}.", where="mpp")
    limits = read_settings() if settings is None else settings
    run = _Import(scan_folder(folder), mpp, exhaustive, limits)
    info = DatasetInfo(
        name=name or folder.resolve().name or "labels",
        classes=named_classes(run.folder.classes.values()),
        stain=stain,
        licence=licence,
        citation=citation,
    )
    with DatasetWriter(out, info, overwrite=overwrite, settings=limits) as writer:
        for stem in sorted(run.folder.images):
            _add(writer, run, stem)
        for sentence in run.notes.sentences():
            writer.note(sentence)
        for sentence in run.problems.sentences():
            writer.problem(sentence)
    return read_dataset(out, settings=limits)


def _add(writer: DatasetWriter, run: _Import, stem: str) -> None:
    """Read the files of one stem, compare them, write the patch."""
    picture = run.folder.images[stem]
    check_patch_id(stem, picture)
    facts: PatchFacts = {"exhaustive": run.exhaustive, **run.folder.groups.get(stem, {})}
    with open_slide(picture, mpp=run.mpp, settings=run.settings) as slide:
        labels = _remarked(_read_plane(run, run.folder.labels[stem], slide, stem), run, stem)
        class_of: dict[int, str | None] = {}
        if run.folder.types:
            class_of = _majority(labels, _read_plane(run, run.folder.types[stem], slide, stem), run, stem)
        image = slide.read(Region(0, 0, *slide.size))
        if facts.get("mpp") is None:
            facts |= {"mpp": slide.mpp, "mpp_source": slide.mpp_source}
        for note in slide.notes:
            run.notes.add(note, stem)
    writer.add(stem, image, labels, class_of=class_of, **facts)


def _read_plane(run: _Import, path: Path, slide: Slide, stem: str) -> npt.NDArray[np.integer]:
    """A label or type image of the size of its picture."""
    said: list[str] = []
    plane = read_label_image(path, run.settings, notes=said)
    if plane.shape != (slide.size[1], slide.size[0]):
        what = (
            f"{path.parent.name}/{path.name} is {plane.shape[1]} x {plane.shape[0]} pixels, "
            f"images/{slide.path.name} is {slide.size[0]} x {slide.size[1]}."
        )
        raise DatasetError(what, where=path, fix="Export both at the same resolution, without resizing labels.")
    for sentence in said:
        run.notes.add(f"{path.parent.name}: {sentence.removeprefix(f'{path.name}: ')}", stem)
    return plane


def _remarked(labels: npt.NDArray[np.integer], run: _Import, stem: str) -> npt.NDArray[np.integer]:
    """The labels, after a word about skipped numbers and detached parts; huge numbers are renumbered."""
    ids, compact = compact_labels(labels)
    if not ids.size:
        run.notes.add("The label image is empty", stem)
        return labels
    if ids[-1] > run.settings.max_objects:
        run.notes.add("Label numbers above the setting max_objects were replaced by 1, 2, 3, ...", stem)
        return compact
    if ids[-1] != ids.size:
        run.notes.add("Label numbers skip; they are kept as they are", stem)
    parts = int(measure.label(labels, connectivity=2, background=0).max())  # type: ignore[no-untyped-call]
    if parts > ids.size:
        text = "Objects consist of detached parts, {count} parts more than objects; each label stays one object"
        run.problems.add(text, stem, parts - ids.size)
    return labels


def _majority(
    labels: npt.NDArray[np.integer], types: npt.NDArray[np.integer], run: _Import, stem: str
) -> dict[int, str | None]:
    """Label -> class name by the vote of its pixels.

    Raises:
        DatasetError: a class number without a name.
    """
    numbers = np.unique(types)
    unnamed = [int(n) for n in numbers[numbers > 0] if int(n) not in run.folder.classes]
    if unnamed:
        what = f"Class number {some(map(str, unnamed), 5)} has no name in classes.json."
        raise DatasetError(what, where=run.folder.types[stem], fix="Name every number that types/ uses.")
    ids, compact = compact_labels(labels)
    pair = compact.ravel().astype(np.int64) * len(numbers) + np.searchsorted(numbers, types).ravel()
    votes = np.bincount(pair, minlength=(len(ids) + 1) * len(numbers)).reshape(-1, len(numbers))[1:]
    votes[:, numbers == 0] = 0
    winner, most = numbers[votes.argmax(axis=1)], votes.max(axis=1)
    tied = ((votes == most[:, None]).sum(axis=1) > 1) & (most > 0)
    mixed = (votes > 0).sum(axis=1) > 1
    for rows, text in (
        (mixed, "{count} objects hold pixels of several classes; the most frequent one was taken"),
        (tied, "{count} objects hold equally many pixels of two classes; the smaller class number was taken"),
        (most == 0, "{count} objects hold no pixel of a class and stay unclassified"),
    ):
        if rows.any():
            run.problems.add(text, stem, int(rows.sum()))
    return {
        int(label): run.folder.classes[int(number)] if count else None
        for label, number, count in zip(ids, winner, most, strict=True)
    }
