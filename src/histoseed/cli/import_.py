"""``histoseed import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histoseed.cli.options import Json, Mpp, Out, Overwrite, Quiet
from histoseed.cli.output import Output

__all__ = ["import_"]

_Text = str | None


def import_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="labels, geojson; see `histoseed dataset list`.")],
    source: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="What to read, as that list says.")],
    out: Out,
    mpp: Mpp = None,
    partial: Annotated[bool, typer.Option("--partial", help="Not every object of the images is annotated.")] = False,
    stain: Annotated[_Text, typer.Option("--stain", metavar="TEXT", help="For instance H&E.")] = None,
    licence: Annotated[_Text, typer.Option("--licence", metavar="TEXT", help="Of images and annotations.")] = None,
    citation: Annotated[_Text, typer.Option("--citation", metavar="TEXT", help="What to cite.")] = None,
    tile: Annotated[
        int | None, typer.Option("--tile", metavar="PX", help="geojson: cut into patches of at most this side.")
    ] = None,
    roi_class: Annotated[
        _Text,
        typer.Option("--roi-class", metavar="TEXT", help="geojson: class that marks regions (default: Region*, ROI)."),
    ] = None,
    nucleus: Annotated[bool, typer.Option("--nucleus", help="geojson: of QuPath cells take the nucleus.")] = False,
    allow_outside: Annotated[
        bool, typer.Option("--allow-outside", help="geojson: cut outlines that leave the image at its border.")
    ] = False,
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Bring other people's annotations into the common data-set format.

    [bold]labels[/bold]: a folder with images/ and labels/ of equal stems; optional types/, classes.json, groups.csv.

    [bold]geojson[/bold]: an image and its QuPath annotations; outlines of class Region* become patches.

    Example: [cyan]histoseed import labels monuseg/ --mpp 0.25 --out data/monuseg[/cyan]

    Example: [cyan]histoseed import geojson slide.svs slide.geojson --out data/mine[/cyan]
    """
    from histoseed.cli.dataset import summary
    from histoseed.workflows.data import import_data

    output = Output("import", json=json, quiet=quiet, overwrite=overwrite)
    with output.working(f"Importing {', '.join(map(str, source))}"):
        facts = import_data(
            name, source, out, mpp=mpp, exhaustive=False if partial else None, stain=stain,
            licence=licence, citation=citation, tile=tile, roi_class=roi_class, nucleus=nucleus or None,
            allow_outside=allow_outside or None, overwrite=overwrite,
        )  # fmt: skip
    output.warn([*facts["known_problems"], *facts["notes"]])
    output.say(summary(facts))
    output.say(f"Look at it: histoseed dataset info {out} --sheet {out}.png")
    output.result(facts)
