"""Tell JSON files apart by the keys in their first bytes."""

from __future__ import annotations

import gzip
import re
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

__all__ = ["JsonHead", "json_head"]

_SNIFFED = 1 << 16

_TOKEN = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?|"|[\[\]{}]', re.DOTALL)


class JsonHead(NamedTuple):
    """How a JSON file begins.

    Attributes:
        is_list: Whether it is a list; else it is an object.
        keys: Keys of the object, or of the objects of the list, as far as the first bytes show them.
    """

    is_list: bool
    keys: frozenset[str]


def json_head(path: Path) -> JsonHead | None:
    """The keys in the first bytes of a JSON file, gzip and zip unpacked; None where it is no object and no list.

    Cheap: for telling formats apart. A file that begins well may still be damaged.
    """
    try:
        text = _first_bytes(path).decode("utf-8-sig", "replace").lstrip()
    except (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile):
        return None
    if not text.startswith(("{", "[")):
        return None
    is_list = text[0] == "["
    return JsonHead(is_list, frozenset(_keys(text, depth=2 if is_list else 1)))


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as stream:
        head = stream.read(4)
        stream.seek(0)
        if head.startswith(b"\x1f\x8b"):
            with gzip.GzipFile(fileobj=stream) as unpacked:
                return unpacked.read(_SNIFFED)
        if head != b"PK\x03\x04":
            return stream.read(_SNIFFED)
        with zipfile.ZipFile(stream) as archive:
            names = [name for name in archive.namelist() if name.lower().endswith((".geojson", ".json"))]
            if len(names) != 1:
                return b""
            with archive.open(names[0]) as member:
                return member.read(_SNIFFED)


def _keys(text: str, depth: int) -> set[str]:
    """Keys of objects at one depth, until the text ends or a string is cut off."""
    keys: set[str] = set()
    at = 0
    for token in _TOKEN.finditer(text):
        found = token.group()
        if found == '"':
            break
        if found in "[{":
            at += 1
        elif found in "]}":
            at -= 1
        elif token.group(2) and at == depth:
            keys.add(token.group(1))
    return keys
