"""``histoseed convert``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from histoseed.cli.options import Json, Overwrite, Quiet
from histoseed.cli.output import Output, rows_table
from histoseed.errors import InputError
from histoseed.wording import counted

__all__ = ["convert"]

_SHOWN = 24
"""Images of the table that is printed; the JSON lists all of them."""


def convert(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="Annotation file or folder of any format, or a data set.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="File to write; without a suffix, a folder of files.")],
    source_format: Annotated[
        str | None, typer.Option("--from", metavar="FORMAT", help="Format of IN, where it is not recognised.")
    ] = None,
    out_format: Annotated[
        str | None, typer.Option("--to", metavar="FORMAT", help="Format of OUT, where its suffix does not tell.")
    ] = None,
    size: Annotated[
        str | None, typer.Option("--size", metavar="W,H", help="Width and height of the images, where IN does not say.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option("--image", metavar="IMAGE", help="The annotated image: its size, mpp and name.")
    ] = None,
    classes: Annotated[
        Path | None,
        typer.Option("--classes", metavar="JSON", help='{"key": "class name"}, for formats that hold numbers.'),
    ] = None,
    boxes: Annotated[
        bool, typer.Option("--boxes", help="Outlines that are upright rectangles are boxes (QuPath has no others).")
    ] = False,
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Convert annotations from one format to another, and say whatever is lost.

    Formats: geojson (QuPath), coco, asap, aperio, cytomine, labels (PNG, TIFF, NPY), labelme, stardist, ome-tiff,
    geoparquet, spatialdata; docs/formats.md says what each can hold. IN may also be a data set.

    Example: [cyan]histoseed convert slide.xml slide.geojson[/cyan]

    Example: [cyan]histoseed convert data/monuseg monuseg.json --to coco[/cyan]
    """
    from histoseed.workflows.convert import convert as work

    output = Output("convert", json=json, quiet=quiet, overwrite=overwrite)
    with output.working(f"Converting {source}"):
        facts = work(
            source, out, source_format=source_format, out_format=out_format, size=_size(size), image=image,
            classes=classes, boxes=boxes, overwrite=overwrite,
        )  # fmt: skip
    output.warn([*facts["notes"], *facts["losses"]])
    columns = ["image", "pixels", "objects", "polygons", "boxes", "points", "classes"]
    shown = [_cells(row) for row in facts["images"][:_SHOWN]]
    output.say(rows_table(columns, shown, right=columns[1:-1]))
    more = len(facts["images"]) - len(shown)
    if more:
        output.say(f"... and {counted(more, 'more image')}")
    objects, images = counted(facts["objects"], "object"), counted(len(facts["images"]), "image")
    output.say(f"{objects} of {images}, from {facts['from']} to {facts['to']}: {facts['out']}")
    output.result(facts)


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    try:
        width, height = (int(part) for part in text.split(","))
    except ValueError as error:
        fix = "Give two whole numbers with a comma, for instance 1000,800."
        raise InputError(f"{text!r} is no width and height.", where="--size", fix=fix) from error
    return width, height


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    size = "unknown" if row["width"] is None else f"{row['width']} x {row['height']}"
    classes = row["classes"] | ({"unclassified": row["unclassified"]} if row["unclassified"] else {})
    counts = (f"{row[name]:,}" for name in ("objects", "polygons", "boxes", "points"))
    return row["name"], size, *counts, ", ".join(f"{name}: {count:,}" for name, count in classes.items())
