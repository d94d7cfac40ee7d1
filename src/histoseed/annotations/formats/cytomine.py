"""Cytomine's annotations: well-known text whose origin is the bottom-left corner of the image.

``y = height - y_cytomine``, so the height of the image must be known. Classes are *terms*: the file holds their
numbers, and ``ReadOptions.classes`` their names (number -> name). Several terms of an annotation make the class "A: B".

Written is JSON as the server sends it. Other programs pass over the keys ``histoseed``: of the file (name, size and
resolution of the image, names and colours of the terms) and of each annotation (:mod:`.rows`). A server that such an
annotation is posted to keeps none of them, clips outlines to the image, and simplifies those of a hundred vertices or
more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from histoseed.annotations.formats.base import (
    AnnotatedImage,
    Feature,
    Format,
    ReadOptions,
    WriteOptions,
    check_free,
    losses,
    needed_size,
    single,
)
from histoseed.annotations.formats.beside import image_fields, read_image_fields
from histoseed.annotations.formats.cytomine_records import (
    Record,
    column_called,
    looks_like_cytomine,
    outline_column,
    read_records,
)
from histoseed.annotations.formats.outlines import FARTHEST, check_written
from histoseed.annotations.formats.rows import OWN_KEY, Rows, own_fields, read_own
from histoseed.annotations.notes import Notes
from histoseed.errors import AnnotationError, InputError
from histoseed.files import atomic_path
from histoseed.wording import agreed

__all__ = ["FORMAT"]

_NAME = "cytomine"
_HOLDS: frozenset[Feature] = frozenset(
    {
        "polygon", "box", "point", "holes", "parts", "overlap", "class", "color", "id", "score", "quality", "source",
        "locked", "measurements",
    }
)  # fmt: skip
_DECIMALS = 4


def _read(path: Path, options: ReadOptions) -> tuple[list[AnnotatedImage], list[str]]:
    records, document = read_records(path, options.settings)
    beside = read_image_fields(document.get(OWN_KEY), path)
    if beside.size is not None and options.size is not None and beside.size != options.size:
        what = f"The file says that the image is {beside.size} pixels large, not {options.size}."
        raise AnnotationError(what, where=path, fix="Leave the size out, or choose the right image.")
    size = beside.size or options.size
    if size is None:
        what = "The origin is the bottom-left corner of the image, and its height is not known."
        raise AnnotationError(what, where=path, fix="Give --size W,H or --image IMAGE.")
    notes = Notes("annotation")
    rows = Rows(path, notes, options.settings)
    if records:
        names = _names_of_terms(document.get(OWN_KEY), path) | dict(options.classes)
        terms = _Terms(names, column_called(records, "term", "terms"), notes)
        _add(rows, notes, records, terms, height=size[1], path=path)
    table = rows.instances(beside.colors)
    x0, y0, x1, y1 = table.bounds().T
    outside = int(((x0 < -1) | (y0 < -1) | (x1 > size[0] + 1) | (y1 > size[1] + 1)).sum())
    sentences = notes.sentences()
    if outside:
        reach = agreed("{count} {annotation reaches|annotations reach}", outside)
        what = f"{reach} out of an image of {size[0]} x {size[1]} pixels; is it the right one?"
        sentences.append(what)
    return [AnnotatedImage(beside.name or path.stem, size, table, beside.mpp)], sentences


def _names_of_terms(value: object, path: Path) -> dict[str, str]:
    """Number -> name, as histoseed writes it; empty in files of others."""
    terms = value.get("terms") if isinstance(value, dict) else {}
    if not isinstance(terms, dict) or not all(isinstance(name, str) for name in terms.values()):
        raise AnnotationError("The names of the terms are no texts.", where=path, fix=f"Remove the key {OWN_KEY!r}.")
    return terms


def _add(rows: Rows, notes: Notes, records: Sequence[Record], terms: _Terms, *, height: int, path: Path) -> None:
    """One row an object, with y turned over."""
    location, number, image = (
        outline_column(records, path),
        column_called(records, "id"),
        column_called(records, "image"),
    )
    images = {str(record[image]) for record in records if image and record.get(image) not in (None, "")}
    if len(images) > 1:
        what = f"The annotations belong to {len(images)} images ({', '.join(sorted(images)[:3])}, ...)."
        raise AnnotationError(what, where=path, fix="Export the annotations of each image to a file of their own.")
    for row, record in enumerate(records):
        given = record.get(number) if number else None
        label = str(row) if given in (None, "") else str(given)[:60]
        where = f"{path}, annotation {label}"
        own = read_own(record.get(OWN_KEY), where)
        name = terms.class_of(record, label, where)
        for shape in _shapes(record.get(location), label, where, notes):
            flipped = shapely.transform(shape, lambda xy: np.column_stack([xy[:, 0], height - xy[:, 1]]))
            kind = "point" if shape.geom_type == "Point" else "polygon"
            if own.kind == "box" and kind == "polygon":
                kind = "box" if flipped.equals(flipped.envelope) else "polygon"
            rows.add(label, flipped, kind, name, own)


def _shapes(text: object, label: str, where: str, notes: Notes) -> list[shapely.Geometry]:
    """The points, or the one outline, of well-known text."""
    if not isinstance(text, str) or not text:
        notes.add("An annotation without location was left out", label)
        return []
    if text.upper().count("GEOMETRYCOLLECTION") > 1:  # the parser calls itself, and would end the process
        raise AnnotationError("A collection stands inside a collection.", where=where)
    try:
        with np.errstate(invalid="ignore"):  # NaN is refused below
            shape = shapely.force_2d(shapely.from_wkt(text))
    except shapely.errors.ShapelyError as error:
        raise AnnotationError(f"The location is no well-known text ({error}).", where=where) from error
    if not (np.abs(shapely.get_coordinates(shape)) <= FARTHEST).all():  # true for NaN
        raise AnnotationError("A coordinate is no place in an image.", where=where, fix="Correct or delete it.")
    if shape.is_empty:
        notes.add("An annotation with an empty location was left out", label)
        return []
    if shape.geom_type in ("Point", "MultiPoint"):
        return list(shapely.get_parts(shape))
    polygons = [part for part in shapely.get_parts(shapely.get_parts(shape)) if part.geom_type == "Polygon"]
    if not polygons:
        notes.add(f"A {shape.geom_type} encloses nothing and was left out", label)
        return []
    if shape.geom_type == "GeometryCollection":
        notes.add("Of a collection only the polygons were read", label)
    return [polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons)]


@dataclass(slots=True)
class _Terms:
    """Turns the terms of an annotation into its class."""

    names: Mapping[str, str]
    column: str | None
    notes: Notes

    def class_of(self, record: Record, label: str, where: str) -> str | None:
        """The name of its term; several are joined.

        Raises:
            AnnotationError: a number without a name among names that were given.
        """
        names = []
        for term in _terms(record.get(self.column) if self.column else None, where):
            if term in self.names:
                names.append(self.names[term])
                continue
            if self.names and term.isdecimal():
                known = ", ".join(f"{key} ({name})" for key, name in self.names.items())
                raise AnnotationError(f"The term {term} has no name.", where=where, fix=f"Name it; known are {known}.")
            if term.isdecimal():
                self.notes.add("Terms are numbers and were read as class names; give their names", label)
            names.append(term)
        if len(names) > 1:
            self.notes.add("Several terms were joined to one class", label)
        return ": ".join(names) or None


def _terms(value: object, where: str) -> list[str]:
    """The terms of an annotation as texts: of a list, a number, or a text such as "12", "[12, 13]" or "12;13"."""
    if value is None:
        return []
    parts = re.split(r"[,;]", value.strip().strip("[]")) if isinstance(value, str) else value
    parts = parts if isinstance(parts, list) else [parts]
    if not all(isinstance(part, str | int) and not isinstance(part, bool) for part in parts):
        raise AnnotationError(f"The terms {str(value)[:60]!r} are no numbers or names.", where=where)
    texts = [str(part).strip().strip("'\"") for part in parts]
    return [text for text in texts if text]


def _write(path: Path, images: Sequence[AnnotatedImage], options: WriteOptions) -> list[str]:
    image = single(_NAME, path, images)
    if path.suffix.lower() == ".csv":
        raise InputError("Cytomine's annotations are written as JSON.", where=path, fix="Name the file .json.")
    check_written(image.instances, path)
    check_free(path, overwrite=options.overwrite)
    lines = _lines(image, needed_size(_NAME, image), options)
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="replace", newline="\n") as stream,
    ):
        stream.writelines(lines)
    return losses(_NAME, _HOLDS, images)


def _lines(image: AnnotatedImage, size: tuple[int, int], options: WriteOptions) -> Iterator[str]:
    table = image.instances
    terms = _term_numbers(table.classes(), options.classes)
    beside = image_fields(image) | {"terms": {str(number): name for name, number in terms.items()}}
    yield f'{{"{OWN_KEY}":{_dumps(beside)},"size":{len(table)},"collection":['
    turned = shapely.transform(table.geometry, lambda xy: np.column_stack([xy[:, 0], size[1] - xy[:, 1]]))
    locations = shapely.to_wkt(turned, rounding_precision=_DECIMALS, trim=True).tolist()
    for row, (location, name) in enumerate(zip(locations, table.class_name, strict=True)):
        record = {
            "location": location,
            "term": [] if name is None else [terms[name]],
            OWN_KEY: own_fields(table, row),
        }
        yield (",\n" if row else "\n") + _dumps(record)
    yield "\n]}\n"


def _term_numbers(names: Sequence[str], given: Mapping[str, str]) -> dict[str, int]:
    """The number of each term: the given one, else the next that is free."""
    numbers: dict[str, int] = {}
    for name in names:
        if name in given:
            if not (given[name].isascii() and given[name].isdigit()):
                raise InputError(f"The term of {name!r} is {given[name]!r}, no whole number.", where="classes")
            if int(given[name]) in numbers.values():
                raise InputError(f"Two classes have the term {given[name]}.", where="classes")
            numbers[name] = int(given[name])
    taken = set(numbers.values())
    free = (number for number in count(1) if number not in taken)
    return {name: numbers[name] if name in numbers else next(free) for name in names}


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


FORMAT = Format(
    name=_NAME,
    about="Cytomine's annotations: JSON of the server, or tables; the height of the image is needed",
    suffixes=(".json", ".csv"),
    holds=_HOLDS,
    many=False,
    sniff=looks_like_cytomine,
    read=_read,
    write=_write,
    states=frozenset({"name", "size", "mpp"}),
    suffix=".json",
)
