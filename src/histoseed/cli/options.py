"""Options that several commands share, so that they are called and explained alike everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
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

Json = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="PATH",
        help="Write the result as JSON; [bold]-[/bold] is standard output, and then nothing else goes there.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary; errors are still told.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what stands where the output goes.")]
Out = Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write; absent or empty.")]
Mpp = Annotated[
    float | None,
    typer.Option("--mpp", metavar="F", help="Microns per pixel, where the file does not say it or says it wrong."),
]
Device = Annotated[str, typer.Option("--device", help="[bold]auto[/bold], cpu, cuda, cuda:1 ...")]
Dtype = Annotated[str, typer.Option("--dtype", help="[bold]auto[/bold], float32 or bfloat16.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of every random choice.")]
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
