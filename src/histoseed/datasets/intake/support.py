"""What importers build on: folders, pairs of files, options; with what :mod:`histoseed.datasets.intake.objects` has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from histoseed.datasets.barcodes import Barcode, tcga
from histoseed.datasets.cards import DatasetCard
from histoseed.datasets.info import DatasetInfo, named_classes
from histoseed.datasets.intake.content import Remark
from histoseed.datasets.intake.objects import (
    Fused,
    class_by_majority,
    class_codes,
    clipped,
    fuse_masks,
    outlines,
    read_rgb,
)
from histoseed.datasets.near_names import nearest
from histoseed.errors import DatasetError, InputError
from histoseed.wording import some

__all__ = [
    "Barcode",
    "Fused",
    "Remark",
    "chosen",
    "class_by_majority",
    "class_codes",
    "clipped",
    "find_folder",
    "fuse_masks",
    "info_of",
    "outlines",
    "pairs_by_stem",
    "read_rgb",
    "root_of",
    "stems",
    "tcga",
]

_UNPACK = "Was the archive unpacked completely?"

IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")


def chosen(value: str | None, options: Iterable[str], option: str) -> str:
    """The value, or the first of the options where none is given.

    Raises:
        InputError: a value that is none of the options.
    """
    known = list(options)
    if value is None:
        return known[0]
    if value not in known:
        fix = f"{nearest(value, known)} Choose from: {', '.join(known)}."
        raise InputError(f"There is no {value!r}.", where=option, fix=fix)
    return value


def info_of(
    card: DatasetCard,
    scheme: str | None = None,
    *,
    part: str | None = None,
    region_classes: Sequence[str] = (),
    colors: Mapping[str, str] | None = None,
    version: str = "1",
) -> DatasetInfo:
    """What ``dataset.json`` says, from the card.

    Args:
        card: The card.
        scheme: Class scheme; None takes the first of the card.
        part: Part of the release; it enters the name unless it is the first of the card.
        region_classes: Names for the values 1, 2, ... of region maps.
        colors: Class name -> "#rrggbb".
        version: Version of the data.
    """
    names = card.schemes[chosen(scheme, card.schemes, "--classes")] if card.schemes else ()
    default = part is None or part == next(iter(card.parts), None)
    return DatasetInfo(
        name=card.name if default else f"{card.name} {part}",
        version=version,
        classes=named_classes(names, colors),
        region_classes=named_classes(region_classes, colors),
        stain=card.stain,
        licence=card.licence,
        citation=card.citation,
        known_problems=card.known_problems,
        leakage_notes=card.shares,
    )


def find_folder(source: Path, *names: str) -> Path:
    """The first folder of these names: in ``source``, ``source`` itself, or one folder further down.

    Args:
        source: What the user named.
        *names: Names in order of preference; "a/b" names nested ones.

    Raises:
        DatasetError: none is there, or several folders have one.
    """
    if not source.is_dir():
        what = "This is no folder." if source.exists() else "There is no such folder."
        raise DatasetError(what, where=source, fix="Give the folder of the data set.")
    for name in names:
        if (source / name).is_dir():
            return source / name
    for name in names:
        parts = Path(name).parts
        if source.resolve().parts[-len(parts) :] == parts:
            return source
    for name in names:
        inside = [entry / name for entry in _folders(source) if (entry / name).is_dir()]
        if len(inside) == 1:
            return inside[0]
    listed = " or ".join(f"{name}/" for name in names)
    raise DatasetError(f"There is no folder {listed}.", where=source, fix="Give the folder that was unpacked.")


def root_of(source: Path, holds: Callable[[Path], bool]) -> Path:
    """The folder that was unpacked: ``source`` itself, or the one folder in it that looks like it.

    Args:
        source: What the user named.
        holds: Whether a folder looks like it.

    Returns:
        ``source`` where neither it nor exactly one folder in it does.

    Raises:
        DatasetError: there is no such folder.
    """
    find_folder(source, ".")
    if holds(source):
        return source
    below = [entry for entry in _folders(source) if holds(entry)]
    return below[0] if len(below) == 1 else source


def _folders(source: Path) -> list[Path]:
    """The folders in a folder, sorted, without those that archives of other systems bring."""
    return [entry for entry in sorted(source.iterdir()) if entry.is_dir() and not entry.name.startswith((".", "__"))]


def stems(folder: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> dict[str, Path]:
    """Stem -> file, sorted by stem; hidden files, folders and other suffixes are passed over.

    Args:
        folder: Where to look, not below it.
        suffixes: Suffixes with their dot, compared without regard to case.

    Raises:
        DatasetError: no such folder, or two files of one stem.
    """
    if not folder.is_dir():
        raise DatasetError("There is no such folder.", where=folder, fix=_UNPACK)
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in suffixes or not path.is_file():
            continue
        if path.stem in found:
            what = f"{found[path.stem].name} and {path.name} have the same stem."
            raise DatasetError(what, where=folder, fix="Take one of them away.")
        found[path.stem] = path
    return dict(sorted(found.items()))


def pairs_by_stem(images: Mapping[str, Path], others: Mapping[str, Path], what: str) -> list[str]:
    """The stems of both, sorted.

    Args:
        images: Stem -> image.
        others: Stem -> its partner.
        what: What the partners are, for messages: "label file".

    Raises:
        DatasetError: nothing at all, or stems on one side only; it names them.
    """
    alone = sorted(images.keys() - others.keys()), sorted(others.keys() - images.keys())
    if alone[0]:
        where = images[alone[0][0]].parent
        raise DatasetError(f"No {what} for {some(alone[0], 5)}.", where=where, fix=_UNPACK)
    if alone[1]:
        where = others[alone[1][0]].parent
        raise DatasetError(f"No image for {some(alone[1], 5)}.", where=where, fix=_UNPACK)
    if not images:
        raise DatasetError(f"There is no image with its {what}.", fix=_UNPACK)
    return sorted(images)
