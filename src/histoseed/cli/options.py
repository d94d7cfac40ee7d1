"""Options that several commands share, so that they are called and explained alike everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "COMPUTING",
    "DATA",
    "MODEL",
    "OUTPUT",
    "PROMPTS",
    "TRAINING",
    "Classes",
    "DatasetFolder",
    "Device",
    "Dtype",
    "Json",
    "Mpp",
    "Out",
    "Overwrite",
    "Part",
    "Quiet",
    "Seed",
    "Slides",
]

DATA, MODEL, TRAINING, COMPUTING, OUTPUT = "Data", "Model", "Training", "Computing", "Output"
PROMPTS = "Prompts"
"""Titles under which the help shows the options of commands that have many; what is written is apart in all of them."""

Json = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="PATH",
        help="Write the result as JSON; [bold]-[/bold] is standard output, and then nothing else goes there.",
        rich_help_panel=OUTPUT,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="No progress and no summary; errors are still told.", rich_help_panel=OUTPUT),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what stands where the output goes.", rich_help_panel=OUTPUT)
]
Out = Annotated[
    Path,
    typer.Option("--out", "-o", metavar="DIR", help="Folder to write; absent or empty.", rich_help_panel=OUTPUT),
]
Mpp = Annotated[
    float | None,
    typer.Option("--mpp", metavar="F", help="Microns per pixel, where the file does not say it or says it wrong."),
]
Device = Annotated[
    str,
    typer.Option(
        "--device", metavar="NAME", help="Where it computes: auto, cpu, cuda, cuda:1 ...", rich_help_panel=COMPUTING
    ),
]
Dtype = Annotated[
    str,
    typer.Option("--dtype", metavar="NAME", help="Precision: auto, float32 or bfloat16.", rich_help_panel=COMPUTING),
]
Seed = Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Seed of every random choice.")]
DatasetFolder = Annotated[
    Path, typer.Argument(metavar="DS", help="Data set in the common format, as `histoseed import` writes it.")
]
Slides = Annotated[
    Path | None, typer.Option("--slides", metavar="DIR", help="Folder of whole slides outside the data set.")
]
Part = Annotated[
    str | None,
    typer.Option("--part", metavar="NAME", help="Part of the release, see `histoseed dataset list NAME`."),
]
Classes = Annotated[
    str | None,
    typer.Option("--classes", metavar="SCHEME", help="Class scheme, see `histoseed dataset list NAME`."),
]
