"""The sheet ``Selected_WSIs`` of CryoNuSeg's authors: resolution and patient of each image, from .xlsx or .csv.

Its columns are recognised by what they hold: names ``Human_...``, TCGA barcodes, and the one column whose numbers all
lie from 0.1 to 1. Of a workbook the first sheet is read, without formulas and formats.
"""

from __future__ import annotations

import csv
import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

from histoseed.datasets.intake.support import Barcode, tcga
from histoseed.errors import DatasetError

__all__ = ["IMAGE_NAME", "SheetRow", "read_sheet"]

IMAGE_NAME = re.compile(r"Human_([A-Za-z]+)_(\d\d)")
"""Organ and number."""

_LARGEST_SHEET = 16_000_000
"""Bytes of a sheet that are unpacked; that of the authors has 30 rows."""

_BROKEN = (OSError, zipfile.BadZipFile, zlib.error, ParseError, DefusedXmlException, LookupError, ValueError, EOFError)
"""What a damaged workbook or CSV raises; encrypted members and strange compressions end as RuntimeError below."""


class SheetRow(NamedTuple):
    """What the sheet says of an image.

    Attributes:
        mpp: Microns per pixel, None where the cell is empty.
        barcode: TCGA barcode, None where the row has none.
    """

    mpp: float | None
    barcode: Barcode | None


def read_sheet(path: Path) -> dict[str, SheetRow]:
    """Image name -> resolution and patient, from the authors' sheet.

    Args:
        path: The .xlsx workbook, of which the first sheet is read, or the same saved as .csv.

    Raises:
        DatasetError: damaged, without names, with a name twice, or without one column that holds the resolutions.
    """
    fix = "Save it as Selected_WSIs.csv with the columns name, mpp, barcode, or take it away."
    try:
        rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _xlsx_rows(path)
    except (*_BROKEN, RuntimeError) as error:
        raise DatasetError(f"The sheet cannot be read ({error}).", where=path, fix=fix) from error
    named: dict[str, Sequence[str]] = {}
    for row in rows:
        names = {m.group() for cell in row if (m := IMAGE_NAME.fullmatch(cell.removesuffix(".tif")))}
        if len(names) > 1 or names & named.keys():
            raise DatasetError(f"{', '.join(sorted(names))} stand in one row or twice.", where=path, fix=fix)
        named |= dict.fromkeys(names, row)
    if not named:
        raise DatasetError("No row names an image Human_<Organ>_<NN>.", where=path, fix=fix)
    column = _mpp_column(list(named.values()))
    if column is None:
        raise DatasetError("Not exactly one column holds numbers from 0.1 to 1.", where=path, fix=fix)
    return {
        name: SheetRow(
            _number(row[column]) if column < len(row) else None, next((b for cell in row if (b := tcga(cell))), None)
        )
        for name, row in named.items()
    }


def _mpp_column(rows: Sequence[Sequence[str]]) -> int | None:
    """The one column whose numbers all lie from 0.1 to 1 microns; counts, ages and sizes do not."""
    fitting = []
    for column in range(max(map(len, rows))):
        numbers = [n for row in rows if column < len(row) and (n := _number(row[column])) is not None]
        if numbers and all(0.1 <= n < 1 for n in numbers):
            fitting.append(column)
    return fitting[0] if len(fitting) == 1 else None


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d+(\.\d+)?([eE][-+]?\d{1,2})?", text) else None


def _csv_rows(path: Path) -> list[list[str]]:
    if path.stat().st_size > _LARGEST_SHEET:
        raise ValueError(f"more than {_LARGEST_SHEET} bytes")
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return [[cell.strip() for cell in row] for row in csv.reader(stream)]


def _xlsx_rows(path: Path) -> list[list[str]]:
    """The cells of the first sheet of a workbook as text, stripped (names end with line breaks)."""
    with zipfile.ZipFile(path) as archive:
        sheets = sorted(n for n in archive.namelist() if re.fullmatch(r"xl/worksheets/sheet\d+\.xml", n))
        if not sheets:
            raise KeyError("no sheet")
        has_shared = "xl/sharedStrings.xml" in archive.namelist()
        shared = [_text(si) for si in _xml(archive, "xl/sharedStrings.xml")] if has_shared else []
        sheet = _xml(archive, min(sheets, key=len))
    rows = []
    for row in sheet.iter(f"{_EXCEL}row"):
        cells: dict[int, str] = {}
        for cell in row.iter(f"{_EXCEL}c"):
            text = _text(cell)
            cells[_column(cell.get("r", ""))] = (shared[int(text)] if cell.get("t") == "s" else text).strip()
        rows.append([cells.get(i, "") for i in range(max(cells, default=-1) + 1)])
    return rows


_EXCEL = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def _xml(archive: zipfile.ZipFile, name: str) -> Element:
    with archive.open(name) as stream:
        data = stream.read(_LARGEST_SHEET + 1)
    if len(data) > _LARGEST_SHEET:
        raise ValueError(f"{name} has more than {_LARGEST_SHEET} bytes")
    root: Element = defusedxml.ElementTree.fromstring(data)
    return root


def _text(cell: Element) -> str:
    """The value of a cell or shared string; rich text is in several runs, formulas are passed over."""
    return "".join(part.text or "" for part in cell.iter() if part.tag in (f"{_EXCEL}v", f"{_EXCEL}t"))


def _column(reference: str) -> int:
    """A1 -> 0, AB7 -> 27."""
    match = re.fullmatch(r"([A-Z]{1,3})\d+", reference)
    if match is None:
        raise ValueError(f"there is no cell {reference!r}")
    number = 0
    for letter in match.group(1):
        number = number * 26 + ord(letter) - 64
    return number - 1
