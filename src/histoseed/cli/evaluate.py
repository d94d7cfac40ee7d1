"""``histoseed evaluate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from histoseed.cli.options import DatasetFolder, Device, Dtype, Json, Mpp, Overwrite, Quiet, Seed
from histoseed.cli.output import Output, rows_table

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
        str, typer.Option("--protocol", help="histoseed, pannuke, conic, hovernet or rapid-cytomine.")
    ] = "histoseed",
    against: Annotated[
        str | None, typer.Option("--against", metavar="MODEL2", help="Other model or predictions: paired differences.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="HTML", help="Write a page that shows where it fails.")
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="Only the patches of train, val or test.")] = None,
    radius: Annotated[
        float, typer.Option("--radius", metavar="UM", help="Radius of the detection scores, micrometres.")
    ] = 3.0,
    classes: Annotated[bool, typer.Option("--classes/--no-classes", help="Score classes, matched by name.")] = True,
    resamples: Annotated[int, typer.Option("--resamples", min=1, help="Of the bootstrap.")] = 2000,
    seed: Seed = 0,
    mpp: Mpp = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Measure a model, or predictions, against the annotations of a data set.

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
    out.say(
        f"{scores.name} on {scores['dataset']}, protocol {scores['protocol']}: {scores['n_patches']:,} patches, "
        f"{scores['n_instances']:,} annotated and {scores['n_predicted']:,} predicted objects."
    )
    out.say(_score_table(scores))
    if scores.accumulator.classes:
        out.say(_class_table(scores, scores.accumulator.classes))
    if report is not None:
        out.say(f"Report: {report}")
    out.result(scores.as_dict())


def _score_table(scores: Mapping[str, Any]) -> Table:
    """A line a score with its interval; beside it the other subject and the paired difference, where there is one."""
    from histoseed.workflows.evaluation.words import SCORE_WORDS

    other = scores["against"]
    level = "interval" if scores["interval_level"] is None else f"{scores['interval_level']:.0%} interval"
    columns = ["score", "value", level] + ([] if other is None else ["against", "difference", level])
    rows = []
    for key, (name, _) in SCORE_WORDS.items():
        if scores.get(key) is None:
            continue
        row = [name, _number(scores[key]), _interval(scores["intervals"].get(key))]
        if other is not None:
            difference = other["differences"].get(key, {})
            bounds = (difference.get("low"), difference.get("high"))
            row += [_number(other.get(key)), _number(difference.get("value"), signed=True), _interval(bounds)]
        rows.append(row)
    return rows_table(columns, rows, right=["value", "against", "difference"])


def _class_table(scores: Mapping[str, Any], classes: Sequence[str]) -> Table:
    rows = [(name, _number(scores.get(f"pq_{name}")), _number(scores.get(f"f1_{name}"))) for name in classes]
    return rows_table(["class", "PQ", "F1"], rows, right=["PQ", "F1"])


def _number(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return ""
    return f"{value:+.3f}" if signed else f"{value:.3f}"


def _interval(bounds: Sequence[float | None] | None) -> str:
    low, high = bounds or (None, None)
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"
