"""``histoseed segment``."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from histoseed.cli.options import COMPUTING, Device, Dtype, Json, Mpp, Out, Overwrite, Quiet
from histoseed.cli.output import Output, facts_table
from histoseed.errors import InputError
from histoseed.wording import counted

if TYPE_CHECKING:
    from histoseed.workflows.segment_plan import ModelOptions

__all__ = ["segment"]

_Rectangle = tuple[float, float, float, float]


def segment(
    sources: Annotated[list[Path], typer.Argument(metavar="SLIDE...", help="Images or whole slides; or one data set.")],
    out: Out,
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="MODEL", help="bundled, or a folder that `adapt` wrote.")
    ] = "bundled",
    mpp: Mpp = None,
    region: Annotated[
        str | None, typer.Option("--region", metavar="X,Y,W,H", help="Only this rectangle, in level-0 pixels.")
    ] = None,
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="LIST",
            help="What to write, with commas: geojson, parquet, labels, overlay; of areas geojson, classes, overlay.",
        ),
    ] = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Of a data set: keep the class probabilities of every object.")
    ] = False,
    tile_size: Annotated[
        int | None,
        typer.Option(
            "--tile-size",
            min=1,
            metavar="PX",
            rich_help_panel=COMPUTING,
            help="Side of a tile (default: HISTOSEED_TILE_SIZE).",
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(
            "--batch", min=1, metavar="N", rich_help_panel=COMPUTING, help="Tiles at once (default: 1; 4 on a GPU)."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, metavar="N", rich_help_panel=COMPUTING, help="Threads after the network."),
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Segment every nucleus, or every area, of an image, a slide, several slides or a data set.

    Writes nuclei.geojson (QuPath), nuclei.parquet/, labels.tif, overlay.png, summary.json and run.json.

    With a model of --task semantic: areas.geojson, classes.tif, overlay.png, summary.json (mm2) and run.json.

    Several slides go to OUT/<stem>/; a data set becomes a data set, which `evaluate --predictions` takes.

    An interrupted run goes on when the same command is given again.

    Example: [cyan]histoseed segment slide.svs --out result[/cyan]

    Part of it: [cyan]histoseed segment slide.svs --model models/mine --region 0,0,4096,4096 --out corner[/cyan]
    """
    output = Output("segment", json=json, quiet=quiet, overwrite=overwrite)
    rectangle = _rectangle(region)
    of_data = len(sources) == 1 and (sources[0] / "dataset.json").is_file()
    if rectangle is not None and (of_data or len(sources) > 1):
        raise InputError("A region needs exactly one slide.", where="--region", fix="Segment one slide at a time.")
    if probabilities and not of_data:
        what = "Only predictions for a data set have a file of probabilities."
        raise InputError(what, where="--probabilities", fix="Leave it out: nuclei.parquet holds them.")
    from histoseed.workflows.segment_plan import ModelOptions

    how = ModelOptions(model=model, device=device, dtype=dtype, tile_size=tile_size, batch=batch, workers=workers)
    with output.progress() as progress:
        told = {"out": out, "mpp": mpp, "overwrite": overwrite, "progress": progress}
        facts = (
            _data_set(sources[0], how, told | {"probabilities": probabilities})
            if of_data
            else _slides(sources, how, told | {"formats": None if formats is None else formats.split(",")}, rectangle)
        )
    if not of_data:
        output.warn(
            [f"{one['slide']}: {note}" for one in facts.get("slides", {"": facts}).values() for note in one["notes"]]
        )
    output.say(facts_table(_in_words(facts)), f"Written to {out}")
    output.result({"out": str(out), **facts})


def _data_set(source: Path, how: ModelOptions, options: dict[str, Any]) -> dict[str, Any]:
    """Segment the patches of a data set into another one, and describe that."""
    from histoseed.workflows.segment_dataset import segment_dataset

    return segment_dataset(source, **options, **how).describe()


def _slides(
    sources: list[Path], how: ModelOptions, options: dict[str, Any], region: _Rectangle | None
) -> dict[str, Any]:
    """Segment one slide into the folder, or several into folders of it; the contents of their ``summary.json``."""
    from histoseed.workflows.segment import segment as segment_one
    from histoseed.workflows.segment import segment_slides

    if len(sources) > 1:
        return {"slides": segment_slides(sources, **options, **how)}
    segment_one(sources[0], region=region, **options, **how)
    summary: dict[str, Any] = json_format.loads((options["out"] / "summary.json").read_text("utf-8"))
    return summary


def _rectangle(text: str | None) -> _Rectangle | None:
    if text is None:
        return None
    try:
        x, y, width, height = (float(part) for part in text.split(","))
    except ValueError as error:
        fix = "Give four numbers with commas: X,Y,W,H in level-0 pixels."
        raise InputError(f"{text!r} is no rectangle.", where="--region", fix=fix) from error
    return x, y, width, height


def _in_words(facts: Mapping[str, Any]) -> dict[str, str]:
    """Objects and densities of one slide, a line a slide of several, patches and objects of a data set."""
    if "slides" in facts:
        return {name: _found(summary) for name, summary in facts["slides"].items()}
    if "patches" in facts:
        found = "regions" if facts["with_regions"] and not facts["objects"] else counted(facts["objects"], "object")
        return {"data set": facts["name"], "found": f"{found} in {counted(facts['patches'], 'patch')}"}
    lines = {"slide": facts["slide"], "model": facts["model"], "found": _found(facts)}
    if "areas" in facts:
        lines["tissue"] = f"{facts['tissue_mm2']:.4f} of {facts['region_mm2']:.4f} mm2 (the rest is glass)"
    if (median := facts.get("median_area_um2")) is not None:
        lines["median area"] = f"{median:g} um2"
    return lines | {name: _found(one) for name, one in facts.get("classes", {}).items()}


def _found(figures: Mapping[str, Any]) -> str:
    """What was found of one slide, or of one class of it: nuclei, or areas."""
    if "areas" in figures:
        share = figures["share_of_tissue"]
        size = figures["classified_mm2"] if "classified_mm2" in figures else figures["mm2"]
        of_tissue = "" if share is None else f", {share:.1%} of the tissue"
        return f"{counted(figures['areas'], 'area')}, {size:.4f} mm2{of_tissue}"
    density = figures["per_tissue_mm2"]
    return f"{counted(figures['objects'], 'object')}" + ("" if density is None else f", {density:,.0f} a mm2 of tissue")
