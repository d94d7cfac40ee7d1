"""The annotation formats by name, and which of them a file or folder is in."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from histoseed.annotations.formats import (
    aperio,
    asap,
    coco,
    cytomine,
    geojson,
    geoparquet,
    label_image,
    labelme,
    ome_tiff,
    spatialdata,
    stardist,
)
from histoseed.annotations.formats.base import Format
from histoseed.annotations.formats.json_heads import json_head
from histoseed.annotations.formats.xml_files import refuse_doctype
from histoseed.errors import InputError

__all__ = ["FORMATS", "detect", "format_of_name", "named_format"]

_ALL = (
    geojson.FORMAT,
    coco.FORMAT,
    asap.FORMAT,
    aperio.FORMAT,
    cytomine.FORMAT,
    label_image.FORMAT,
    labelme.FORMAT,
    stardist.FORMAT,
    ome_tiff.FORMAT,
    geoparquet.FORMAT,
    spatialdata.FORMAT,
)

FORMATS: Mapping[str, Format] = MappingProxyType({one.name: one for one in _ALL})
"""Name -> format."""


def named_format(name: str, option: str) -> Format:
    """The format of a name.

    Args:
        name: As the user typed it.
        option: What it was given as, for instance ``--from``.

    Raises:
        InputError: there is no such format; the message offers the nearest names.
    """
    if name in FORMATS:
        return FORMATS[name]
    near = difflib.get_close_matches(name.lower(), FORMATS, n=3)
    fix = f"Did you mean {' or '.join(near)}?" if near else f"Use one of {', '.join(FORMATS)}."
    raise InputError(f"There is no annotation format {name!r}.", where=option, fix=fix)


def detect(path: Path | str) -> Format:
    """The format of a file or folder: by what it holds; where that says nothing, by its suffix.

    Raises:
        InputError: there is no such file or folder, or no format or several formats fit.
        AnnotationError: XML with a document type declaration, which no reader takes.
    """
    path = Path(path)
    if not path.exists():
        raise InputError("There is no such file or folder.", where=path, fix="Look at the name.")
    if path.is_file():
        refuse_doctype(path)
    by_content = fitting = [one for one in FORMATS.values() if one.sniff(path)]
    if len(fitting) != 1 and path.is_file():
        fitting = _longest(path.name, fitting or FORMATS.values()) or fitting
    if len(fitting) == 1:
        return fitting[0]
    foreign = None if by_content else _foreign(path)
    if foreign is not None:
        what = f"This looks like a file of {foreign}, which is not read."
        raise InputError(what, where=path, fix="Export a format that docs/formats.md lists.")
    what = "Several annotation formats fit." if by_content else "No annotation format is recognised."
    raise InputError(what, where=path, fix=_say_it("--from", fitting))


_FOREIGN: Mapping[str, frozenset[str]] = MappingProxyType(
    {"Sectra, with places as shares of the image": frozenset({"slideId", "content", "persistentId"})}
)
"""Programs whose JSON is known and not read, by keys that stand in it."""


def _foreign(path: Path) -> str | None:
    """The program that a JSON file is known to come from, None for files that nobody knows."""
    head = json_head(path) if path.is_file() else None
    return next((name for name, keys in _FOREIGN.items() if head is not None and keys <= head.keys), None)


def format_of_name(path: Path | str, option: str | None = None) -> Format:
    """The format that the name of a file to be written asks for.

    Args:
        path: The file.
        option: With which a user can name the format instead; None: there is none.

    Raises:
        InputError: no format has such files, or several have.
    """
    fitting = _longest(Path(path).name, FORMATS.values())
    if len(fitting) == 1:
        return fitting[0]
    what = "Several annotation formats have such files." if fitting else "The name does not tell the annotation format."
    if option is not None:
        raise InputError(what, where=path, fix=_say_it(option, fitting))
    shared = Counter(suffix for one in FORMATS.values() for suffix in one.endings)
    telling = sorted(suffix for suffix, formats in shared.items() if formats == 1)
    raise InputError(what, where=path, fix=f"Let its name end in one of {', '.join(telling)}.")


def _longest(name: str, among: Iterable[Format]) -> list[Format]:
    """The formats with the longest suffix that the name ends in: ``.ome.tif`` goes before ``.tif``."""
    among = list(among)
    suffixes = [suffix for one in among for suffix in one.endings if name.lower().endswith(suffix)]
    longest = max(suffixes, key=len, default=None)
    return [one for one in among if longest in one.endings]


def _say_it(option: str, among: Iterable[Format]) -> str:
    names = ", ".join(one.name for one in among) or ", ".join(FORMATS)
    return f"Say {option} FORMAT; one of {names}."
