"""What ``dataset.json`` says about a data set."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from histoseed.annotations import palette
from histoseed.errors import DatasetError

__all__ = ["FORMAT_VERSION", "ClassInfo", "DatasetInfo", "named_classes", "read_info"]

FORMAT_VERSION = 1
"""The version of the common format that this package writes; older ones are read, newer ones are refused."""

_HEX = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True, slots=True)
class ClassInfo:
    """One class of objects.

    Args:
        name: The name that stands in ``instances.parquet``.
        color: CSS hex colour, ``#rrggbb``.

    Raises:
        DatasetError: an empty name, or a colour of another form.
    """

    name: str
    color: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip() or self.name != self.name.strip():
            raise DatasetError(f"{self.name!r} is not a class name.", fix="Use a text without blanks around it.")
        if not isinstance(self.color, str) or not _HEX.fullmatch(self.color):
            raise DatasetError(f"{self.color!r} is not a colour of the form #rrggbb.", where=f"class {self.name!r}")


def named_classes(names: Iterable[str], colors: Mapping[str, str] | None = None) -> tuple[ClassInfo, ...]:
    """Classes in the order of ``names``; where ``colors`` says nothing, the colour comes from the palette.

    >>> named_classes(["stroma"], {"stroma": "#00ff00"})
    (ClassInfo(name='stroma', color='#00ff00'),)
    """
    listed, stated = list(names), colors or {}
    given = {name: ClassInfo(name, color) for name in listed if (color := stated.get(name))}
    chosen = palette(listed, {name: one.color for name, one in given.items()})
    return tuple(given.get(name) or ClassInfo(name, chosen[name]) for name in listed)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetInfo:
    """The contents of ``dataset.json``.

    Args:
        name: Short name of the data set.
        version: Version of the data, free text.
        classes: Classes of the objects. Class index k (1, 2, ...) is ``classes[k - 1]``; 0 is *unclassified*.
        region_classes: Classes of ``regions/<patch_id>.tif``. Value k is ``region_classes[k - 1]``; 0 says nothing.
        stain: For instance "H&E"; None where unknown.
        licence: Licence of images and annotations; None where none is stated.
        citation: What to cite.
        known_problems: What is wrong with the annotations, one sentence each.
        leakage_notes: With which other data sets it shares patients or slides.
        notes: What the importer changed or found remarkable.
        format_version: Version of the common format.

    Raises:
        DatasetError: an empty name, or a class name twice.
    """

    name: str
    version: str = "1"
    classes: tuple[ClassInfo, ...] = ()
    region_classes: tuple[ClassInfo, ...] = ()
    stain: str | None = None
    licence: str | None = None
    citation: str | None = None
    known_problems: tuple[str, ...] = ()
    leakage_notes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise DatasetError("A data set needs a name.")
        for key in ("classes", "region_classes"):
            names = [c.name for c in getattr(self, key)]
            twice = sorted({n for n in names if names.count(n) > 1})
            if twice:
                raise DatasetError(f"Class {twice[0]!r} is listed twice.", where=key)

    def class_index(self) -> dict[str, int]:
        """Class name -> index 1, 2, ... as in ``Patch.class_ids``."""
        return {c.name: i for i, c in enumerate(self.classes, start=1)}

    def to_json(self) -> dict[str, Any]:
        """The JSON object, keys in the order of the documentation."""

        def classes(rows: tuple[ClassInfo, ...]) -> list[dict[str, str]]:
            return [{"name": c.name, "colour": c.color} for c in rows]

        return {
            "format_version": self.format_version,
            "name": self.name,
            "version": self.version,
            "classes": classes(self.classes),
            "region_classes": classes(self.region_classes),
            "stain": self.stain,
            "licence": self.licence,
            "citation": self.citation,
            "known_problems": list(self.known_problems),
            "leakage_notes": list(self.leakage_notes),
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, value: Any) -> DatasetInfo:
        """Check a parsed JSON value; keys that are not known are passed over.

        Raises:
            DatasetError: a missing key, a value of the wrong type, or a newer ``format_version``.
        """
        if not isinstance(value, dict):
            raise DatasetError("The file must hold one JSON object.")
        format_version = value.get("format_version")
        if type(format_version) is not int or format_version < 1:
            raise DatasetError(f"'format_version' is {format_version!r}; a whole number from 1 on is needed.")
        if format_version > FORMAT_VERSION:
            what = f"The data set has format version {format_version}; this histoseed reads up to {FORMAT_VERSION}."
            raise DatasetError(what, fix="Update histoseed, or write the data set with this version.")
        return cls(
            name=_text(value, "name", required=True) or "",
            version=_text(value, "version") or "1",
            classes=_classes(value, "classes", required=True),
            region_classes=_classes(value, "region_classes"),
            stain=_text(value, "stain"),
            licence=_text(value, "licence"),
            citation=_text(value, "citation"),
            known_problems=_texts(value, "known_problems"),
            leakage_notes=_texts(value, "leakage_notes"),
            notes=_texts(value, "notes"),
            format_version=format_version,
        )


def _text(value: dict[str, Any], key: str, *, required: bool = False) -> str | None:
    text = value.get(key)
    if (text is None and required) or (text is not None and not isinstance(text, str)):
        raise DatasetError(f"{key!r} must be a text, and is {text!r}.")
    return text


def _texts(value: dict[str, Any], key: str) -> tuple[str, ...]:
    texts = value.get(key, [])
    if not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
        raise DatasetError(f"{key!r} must be a list of texts.")
    return tuple(texts)


def _classes(value: dict[str, Any], key: str, *, required: bool = False) -> tuple[ClassInfo, ...]:
    rows = value.get(key, None if required else [])
    if not isinstance(rows, list):
        raise DatasetError(f"{key!r} must be a list of objects with 'name' and 'colour'.")
    classes = []
    for i, row in enumerate(rows):
        if not isinstance(row, dict) or not {"name", "colour"} <= row.keys():
            raise DatasetError(f"{key}[{i}] must be an object with 'name' and 'colour'.")
        classes.append(ClassInfo(row["name"], row["colour"]))
    return tuple(classes)


def read_info(path: Path) -> DatasetInfo:
    """Read a ``dataset.json``.

    Raises:
        DatasetError: the file cannot be read, is not JSON, or breaks the format; it names the file and the key.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise DatasetError(f"Cannot be read as JSON ({error}).", where=path) from error
    try:
        return DatasetInfo.from_json(value)
    except DatasetError as error:
        where = str(path) if error.where is None else f"{path}, {error.where}"
        raise DatasetError(error.what, where=where, fix=error.fix) from error
