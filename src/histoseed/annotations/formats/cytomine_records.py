"""The annotations of a Cytomine export, as records, whatever file they stand in.

- JSON: a list, ``{"collection": [...]}`` as the server sends it, ``{"annotation": {...}}`` as it answers to a new one,
  or one annotation;
- tables with a line of column names, parted by commas, semicolons or tabs.

Names of columns differ between versions, so the one with the outlines is found by what stands in it: well-known text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from histoseed.annotations.json_files import read_json
from histoseed.annotations.limits import over_limit
from histoseed.errors import AnnotationError
from histoseed.settings import Settings

__all__ = ["Record", "column_called", "looks_like_cytomine", "outline_column", "read_records"]

Record = Mapping[str, Any]

_KINDS = "POINT|LINESTRING|LINEARRING|POLYGON|MULTIPOINT|MULTILINESTRING|MULTIPOLYGON|GEOMETRYCOLLECTION"
_WKT = re.compile(rf"\s*(?:{_KINDS})\s*(?:ZM|Z|M)?\s*(?:\(|EMPTY)", re.IGNORECASE)
_SNIFFED = 1 << 16
_SNIFF_JSON = re.compile(rf'"[^"]*"\s*:\s*"(?:{_KINDS})\s*\(')
_SNIFF_TABLE = re.compile(rf'(?:^|[",;\t\n])(?:{_KINDS})\s*\(')


def looks_like_cytomine(path: Path) -> bool:
    """Whether the first bytes hold well-known text, as a value of JSON or in a table with names above it."""
    try:
        with path.open("rb") as stream:
            text = stream.read(_SNIFFED).decode("utf-8-sig", "replace").lstrip()
    except OSError:
        return False
    if text.startswith(("{", "[")):
        return _SNIFF_JSON.search(text) is not None
    first, _, rest = text.partition("\n")
    return any(sign in first for sign in ",;\t") and "(" not in first and _SNIFF_TABLE.search(rest) is not None


def read_records(path: Path, settings: Settings) -> tuple[Sequence[Record], Record]:
    """The annotations, in order, and what stands beside them in the file (empty for tables and lists).

    Raises:
        AnnotationError: absent, damaged, neither JSON nor a table, or no annotations in it.
        LimitError: a file or a number of objects above the settings.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(16)
    except FileNotFoundError as error:
        raise AnnotationError("There is no such file.", where=path) from error
    except OSError as error:
        raise AnnotationError(f"The file cannot be read ({error}).", where=path) from error
    is_json = head.startswith((b"\x1f\x8b", b"PK\x03\x04")) or head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in b"{["
    records, beside = _from_json(path, settings) if is_json else (_from_table(path, settings), {})
    if len(records) > settings.max_objects:
        raise over_limit("max_objects", f"The file has more than {settings.max_objects} objects.", where=path)
    return records, beside


def _from_json(path: Path, settings: Settings) -> tuple[Sequence[Record], Record]:
    document = read_json(path, max_bytes=settings.max_geojson_bytes)
    beside: Record = {}
    if isinstance(document, dict):
        found = document.get("collection", document.get("annotation", document))
        records: list[Any] = found if isinstance(found, list) else [found]
        beside = {} if found is document else document
    else:
        records = document if isinstance(document, list) else [document]
    for number, record in enumerate(records):
        if not isinstance(record, dict):
            raise AnnotationError(f"Annotation {number} is no object.", where=path)
    return records, beside


def _from_table(path: Path, settings: Settings) -> Sequence[Record]:
    size = path.stat().st_size
    if size > settings.max_geojson_bytes:
        what = f"The file has {size} bytes; at most {settings.max_geojson_bytes} of an annotation file are read."
        raise over_limit("max_geojson_bytes", what, where=path)
    try:
        with path.open(encoding="utf-8-sig") as stream:
            names = stream.readline()
        separator = max(",;\t", key=names.count)
        # Everything as text: an id is no number to calculate with, and a term may be "12" or "12,13".
        table = pl.read_csv(path, separator=separator, infer_schema=False)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        what = f"This is neither JSON nor a table ({str(error).splitlines()[0]})."
        raise AnnotationError(what, where=path, fix="Export the annotations as JSON, with showWKT.") from error
    return table.to_dicts()


def outline_column(records: Sequence[Record], path: Path) -> str:
    """The name of the column that holds well-known text, and nothing else.

    Raises:
        AnnotationError: there is none, or several and none of them is called "location".
    """
    names = dict.fromkeys(name for record in records for name in record)
    found = [name for name in names if _holds_outlines([record.get(name) for record in records])]
    if not found:
        what = f"No column holds outlines as well-known text; the columns are {', '.join(names) or 'none'}."
        raise AnnotationError(what, where=path, fix="Export the annotations with showWKT.")
    if len(found) > 1 and "location" not in found:
        raise AnnotationError(f"The columns {', '.join(found)} all hold outlines.", where=path, fix="Keep one of them.")
    return "location" if "location" in found else found[0]


def _holds_outlines(values: Sequence[object]) -> bool:
    texts = [value for value in values if value not in (None, "")]
    return bool(texts) and all(isinstance(text, str) and _WKT.match(text) for text in texts)


def column_called(records: Sequence[Record], *names: str) -> str | None:
    """The first column whose name, in lower case, is one of these; None where there is none."""
    present = dict.fromkeys(name for record in records for name in record)
    return next((name for wanted in names for name in present if name.strip().lower() == wanted), None)
