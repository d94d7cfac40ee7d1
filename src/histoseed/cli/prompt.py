"""``histoseed prompt``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from histoseed.cli.options import Device, Dtype, Json, Mpp, Overwrite, Quiet
from histoseed.cli.output import Output, facts_table, rows_table
from histoseed.errors import InputError
from histoseed.wording import counted

__all__ = ["prompt"]

_SHOWN = 20
"""Prompts of the table that is printed; the JSON lists all of them."""


def prompt(
    source: Annotated[Path, typer.Argument(metavar="IMAGE", help="Image or slide.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Annotation file to write; the suffix says the format."),
    ] = None,
    box: Annotated[
        str | None, typer.Option("--box", metavar="X0,Y0,X1,Y1", help="A box around one object, level-0 pixels.")
    ] = None,
    point: Annotated[
        list[str] | None, typer.Option("--point", metavar="X,Y", help="A point inside it; may be repeated.")
    ] = None,
    negative: Annotated[
        list[str] | None, typer.Option("--negative", metavar="X,Y", help="A point outside it; may be repeated.")
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option("--prompts", metavar="FILE", help="Boxes, points or crude outlines, one prompt each."),
    ] = None,
    use: Annotated[
        str, typer.Option("--use", metavar="WHAT", help="What of a crude outline is told: box, mask or box+mask.")
    ] = "box",
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="M", help="bundled, a model folder, or a SAM model or checkpoint.")
    ] = "bundled",
    candidates: Annotated[bool, typer.Option("--candidates", help="All candidates, not only the best.")] = False,
    clean: Annotated[
        str, typer.Option("--clean", metavar="PRESET", help="Clean-up of the mask: default, um, none ...")
    ] = "default",
    simplify: Annotated[
        float, typer.Option("--simplify", metavar="UM", help="Tolerance of the outline, um; 0 keeps pixel edges.")
    ] = 0.25,
    vertices: Annotated[
        int | None, typer.Option("--vertices", metavar="N", min=3, help="Most vertices of an outline.")
    ] = None,
    overlay: Annotated[
        Path | None, typer.Option("--overlay", metavar="PNG", help="Picture of prompts and outlines.")
    ] = None,
    mpp: Mpp = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Outline an object that you point at, or refine a file of crude annotations.

    Example: [cyan]histoseed prompt slide.svs --box 1200,800,1260,850 --out nucleus.geojson[/cyan]

    Many: [cyan]histoseed prompt slide.svs --prompts crude.geojson --out refined.geojson[/cyan]
    """
    from histoseed.workflows.prompt import prompt as work

    output = Output("prompt", json=json, quiet=quiet, overwrite=overwrite)
    box_given = None if box is None else _numbers(box, 4, "--box")
    with output.progress() as progress:
        made = work(
            source,
            box=box_given,  # type: ignore[arg-type]
            points=[_numbers(p, 2, "--point") for p in point or ()],  # type: ignore[misc]
            negatives=[_numbers(p, 2, "--negative") for p in negative or ()],  # type: ignore[misc]
            prompts=prompts, use=use, model=model, mpp=mpp, candidates=candidates, clean=clean, simplify_um=simplify,
            budget=vertices, out=out, overlay=overlay, overwrite=overwrite, device=device, dtype=dtype,
            progress=progress,
        )  # fmt: skip
    facts = made.facts
    output.warn([*facts["notes"], *facts.get("losses", [])])
    columns = ["prompt", "found", "score", "area", "vertices", "IoU with the given"]
    output.say(rows_table(columns, [_cells(row) for row in made.rows[:_SHOWN]], right=columns[2:]))
    if len(made.rows) > _SHOWN:
        output.say(f"... and {counted(len(made.rows) - _SHOWN, 'more prompt')}")
    output.say(
        facts_table({key: str(facts[key]) for key in ("outlined", "unchanged", "empty", "locked") if facts[key]})
    )
    for path in (out, overlay):
        if path is not None:
            output.say(f"Written to {path}")
    output.result({**facts, "rows": made.rows, "out": None if out is None else str(out)})


def _numbers(text: str, count: int, option: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count:
        shape = "X0,Y0,X1,Y1" if count > 2 else "X,Y"
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
        row["id"][:8], found, shown(row["score"], ".2f"), size if row["score"] is not None else "",
        shown(row.get("vertices"), "d"), shown(row["iou"], ".2f"),
    ]  # fmt: skip
