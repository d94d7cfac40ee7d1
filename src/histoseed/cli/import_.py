"""``histoseed import``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from histoseed.cli.options import Classes, Json, Out, Overwrite, Part, Quiet
from histoseed.cli.output import Output, facts_table, rows_table
from histoseed.wording import counted

__all__ = ["import_"]

_Text = str | None

_OWN, _GEOJSON = "Your own data (labels, geojson)", "QuPath (geojson)"
"""Titles of options that only these layouts have."""


def import_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A data set or layout of `histoseed dataset list`.")],
    source: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="What to read, as that list says.")],
    *,
    mpp: Annotated[
        float | None,
        typer.Option(
            "--mpp",
            metavar="F",
            help="Microns per pixel of all patches: others are resampled. Your own data: assumed where none is stated.",
        ),
    ] = None,
    source_mpp: Annotated[
        float | None,
        typer.Option("--source-mpp", metavar="F", help="Microns per pixel of the source, where it is stated wrong."),
    ] = None,
    part: Part = None,
    classes: Classes = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, metavar="N", help="Images read at once (default: one a processor)."),
    ] = None,
    partial: Annotated[
        bool,
        typer.Option("--partial", help="Not every object of the images is annotated.", rich_help_panel=_OWN),
    ] = False,
    stain: Annotated[
        _Text, typer.Option("--stain", metavar="TEXT", help="For instance H&E.", rich_help_panel=_OWN)
    ] = None,
    licence: Annotated[
        _Text,
        typer.Option("--licence", metavar="TEXT", help="Of images and annotations.", rich_help_panel=_OWN),
    ] = None,
    citation: Annotated[
        _Text, typer.Option("--citation", metavar="TEXT", help="What to cite.", rich_help_panel=_OWN)
    ] = None,
    boxes: Annotated[
        bool,
        typer.Option(
            "--boxes",
            help="Rectangles are boxes around objects, not their outlines; no mask is made of them.",
            rich_help_panel=_GEOJSON,
        ),
    ] = False,
    tile: Annotated[
        int | None,
        typer.Option("--tile", metavar="PX", help="Cut into patches of at most this side.", rich_help_panel=_GEOJSON),
    ] = None,
    roi_class: Annotated[
        _Text,
        typer.Option(
            "--roi-class",
            metavar="TEXT",
            help="Class that marks regions (default: Region*, ROI).",
            rich_help_panel=_GEOJSON,
        ),
    ] = None,
    nucleus: Annotated[
        bool, typer.Option("--nucleus", help="Of QuPath cells take the nucleus.", rich_help_panel=_GEOJSON)
    ] = False,
    allow_outside: Annotated[
        bool,
        typer.Option(
            "--allow-outside",
            help="Cut outlines that leave the image at its border.",
            rich_help_panel=_GEOJSON,
        ),
    ] = False,
    out: Out,
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Bring a public data set, or your own annotations, into the common data-set format.

    An interrupted import goes on when the same command is given again.

    Example: [cyan]histoseed import pannuke PanNuke/ --out data/pannuke[/cyan]

    Example: [cyan]histoseed import labels mine/ --mpp 0.25 --out data/mine[/cyan]

    Example: [cyan]histoseed import geojson slide.svs slide.geojson --out data/mine[/cyan]

    Example: [cyan]histoseed import geojson slides/ --out data/mine[/cyan] (a.svs with a.geojson, and so on)
    """
    from histoseed.cli.dataset import summary
    from histoseed.workflows.data import import_data

    output = Output("import", json=json, quiet=quiet, overwrite=overwrite)
    with output.progress() as progress:
        facts = import_data(
            name, source, out, mpp=mpp, source_mpp=source_mpp, part=part, scheme=classes,
            exhaustive=False if partial else None, stain=stain, licence=licence, citation=citation, tile=tile,
            roi_class=roi_class, boxes=boxes or None, nucleus=nucleus or None, allow_outside=allow_outside or None,
            workers=workers, overwrite=overwrite, progress=progress,
        )  # fmt: skip
    report = facts["import"]
    output.warn(report["warnings"])
    table = [_objects_table(report)] if report["objects"] or report["outlines_of_regions"] else []
    output.say(*table, _lines(report), summary(facts, told=report["warnings"]))
    output.say(f"Look at it: histoseed dataset info {out} --sheet {out}.png")
    output.result(facts)


def _objects_table(report: Mapping[str, Any]) -> Table:
    """Objects by class and kind."""
    rows = [(row["class"] or "unclassified", row["kind"], f"{row['objects']:,}") for row in report["objects"]]
    areas = report["outlines_of_regions"]
    rows += [(row["class"] or "", f"outline ({row['layer']})", f"{row['outlines']:,}") for row in areas]
    return rows_table(["class", "kind", "objects"], rows, right=["objects"])


def _lines(report: Mapping[str, Any]) -> Table:
    """Images, empty images, losses."""
    lost = report["lost_to_overlaps"]
    return facts_table(
        {
            "images": f"{report['images']:,}, {report['empty_images']:,} of them without an object",
            "lost to overlaps": (
                f"{counted(lost['pixels'], 'pixel')} and {counted(lost['objects'], 'object')} "
                f"in {counted(lost['images'], 'image')}"
            ),
        }
    )
