"""Class maps: which class of one data set becomes which class of another. Ready ones lie in ``class_maps/``.

A map is a TOML file with one table a data set, under its name in ``dataset.json``::

    about = "one sentence"                  # optional, as the next two
    origin = ["where the choices come from"]
    lossy = ["what is lost"]

    [pannuke]
    "Neoplastic" = "tumour"                 # becomes this class
    "Dead" = "unclassified"                 # stays an object, of unknown class; "" means the same
    "Inflammatory" = "ignore"               # is no object any more; its area counts for nothing
    "Connective" = "drop"                   # is no object any more; its area becomes background
    "Epithelial" = "Epithelial"             # every class must be named

    "unclassified" = "drop"                 # optional: objects without a class; left out, they stay as they are

    [pannuke.regions]                       # optional: classes of region maps; left out, they keep their names
    "Tumour" = "tumour"

The words "unclassified", "ignore" and "drop" can therefore not be names of target classes, and neither can what is
nearly written like them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from histoseed.datasets.near_names import close_names, nearest, plain
from histoseed.errors import InputError
from histoseed.toml_files import read_toml

__all__ = ["UNCLASSIFIED", "ClassMap", "Target", "class_maps", "read_class_map"]

Fate = Literal["class", "unclassified", "ignore", "drop"]

_FOLDER = Path(__file__).parent / "class_maps"
_WORDS: Mapping[str, Fate] = MappingProxyType(
    {"": "unclassified", "unclassified": "unclassified", "ignore": "ignore", "drop": "drop"}
)

UNCLASSIFIED = ("unclassified", "")
"""Keys of a table that mean the objects without a class."""

_SLIP = 0.85
"""Likeness from which a target is one of the words, mistyped."""


class Target(NamedTuple):
    """What becomes of a class.

    Attributes:
        fate: "class": it becomes ``name``; "unclassified": an object of unknown class; "ignore": ignore area;
            "drop": background.
        name: The new class, "" for the other fates.
    """

    fate: Fate
    name: str = ""

    @classmethod
    def of(cls, text: str) -> Target:
        """The target that a map writes as ``text``."""
        return cls(_WORDS[text]) if text in _WORDS else cls("class", text)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMap:
    """A class map as it was read.

    Args:
        name: Name of a ready map, or the path of the file.
        about: One sentence.
        origin: Where the choices come from.
        lossy: What is lost.
        objects: Data set -> class -> target, as written.
        regions: Data set -> region class -> target, as written.
    """

    name: str
    about: str
    origin: tuple[str, ...]
    lossy: tuple[str, ...]
    objects: Mapping[str, Mapping[str, str]]
    regions: Mapping[str, Mapping[str, str]]


@cache
def class_maps() -> Mapping[str, ClassMap]:
    """The ready maps by name."""
    found = {path.stem: _read(path, path.stem) for path in sorted(_FOLDER.glob("*.toml"))}
    return MappingProxyType(found)


def read_class_map(text: str | Path) -> ClassMap:
    """A map file, or a ready map by its name; a file of that name goes first.

    Raises:
        InputError: no such file or name, or the file is no class map.
    """
    path = Path(text)
    if path.is_file():
        return _read(path, str(path))
    ready = class_maps()
    if str(text) in ready:
        return ready[str(text)]
    fix = f"{nearest(str(text), ready)} `histoseed dataset merge --list-maps` lists the ready ones."
    raise InputError("There is no such file, and no ready class map of that name.", where=text, fix=fix)


def _read(path: Path, name: str) -> ClassMap:
    """Read and check a file.

    Raises:
        InputError: it is no class map; the message names the key.
    """
    value, _ = read_toml(path, "class map")
    texts = {key: value.pop(key, empty) for key, empty in (("about", ""), ("origin", []), ("lossy", []))}
    if not isinstance(texts["about"], str) or not all(_is_texts(texts[key]) for key in ("origin", "lossy")):
        raise InputError("'about' must be a text, 'origin' and 'lossy' lists of texts.", where=path)
    objects, regions = {}, {}
    for source, table in value.items():
        if not isinstance(table, dict):
            fix = 'Write one table a data set: [name], then "class" = "target".'
            raise InputError(f"{source!r} is no table.", where=path, fix=fix)
        inner = table.pop("regions", {}) if isinstance(table.get("regions"), dict) else {}
        objects[source], regions[source] = (_texts(part, source, path) for part in (table, inner))
    if not objects:
        raise InputError("The class map names no data set.", where=path)
    origin, lossy = tuple(texts["origin"]), tuple(texts["lossy"])
    return ClassMap(name=name, about=texts["about"], origin=origin, lossy=lossy, objects=objects, regions=regions)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _texts(table: Mapping[str, Any], source: str, path: Path) -> dict[str, str]:
    for key, value in table.items():
        where = f"{path}, [{source}]"
        if not isinstance(value, str) or value != value.strip():
            what = f"The target of {key!r} is {value!r}, not a class name."
            raise InputError(what, where=where, fix="Write a text without blanks around it.")
        words = [word for word in _WORDS if word and word != value and plain(word) == plain(value)]
        words += [] if value in _WORDS else close_names(value, filter(None, _WORDS), cutoff=_SLIP)
        if words:
            what = f"The target of {key!r} is {value!r}, which is nearly the word {words[0]!r}."
            raise InputError(what, where=where, fix=f"Write {words[0]!r}, or give the class another name.")
    return dict(table)
