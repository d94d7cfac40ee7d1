"""Aperio ImageScope XML: one layer a class.

The class of an object is the name of its layer; where that is empty the name of the layer's first attribute, unless
that is "Description", which stands in every layer; where there is none the text of the region.

Written are outlines (type 0) and boxes (type 1), a hole as a negative region behind its outline, the parts of an object
as regions of their own; points cannot be drawn. Id, place and lock of an object stand in attributes that other software
does not know (:class:`~.marks.OwnMarks`). What is read and how: :mod:`.aperio_regions`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import numpy as np
import shapely

from histoseed.annotations.class_colors import palette
from histoseed.annotations.formats.aperio_regions import AperioRegion, aperio_mpp, read_aperio_regions
from histoseed.annotations.formats.base import (
    AnnotatedImage,
    Feature,
    Format,
    ReadOptions,
    WriteOptions,
    losses,
    single,
)
from histoseed.annotations.formats.marks import Drawn, OwnMarks, put_together
from histoseed.annotations.formats.outlines import check_written
from histoseed.annotations.formats.xml_files import attributes, decimals, first_tag, write_xml
from histoseed.annotations.instances import Instances
from histoseed.annotations.notes import Notes

__all__ = ["FORMAT", "AperioRegion", "aperio_mpp", "read_aperio_regions"]

_NAME = "aperio"
_HOLDS: frozenset[Feature] = frozenset(
    {"polygon", "box", "holes", "parts", "overlap", "class", "color", "id", "locked"}
)


def _sniff(path: Path) -> bool:
    return path.is_file() and first_tag(path) == "Annotations"


def _read(path: Path, options: ReadOptions) -> tuple[list[AnnotatedImage], list[str]]:
    regions, sentences = read_aperio_regions(path, options.settings)
    notes = Notes("region")
    shapes: list[Drawn] = []
    colors: dict[str, str] = {}
    for region in regions:
        name = _class_of(region, notes)
        if name is not None and region.color is not None:
            colors.setdefault(name, region.color)
        if region.geometry is None:
            notes.add("A region without area was left out", _label(region))
            continue
        shapes.append(
            Drawn(geometry=region.geometry, kind=region.kind, class_name=name, name=region.region_id, own=region.own)
        )
    table = put_together(shapes, colors)
    mpp = aperio_mpp(path, options.settings)
    return [AnnotatedImage(path.stem, None, table, mpp)], sentences + notes.sentences()


def _class_of(region: AperioRegion, notes: Notes) -> str | None:
    """The class, with a word about other texts that may be meant as one."""
    attribute = "" if region.attribute == "Description" else region.attribute
    stated = {"layer's name": region.layer_name, "layer's attribute": attribute, "region's text": region.text}
    used, *others = [(what, text) for what, text in stated.items() if text.strip()] or [("", "")]
    for what, _ in others:
        notes.add(f"The class is the {used[0]}; the {what} was not read", _label(region))
    return used[1] or None


def _label(region: AperioRegion) -> str:
    return f"layer {region.layer_name[:40]!r}, region {region.region_id or '?'}"


def _write(path: Path, images: Sequence[AnnotatedImage], options: WriteOptions) -> list[str]:
    image = single(_NAME, path, images)
    check_written(image.instances, path)
    write_xml(path, _lines(image), overwrite=options.overwrite)
    return losses(_NAME, _HOLDS, images)


def _lines(image: AnnotatedImage) -> Iterator[str]:
    table = image.instances
    yield f'<Annotations MicronsPerPixel="{"" if image.mpp is None else float(image.mpp)!r}">'
    layers: list[str | None] = [*table.classes(), *([None] if None in set(table.class_name) else [])]
    colors = palette(table.classes(), table.colors)
    region_ids = count(1)
    for number, name in enumerate(layers, 1):
        red, green, blue = bytes.fromhex("000000" if name is None else colors[name][1:])
        stated = {
            "Id": str(number),
            "Name": name or "",
            "LineColor": str(blue << 16 | green << 8 | red),
            "Visible": "1",
        }
        yield f"  <Annotation {attributes(stated, where='class')}>"
        yield "    <Regions>"
        for row in np.flatnonzero(table.class_name == name).tolist():  # elementwise
            yield from _region_lines(table, row, region_ids)
        yield "    </Regions>"
        yield "  </Annotation>"
    yield "</Annotations>"


def _region_lines(table: Instances, row: int, region_ids: Iterator[int]) -> Iterator[str]:
    """An outline a part, each followed by its holes; nothing for a point."""
    kind = table.kind[row]
    if kind == "point":
        return
    own = attributes(OwnMarks(id=table.id[row], row=row, locked=bool(table.locked[row])).attributes(), where="id")
    for part in shapely.get_parts(table.geometry[row]):
        for negative, ring in enumerate([part.exterior, *part.interiors]):
            is_box, is_hole = kind == "box" and not negative, negative > 0
            length, area = decimals(ring.length), decimals(shapely.Polygon(ring).area)
            yield (
                f'      <Region Id="{next(region_ids)}" Type="{int(is_box)}" Zoom="1" Length="{length}" '
                f'Area="{area}" Text="" NegativeROA="{int(is_hole)}" {own}>'
            )
            yield "        <Vertices>"
            for x, y in shapely.get_coordinates(ring)[:-1].tolist():
                yield f'          <Vertex X="{decimals(x)}" Y="{decimals(y)}" Z="0"/>'
            yield "        </Vertices>"
            yield "      </Region>"


FORMAT = Format(
    name=_NAME,
    about="Aperio ImageScope XML, and HALO's .annotations files: outlines in layers",
    suffixes=(".annotations", ".xml"),
    holds=_HOLDS,
    many=False,
    sniff=_sniff,
    read=_read,
    write=_write,
    states=frozenset({"mpp"}),
)
