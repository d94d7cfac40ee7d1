"""XML from anywhere, read safely: nothing is expanded, nothing is fetched, and the size has a limit.

A document type declaration is refused as such: annotation files have none, and entities, their bombs and references to
other files all need one. Elements are handed out one by one while the file is read, so that a file of a million
outlines is never held as a tree.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml import DefusedXmlException, DTDForbidden
from defusedxml.ElementTree import iterparse

from histoseed.annotations.formats.base import check_free
from histoseed.annotations.formats.outlines import FARTHEST
from histoseed.annotations.limits import over_limit
from histoseed.errors import AnnotationError
from histoseed.files import atomic_path
from histoseed.settings import Settings

__all__ = ["attributes", "decimals", "first_tag", "flag", "position", "refuse_doctype", "walk_xml", "write_xml"]

_SNIFFED = 4096

_TAG = re.compile(rb"<([A-Za-z_][\w.:-]*)")

_DOCTYPE = re.compile(rb"\A(?:<\?.*?\?>|<!--.*?-->|\s)*<!DOCTYPE", re.DOTALL | re.IGNORECASE)
"""A document type declaration, before which instructions and comments may stand."""

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold, not even escaped."""


def first_tag(path: Path) -> str | None:
    """The name of the root element, from the first bytes; None where they are no XML.

    Cheap: for telling formats apart. A file that begins well may still be damaged.
    """
    text = _head(path)
    while text.startswith((b"<?", b"<!")):
        end = b"-->" if text.startswith(b"<!--") else b"?>" if text.startswith(b"<?") else b">"
        text = text.partition(end)[2].lstrip()
    found = _TAG.match(text)
    return found.group(1).decode("ascii", "replace") if found else None


def refuse_doctype(path: Path) -> None:
    """Refuse a file that begins as XML with a document type declaration, before anybody asks what format it has.

    Raises:
        AnnotationError: it does.
    """
    text = _head(path)
    if text.startswith(b"<") and _DOCTYPE.search(text):
        raise _refused("a document type declaration", path)


def _refused(found: str, path: Path) -> AnnotationError:
    what = f"The XML holds {found}, which can make a small file grow without end or read other files; it is refused."
    return AnnotationError(what, where=path, fix="Remove it; annotation files need none.")


def _head(path: Path) -> bytes:
    """The first bytes of a file, empty where it cannot be read."""
    try:
        with path.open("rb") as stream:
            return stream.read(_SNIFFED).removeprefix(b"\xef\xbb\xbf").lstrip()
    except OSError:
        return b""


def walk_xml(
    path: Path, settings: Settings, *, root: str, opened: Iterable[str] = (), closed: Iterable[str] = ()
) -> Iterator[tuple[Literal["start", "end"], Element]]:
    """The elements of an XML file, in the order of the file.

    Args:
        path: The file.
        settings: ``max_geojson_bytes`` is the limit for annotation files.
        root: Name that the root element must have.
        opened: Names of elements that are handed out when they begin: with attributes, without children.
        closed: Names of elements that are handed out when they end, with all that they hold. They are emptied when
            the next one is asked for.

    Raises:
        AnnotationError: absent, empty, damaged (with the line), another root, a document type declaration, entities.
        LimitError: larger than the limit.
    """
    at_start, at_end = frozenset(opened), frozenset(closed)
    try:
        with _open(path, settings) as stream:
            events = iterparse(stream, events=("start", "end"), forbid_dtd=True)
            for number, (event, element) in enumerate(events):
                if not number and element.tag != root:
                    what = f"The XML begins with <{element.tag}>, not with <{root}>."
                    raise AnnotationError(what, where=path, fix="Choose the format that the file has.")
                if event == "start" and element.tag in at_start:
                    yield "start", element
                elif event == "end" and element.tag in at_end:
                    yield "end", element
                    element.clear()
    except ParseError as error:
        line, column = error.position
        what = f"The XML is damaged in line {line}, column {column + 1} ({str(error).split(':')[0]})."
        raise AnnotationError(what, where=path, fix="Export the file again.") from error
    except DefusedXmlException as error:
        found = "a document type declaration" if isinstance(error, DTDForbidden) else "entities"
        raise _refused(found, path) from error
    except (OSError, ValueError, LookupError) as error:  # the last two: an encoding that does not exist
        raise AnnotationError(f"The file cannot be read ({error}).", where=path) from error


def _open(path: Path, settings: Settings) -> io.BufferedReader:
    """The opened file, once its size is known to be allowed."""
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        raise AnnotationError("There is no such file.", where=path) from error
    if size > settings.max_geojson_bytes:
        what = f"The file has {size} bytes; at most {settings.max_geojson_bytes} of an annotation file are read."
        raise over_limit("max_geojson_bytes", what, where=path)
    if not size:
        raise AnnotationError("The file is empty.", where=path)
    return path.open("rb")


def position(element: Element, where: str) -> tuple[float, float]:
    """``@X`` and ``@Y`` as numbers; a comma may stand for the decimal point.

    Raises:
        AnnotationError: one is missing, no number, not finite, or farther out than any image reaches.
    """
    values = []
    for name in ("X", "Y"):
        text = element.get(name)
        if text is None:
            raise AnnotationError(f"A <{element.tag}> has no {name}.", where=where)
        try:
            value = float(text.replace(",", "."))
        except ValueError:
            value = math.nan
        if not abs(value) <= FARTHEST:
            raise AnnotationError(f"{name}={text[:40]!r} is no place in an image.", where=where)
        values.append(value)
    return values[0], values[1]


def flag(element: Element, name: str, where: str) -> bool:
    """An attribute that is 0 or 1, "true" or "false"; absent means 0.

    Raises:
        AnnotationError: something else.
    """
    text = (element.get(name) or "0").strip().lower()
    if text not in ("0", "1", "true", "false"):
        raise AnnotationError(f"{name}={text[:40]!r} is neither 0 nor 1.", where=where)
    return text in ("1", "true")


def decimals(value: float) -> str:
    """A coordinate with at most four decimals.

    >>> decimals(12.0), decimals(0.123456), decimals(-0.00001)
    ('12', '0.1235', '0')
    """
    text = f"{value:.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def attributes(values: Mapping[str, str], *, where: object) -> str:
    """Attributes as XML text, in the order given; line breaks and tabs survive.

    Raises:
        AnnotationError: a character that XML cannot hold.

    >>> attributes({"Name": 'a "<b>"', "Id": "1"}, where="class")
    'Name="a &quot;&lt;b&gt;&quot;" Id="1"'
    """
    for name, value in values.items():
        found = _NOT_XML.search(value)
        if found:
            what = f"The {name} {value!r} holds the character {found.group()!r}, which XML cannot hold."
            raise AnnotationError(what, where=where, fix="Rename it first.")
    quoted = {'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"}
    return " ".join(f'{name}="{escape(value, quoted)}"' for name, value in values.items())


def write_xml(path: Path, lines: Iterable[str], *, overwrite: bool) -> None:
    """Write lines below an XML declaration, as UTF-8; the file is whole or absent.

    Raises:
        OutputError: the file exists and ``overwrite`` is false, a folder is in the way, or the place cannot be written.
    """
    check_free(path, overwrite=overwrite)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write('<?xml version="1.0" encoding="UTF-8"?>\n')
        stream.writelines(f"{line}\n" for line in lines)
