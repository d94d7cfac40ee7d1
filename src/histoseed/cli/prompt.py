"""``histoseed prompt``."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from histoseed.cli.options import MODEL, OUTPUT, Device, Dtype, Json, Overwrite, Quiet
from histoseed.cli.output import Output, facts_table, rows_table
from histoseed.errors import InputError, OutputError
from histoseed.wording import counted

if TYPE_CHECKING:
    from rich.console import RenderableType

    from histoseed.workflows.prompting.automatic import Look

__all__ = ["prompt"]

ONE, MANY, ALL, OUTLINE = "One object", "Many objects", "Everything there is", "Outline"
"""Titles under which the help shows the options."""

_SHOWN = 20
"""Prompts of the table that is printed; the JSON lists all of them."""


class _Auto(enum.StrEnum):
    nuclei = "nuclei"
    grid = "grid"


def prompt(
    source: Annotated[Path, typer.Argument(metavar="IMAGE", help="Image or slide.")],
    box: Annotated[
        str | None,
        typer.Option(
            "--box", metavar="X0,Y0,X1,Y1", help="A box around one object, level-0 pixels.", rich_help_panel=ONE
        ),
    ] = None,
    point: Annotated[
        list[str] | None,
        typer.Option("--point", metavar="X,Y", help="A point inside it; may be repeated.", rich_help_panel=ONE),
    ] = None,
    negative: Annotated[
        list[str] | None,
        typer.Option("--negative", metavar="X,Y", help="A point outside it; may be repeated.", rich_help_panel=ONE),
    ] = None,
    candidates: Annotated[
        bool, typer.Option("--candidates", help="All candidates, not only the best.", rich_help_panel=ONE)
    ] = False,
    prompts: Annotated[
        Path | None,
        typer.Option(
            "--prompts",
            metavar="FILE",
            help="Boxes, points or crude outlines, one prompt each; ids are kept.",
            rich_help_panel=MANY,
        ),
    ] = None,
    use: Annotated[
        str,
        typer.Option(
            "--use",
            metavar="WHAT",
            help="What of a crude outline is told: box, mask or box+mask.",
            rich_help_panel=MANY,
        ),
    ] = "box",
    auto: Annotated[
        _Auto | None,
        typer.Option(
            "--auto",
            metavar="HOW",
            help="nuclei: those that a segmenter finds; grid: whatever lies under a grid of points.",
            rich_help_panel=ALL,
        ),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(
            "--region",
            metavar="X,Y,W,H",
            help="Only this rectangle, in level-0 pixels (default: everything).",
            rich_help_panel=ALL,
        ),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(
            "--every",
            metavar="UM",
            help="Distance of the grid's points (default: a 32nd of the window).",
            rich_help_panel=ALL,
        ),
    ] = None,
    window: Annotated[
        float | None,
        typer.Option(
            "--window",
            metavar="UM",
            help="Side of what is seen at once; what is larger is not found (default: the model's).",
            rich_help_panel=ALL,
        ),
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            "--min-score",
            metavar="F",
            help="Least expected IoU (default: by model, see docs/prompt.md).",
            rich_help_panel=ALL,
        ),
    ] = None,
    min_stability: Annotated[
        float | None,
        typer.Option(
            "--min-stability",
            metavar="F",
            help="Least stability of the outline, 0 to 1 (default: by model).",
            rich_help_panel=ALL,
        ),
    ] = None,
    segmenter: Annotated[
        str | None,
        typer.Option(
            "--segmenter",
            metavar="M",
            help="Finds the nuclei: bundled (default), or a folder that `adapt` wrote.",
            rich_help_panel=ALL,
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="M",
            help="bundled, a model folder, or a SAM model or checkpoint.",
            rich_help_panel=MODEL,
        ),
    ] = "bundled",
    mpp: Annotated[
        float | None,
        typer.Option(
            "--mpp",
            metavar="F",
            help="Microns per pixel, where the file does not say it or says it wrong.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    clean: Annotated[
        str,
        typer.Option(
            "--clean",
            metavar="PRESET",
            help="Clean-up of the mask: default, um, none ...",
            rich_help_panel=OUTLINE,
        ),
    ] = "default",
    simplify: Annotated[
        float,
        typer.Option(
            "--simplify",
            metavar="UM",
            min=0,
            help="Tolerance of the outline; 0 keeps pixel edges.",
            rich_help_panel=OUTLINE,
        ),
    ] = 0.25,
    vertices: Annotated[
        int | None,
        typer.Option("--vertices", metavar="N", min=3, help="Most vertices of an outline.", rich_help_panel=OUTLINE),
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Annotation file to write; the suffix says the format.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    overlay: Annotated[
        Path | None,
        typer.Option(
            "--overlay",
            metavar="PNG",
            help="Picture of prompts and outlines; of many, close-ups.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Outline an object that you point at, refine a file of crude annotations, or outline everything there is.

    Example: [cyan]histoseed prompt slide.svs --box 1200,800,1260,850 --out nucleus.geojson[/cyan]

    Many: [cyan]histoseed prompt slide.svs --prompts crude.geojson --out refined.geojson[/cyan]

    All: [cyan]histoseed prompt slide.svs --auto nuclei --region 0,0,4096,4096 --out all.geojson[/cyan]
    """
    from histoseed.workflows.prompt import prompt as work

    output = Output("prompt", json=json, quiet=quiet, overwrite=overwrite)
    if overlay is not None and overlay.suffix.lower() != ".png":
        raise OutputError("The picture of --overlay is a PNG.", where=overlay, fix="Let its name end in .png.")
    box_given = None if box is None else _numbers(box, "X0,Y0,X1,Y1", "--box")
    place = None if region is None else _numbers(region, "X,Y,W,H", "--region")
    asked = {
        "every_um": every, "window_um": window, "min_score": min_score, "min_stability": min_stability,
        "segmenter": segmenter,
    }  # fmt: skip
    with output.progress() as progress:
        made = work(
            source,
            box=box_given,  # type: ignore[arg-type]
            points=[_numbers(p, "X,Y", "--point") for p in point or ()],  # type: ignore[misc]
            negatives=[_numbers(p, "X,Y", "--negative") for p in negative or ()],  # type: ignore[misc]
            prompts=prompts, use=use, auto=_look(auto, asked), region=place,  # type: ignore[arg-type]
            model=model, mpp=mpp, candidates=candidates, clean=clean, simplify_um=simplify,
            budget=vertices, out=out, overlay=overlay, overwrite=overwrite, device=device, dtype=dtype,
            progress=progress,
        )  # fmt: skip
    facts = made.facts
    output.warn([*facts["notes"], *facts.get("losses", [])])
    if "auto" in facts:
        output.say(facts_table(_everything(facts, made.rows)))
    else:
        output.say(*_answers(facts, made.rows))
    for path in (out, overlay):
        if path is not None:
            output.say(f"Written to {path}")
    output.result({**facts, "rows": made.rows, "out": None if out is None else str(out)})


