"""``histoseed evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from histoseed.cli.options import DatasetFolder, Device, Dtype, Json, Mpp, Overwrite, Quiet, Seed
from histoseed.cli.output import Output
from histoseed.cli.scores import told_of_areas, told_of_nuclei

__all__ = ["evaluate"]


def evaluate(
    dataset: DatasetFolder,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="MODEL", help="bundled, or a model folder to run.")
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option("--predictions", metavar="DS2", help="What `segment DS --out DS2` wrote, instead.")
    ] = None,
    protocol: Annotated[
        str, typer.Option("--protocol", metavar="NAME", help="histoseed, pannuke, conic, hovernet or rapid-cytomine.")
    ] = "histoseed",
    against: Annotated[
        str | None, typer.Option("--against", metavar="MODEL2", help="Other model or predictions: paired differences.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="HTML", help="Write a page that shows where it fails.")
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", metavar="NAME", help="Only the patches of train, val or test.")
    ] = None,
    radius: Annotated[
        float, typer.Option("--radius", metavar="UM", help="Radius of the detection scores, micrometres.")
    ] = 3.0,
    classes: Annotated[bool, typer.Option("--classes/--no-classes", help="Score classes, matched by name.")] = True,
    resamples: Annotated[int, typer.Option("--resamples", min=1, metavar="N", help="Of the bootstrap.")] = 2000,
    seed: Seed = 0,
    mpp: Mpp = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Measure a model, or predictions, against the annotations of a data set.

    Of a semantic model: Dice and IoU of its classes, on regions or on the area of nuclei.

    Example: [cyan]histoseed evaluate data/monuseg --model bundled --json scores.json --report report.html[/cyan]

    Two models: [cyan]histoseed evaluate data/monuseg --model models/mine --against bundled[/cyan]
    """
    out = Output("evaluate", json=json, quiet=quiet, overwrite=overwrite)
    from histoseed.workflows.evaluate import evaluate as run_evaluate

    with out.progress() as progress:
        scores = run_evaluate(
            dataset, model=model, predictions=predictions, protocol=protocol, against=against, report=report, mpp=mpp,
            split=split, radius_um=radius, classes=classes, device=device, dtype=dtype, overwrite=overwrite, seed=seed,
            resamples=resamples, progress=progress,
        )  # fmt: skip
    out.warn([*scores["warnings"], *scores["notes"]])
    for told in told_of_areas(scores) if scores.get("task") == "semantic" else told_of_nuclei(scores):
        out.say(told)
    if report is not None:
        out.say(f"Report: {report}")
    out.result(scores.as_dict())
