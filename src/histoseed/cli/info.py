"""``histoseed info``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from histoseed.cli.options import Json, Mpp, Quiet
from histoseed.cli.output import Output, facts_table, rows_table

__all__ = ["info"]


def info(
    slide: Annotated[Path, typer.Argument(metavar="SLIDE", help="Whole-slide file, PNG, JPEG or TIFF.")],
    mpp: Mpp = None,
    properties: Annotated[
        bool, typer.Option("--properties", help="Also the file's own metadata, which may name a patient.")
    ] = False,
    json: Json = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file of --json, whatever it is.")] = False,
    quiet: Quiet = False,
) -> None:
    """Print size, microns per pixel, levels, vendor and reader of a slide or image.

    Example: [cyan]histoseed info slide.svs[/cyan]

    For scripts: [cyan]histoseed info slide.svs --json - | jq .mpp[/cyan]
    """
    from histoseed.workflows.info import slide_info

    out = Output("info", json=json, quiet=quiet, overwrite=overwrite)
    facts = slide_info(slide, mpp=mpp, properties=properties)
    out.warn(facts["notes"])
    out.say(facts_table(_in_words(facts)))
    rows = [
        (str(i), f"{level['width']} x {level['height']}", f"{level['downsample']:g}", _resolution(level["mpp"]))
        for i, level in enumerate(facts["levels"])
    ]
    out.say(rows_table(["level", "pixels", "downsample", "um a pixel"], rows, right=["pixels", "downsample"]))
    if properties:
        out.say(facts_table(facts["properties"]))
    out.result(facts)


def _in_words(facts: Mapping[str, Any]) -> dict[str, str]:
    size = f"{facts['width']} x {facts['height']} pixels"
    if facts["mpp"] is None:
        mpp = "unknown; say it with --mpp, for instance --mpp 0.25 for a scan at 40x"
    else:
        size += f" ({facts['width_mm']:g} x {facts['height_mm']:g} mm)"
        mpp = f"{facts['mpp']:.4f} um a pixel ({facts['mpp_source']})"
    return {
        "file": facts["path"],
        "size": size,
        "mpp": mpp,
        "vendor": facts["vendor"],
        "reader": facts["reader"],
    }


def _resolution(mpp: float | None) -> str:
    return "unknown" if mpp is None else f"{mpp:.4f}"