def _look(auto: _Auto | None, asked: dict[str, Any]) -> Look | None:
    given = {name: value for name, value in asked.items() if value is not None}
    if auto is None:
        if given:
            option = "--" + next(iter(given)).removesuffix("_um").replace("_", "-")
            raise InputError("This belongs to --auto.", where=option, fix="Add --auto nuclei or --auto grid.")
        return None
    if auto is _Auto.grid and "segmenter" in given:
        fix = "Leave it out, or use --auto nuclei."
        raise InputError("A grid asks no segmenter.", where="--segmenter", fix=fix)
    from histoseed.workflows.prompting.automatic import Look

    return Look(proposals=auto.value, **given)


def _answers(facts: dict[str, Any], rows: list[dict[str, Any]]) -> Iterator[RenderableType]:
    columns = ["prompt", "found", "score", "area", "vertices", "IoU with the given"]
    yield rows_table(columns, [_cells(row) for row in rows[:_SHOWN]], right=columns[2:])
    if len(rows) > _SHOWN:
        yield f"... and {counted(len(rows) - _SHOWN, 'more prompt')}"
    yield facts_table({key: str(facts[key]) for key in ("outlined", "unchanged", "empty", "locked") if facts[key]})


def _everything(facts: dict[str, Any], rows: list[dict[str, Any]]) -> dict[str, str]:
    x, y, width, height = facts["region"]
    asked = (
        f"{counted(facts['prompts'], 'point')} of a grid"
        if facts["auto"] == "grid"
        else f"{counted(facts['prompts'], 'nucleus')} of the segmenter"
    )
    lines = {
        "region": f"{width} x {height} pixels at {x}, {y}; {counted(facts['windows'], 'window')}",
        "asked": asked,
        "found": counted(len(rows), "object"),
    }
    if rows:
        lines["median score"] = f"{median(row['score'] for row in rows):.2f}"
        known = facts["mpp"] is not None
        middle = median(row["area_um2" if known else "area_px"] for row in rows)
        lines["median area"] = f"{middle:.1f} um2" if known else f"{middle:.0f} px"
    return lines


def _numbers(text: str, shape: str, option: str) -> tuple[float, ...]:
    """Numbers with commas, as many as ``shape`` names."""
    count = shape.count(",") + 1
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        fix = f"Give {count} numbers with commas: {shape} in level-0 pixels."
        raise InputError(f"{text!r} is not understood.", where=option, fix=fix)
    return numbers


def _cells(row: dict[str, Any]) -> list[str]:
    def shown(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    area = row.get("area_um2")
    size = f"{area:.1f} um2" if area is not None else shown(row.get("area_px"), ".0f") + " px"
    found = {"empty": "no object"}.get(row["status"], row["status"])
    return [
        row.get("given_id", row["id"][:8])[:20], found, shown(row["score"], ".2f"),
        size if row["score"] is not None else "", shown(row.get("vertices"), "d"), shown(row["iou"], ".2f"),
    ]  # fmt: skip
