"""The layout that ``import labels`` reads: which files belong together, ``classes.json`` and ``groups.csv``."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from histoseed.datasets.checks import check_split
from histoseed.datasets.near_names import nearest
from histoseed.datasets.writer import PatchFacts
from histoseed.errors import DatasetError
from histoseed.geometry import MPP_RANGE, known_mpp
from histoseed.wording import agreed, counted, some

__all__ = ["GROUP_COLUMNS", "LabelFolder", "scan_folder"]

GROUP_COLUMNS = ("patch_id", "patient", "slide", "centre", "organ", "mpp", "split")
"""Columns that ``groups.csv`` may have."""


@dataclass(frozen=True, slots=True)
class LabelFolder:
    """The files of a folder, matched by stem.

    Args:
        images: Stem -> picture.
        labels: Stem -> label image; the same stems.
        types: Stem -> image of class numbers; the same stems, or empty.
        classes: Class number -> name, ascending.
        groups: Stem -> what ``groups.csv`` says; the same stems, or empty.
    """

    images: Mapping[str, Path]
    labels: Mapping[str, Path]
    types: Mapping[str, Path]
    classes: Mapping[int, str]
    groups: Mapping[str, PatchFacts]


def scan_folder(folder: Path) -> LabelFolder:
    """Match all names before a pixel is read, so that most mistakes are found at once.

    Raises:
        DatasetError: a missing folder, stems without a partner, a table that cannot be understood.
    """
    for part in ("images", "labels"):
        if not (folder / part).is_dir():
            what = f"There is no folder {part}/." if folder.is_dir() else "There is no such folder."
            raise DatasetError(what, where=folder, fix="Put pictures in images/ and label images in labels/.")
    images, labels = _stems(folder / "images"), _stems(folder / "labels")
    if not images:
        raise DatasetError("The folder is empty.", where=folder / "images")
    _equal_stems(images, labels, folder, "label")
    types = _stems(folder / "types") if (folder / "types").is_dir() else {}
    if types:
        _equal_stems(images, types, folder, "type image")
    classes_file = folder / "classes.json"
    classes = _read_classes(classes_file) if classes_file.is_file() else {}
    if types and not classes:
        fix = 'Write one like {"1": "tumour", "2": "stroma"}, or take types/ away.'
        raise DatasetError("types/ needs a classes.json that names its numbers.", where=folder, fix=fix)
    groups_file = folder / "groups.csv"
    groups = _read_groups(groups_file, images) if groups_file.is_file() else {}
    return LabelFolder(images, labels, types, classes, groups)


def _stems(folder: Path) -> dict[str, Path]:
    """Stem -> file; hidden files and folders are passed over."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        if path.stem in found:
            what = f"{found[path.stem].name} and {path.name} have the same stem."
            raise DatasetError(what, where=folder, fix="Keep one of them.")
        found[path.stem] = path
    return found


def _equal_stems(images: Mapping[str, Path], others: Mapping[str, Path], folder: Path, kind: str) -> None:
    without, orphans = sorted(images.keys() - others.keys()), sorted(others.keys() - images.keys())
    if without:
        have = agreed(f"{{count}} {{image|images}} of {len(images):,} {{has|have}}", len(without))
        what = f"{have} no {kind}: {some(without, 5)}."
        raise DatasetError(what, where=folder, fix=f"Add the {kind} under the same stem, or remove the image.")
    if orphans:
        are = agreed("{count} {file is|files are}", len(orphans))
        what = f"{are} a {kind} without an image: {some(orphans, 5)}."
        raise DatasetError(what, where=folder, fix="Add the image under the same stem, or remove the file.")


def _read_classes(path: Path) -> dict[int, str]:
    """Class number -> name, ascending."""
    fix = 'Write it like {"1": "tumour", "2": "stroma"}.'

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(dict(pairs)) != len(pairs):
            raise DatasetError("A number stands twice.", where=path, fix=fix)
        return dict(pairs)

    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=once)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DatasetError(f"Cannot be read as JSON ({error}).", where=path, fix=fix) from error
    if not isinstance(value, dict) or not value:
        raise DatasetError("The file must hold one object of numbers and names.", where=path, fix=fix)
    classes: dict[int, str] = {}
    for key, text in value.items():
        if not (key.isascii() and key.isdigit() and int(key) >= 1 and str(int(key)) == key):
            what = f"{key!r} is not a class number from 1 on (0 means no class)."
            raise DatasetError(what, where=path, fix=fix)
        if not isinstance(text, str) or not text.strip():
            raise DatasetError(f"The name of class {key} is {text!r}.", where=path, fix=fix)
        if text.strip() in classes.values():
            raise DatasetError(f"The name {text.strip()!r} stands twice.", where=path, fix="Name each class once.")
        classes[int(key)] = text.strip()
    return dict(sorted(classes.items()))


def _read_groups(path: Path, images: Mapping[str, Path]) -> dict[str, PatchFacts]:
    """Stem -> what ``groups.csv`` says of it; empty fields are left out."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = list(csv.reader(stream, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"Cannot be read as CSV ({error}).", where=path) from error
    head = [cell.strip() for cell in lines[0]] if lines else []
    for column in head:
        if column not in GROUP_COLUMNS:
            raise DatasetError(f"There is no column {column!r}.", where=path, fix=nearest(column, GROUP_COLUMNS))
    if "patch_id" not in head or len(set(head)) != len(head):
        fix = f"The first line is {','.join(GROUP_COLUMNS)}."
        raise DatasetError("The first line must name the columns, patch_id among them, each once.", where=path, fix=fix)
    groups: dict[str, PatchFacts] = {}
    for number, cells in enumerate(lines[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        where = f"{path}, line {number}"
        if len(cells) != len(head):
            raise DatasetError(f"The line has {counted(len(cells), 'field')}, the first line {len(head)}.", where=where)
        row = {key: cell.strip() for key, cell in zip(head, cells, strict=True) if cell.strip()}
        stem = row.get("patch_id", "")
        if stem not in images:
            raise DatasetError(f"There is no image {stem!r}.", where=where, fix=nearest(stem, images))
        if stem in groups:
            raise DatasetError(f"{stem!r} stands on an earlier line too.", where=where)
        groups[stem] = _facts(row, where)
    missing = sorted(images.keys() - groups.keys())
    if missing:
        what = f"{agreed('{count} {image has|images have}', len(missing))} no line: {some(missing, 5)}."
        raise DatasetError(what, where=path, fix="Add a line for each; what is unknown stays empty.")
    return groups


def _facts(row: Mapping[str, str], where: str) -> PatchFacts:
    """The fields of one line of ``groups.csv``, checked."""
    facts: PatchFacts = {}
    for key in ("patient", "slide", "centre", "organ", "split"):
        if key in row:
            facts[key] = row[key]
    check_split(facts.get("split"), where)
    if "mpp" in row:
        try:
            mpp = known_mpp(float(row["mpp"]))
        except ValueError:
            mpp = None
        if mpp is None:
            what = f"mpp is {row['mpp']!r}; a number from {MPP_RANGE[0]} to {MPP_RANGE[1]} is needed."
            raise DatasetError(what, where=where, fix="Leave the field empty where it is unknown.")
        facts["mpp"] = mpp
    return facts
