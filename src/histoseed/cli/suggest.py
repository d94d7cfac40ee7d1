"""``histoseed suggest``."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histoseed.cli.options import Device, Dtype, Json, Mpp, Overwrite, Quiet, Seed
from histoseed.cli.output import Output, rows_table
from histoseed.wording import agreed

if TYPE_CHECKING:
    from histoseed.workflows.suggest import Suggestions

__all__ = ["suggest"]


def suggest(
    sources: Annotated[
        list[Path], typer.Argument(metavar="SLIDE... | DS", help="A slide, several slides, or a data set.")
    ],
    n: Annotated[int, typer.Option("--n", "-n", min=1, metavar="N", help="How many regions.")] = 5,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="MODEL", help="The model that is to learn: bundled, or a model folder."),
    ] = None,
    annotated: Annotated[
        str | None,
        typer.Option(
            "--annotated",
            metavar="A",
            help="What is annotated: a GeoJSON file of the slide, a data set with the same patch ids, or none.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder for pictures, GeoJSON and regions.json.")
    ] = None,
    encoder: Annotated[
        str,
        typer.Option("--encoder", "-e", metavar="NAME", help="Whose embeddings are compared, where there is no model."),
    ] = "bundled",
    weights: Annotated[
        str | None, typer.Option("--weights", metavar="NAME", help="hub, random, bundled, or a file, as for adapt.")
    ] = None,
    size: Annotated[float, typer.Option("--size", metavar="UM", help="Side of a region, micrometres.")] = 64.0,
    candidates: Annotated[
        int, typer.Option("--candidates", min=1, metavar="N", help="Most places that are looked at.")
    ] = 400,
    curve: Annotated[
        bool, typer.Option("--curve", help="Also measure the learning curve of a data set: up to fifteen trainings.")
    ] = False,
    mpp: Mpp = None,
    seed: Seed = 0,
    device: Device = "auto",
    dtype: Dtype = "auto",
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Propose what to annotate next: regions of 64 um that help most.

    Nothing is annotated yet: regions that together stand for all that is to be seen. With a model: regions where it is
    unsure, that differ from one another, and that are like many others.

    Writes overview.png (where they lie), regions.png (what they show), regions.geojson (QuPath) and regions.json.

    Example: [cyan]histoseed suggest slide.svs --n 5 --out next[/cyan]

    Later: [cyan]histoseed suggest slide.svs --model models/mine --annotated done.geojson --out next[/cyan]

    What would one more bring? [cyan]histoseed suggest data/mine --curve --out next[/cyan]
    """
    output = Output("suggest", json=json, quiet=quiet, overwrite=overwrite)
    from histoseed.workflows.suggest import suggest as run_suggest

    with output.progress() as progress:
        found = run_suggest(
            sources if len(sources) > 1 else sources[0], n=n, model=model, annotated=annotated, encoder=encoder,
            weights=weights, out=out, size_um=size, candidates=candidates, curve=curve, mpp=mpp, seed=seed,
            device=device, dtype=dtype, overwrite=overwrite, progress=progress,
        )  # fmt: skip
    rows = [
        (str(r.number), Path(r.source).name, f"{r.x},{r.y},{r.width},{r.height}", f"{r.tissue:.0%}", r.reason)
        for r in found.regions
    ]
    if rows:
        output.say(
            rows_table(["", "slide or patch", "x,y,width,height", "tissue", "why"], rows, right=["", "tissue"]),
        )
    output.say(_of_how_many(found))
    if found.curve is not None:
        output.say(*_curve_lines(found))
    if out is not None:
        output.say(f"Written to {out}")
    output.result({"out": None if out is None else str(out), **found.as_dict()})


def _of_how_many(found: Suggestions) -> str:
    if not found.regions:
        count = "" if found.annotated == 1 else f"{found.annotated:,} "
        return agreed(f"{{The only|All}} {count}{{place|places}} with tissue {{is|are}} annotated.", found.annotated)
    places = agreed("{count} {place with tissue was|places with tissue were} looked at", found.places)
    done = agreed(", {count} {is|are} annotated", found.annotated) if found.annotated else ""
    return f"{found.candidates:,} of {places}{done}; {found.how}, seen by {found.network}."


def _curve_lines(found: Suggestions) -> list[str]:
    """The learning curve in two lines."""
    curve = found.curve
    if curve is None:
        return []
    scores = ", ".join(f"{size}: {sum(draws) / len(draws):.3f}" for size, draws in curve.draws().items())
    lines = [f"PQ by annotated regions: {scores}"]
    if curve.gain is not None:
        low, high = curve.gain.low, curve.gain.high
        bounds = "" if isnan(low) else f" (95 % interval {low:+.4f} to {high:+.4f})"
        lines.append(f"Expected gain of region {curve.sizes[-1] + 1}: {curve.gain.value:+.4f}{bounds}.")
    return [*lines, curve.remark]
