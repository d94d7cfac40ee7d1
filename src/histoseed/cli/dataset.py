"""``histoseed dataset list | info | split``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from histoseed.cli.options import DatasetFolder, Json, Overwrite, Quiet, Seed
from histoseed.cli.output import Output, facts_table, rows_table
from histoseed.errors import InputError

__all__ = ["app", "summary"]

app = typer.Typer(no_args_is_help=True, help="Look at data sets and divide them.", rich_markup_mode="rich")


@app.command("list")
def list_(json: Json = None, overwrite: Overwrite = False, quiet: Quiet = False) -> None:
    """List the layouts that `histoseed import` reads.

    Example: [cyan]histoseed dataset list[/cyan]
    """
    from histoseed.workflows.data import list_importers

    out = Output("dataset list", json=json, quiet=quiet, overwrite=overwrite)
    rows = list_importers()
    out.say(rows_table(["name", "sources", "what"], [(row["name"], row["sources"], row["about"]) for row in rows]))
    out.result({"importers": rows})


@app.command("info")
def info(
    dataset: DatasetFolder,
    sheet: Annotated[
        Path | None, typer.Option("--sheet", metavar="PNG", help="Write a contact sheet with outlines.")
    ] = None,
    patches: Annotated[int, typer.Option("--patches", min=1, help="Most patches on the sheet.")] = 24,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every file and compare sizes, labels, hashes.")
    ] = False,
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Print counts, classes, sizes and groups of a data set, and draw its patches.

    Example: [cyan]histoseed dataset info data/monuseg --sheet monuseg.png[/cyan]
    """
    from histoseed.workflows.data import data_info, data_sheet

    out = Output("dataset info", json=json, quiet=quiet, overwrite=overwrite)
    facts = data_info(dataset, verify=verify)
    if sheet is not None:
        with out.progress() as progress:
            data_sheet(dataset, sheet, limit=patches, overwrite=overwrite, progress=progress)
        facts["sheet"] = str(sheet)
    out.say(summary(facts))
    out.result(facts)


@app.command("split")
def split(
    dataset: DatasetFolder,
    by: Annotated[str, typer.Option("--by", help="patient, slide, centre or group.")] = "patient",
    fractions: Annotated[
        str, typer.Option("--fractions", metavar="A,B,C", help="Shares of train, val and test, by objects.")
    ] = "0.7,0.15,0.15",
    fallback: Annotated[
        str | None, typer.Option("--fallback", metavar="COLUMN", help="Coarser column where --by is empty.")
    ] = None,
    seed: Seed = 0,
    json: Json = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a split that is there.")] = False,
    quiet: Quiet = False,
) -> None:
    """Divide a data set into train, val and test; no patient, slide or object stands on two sides.

    Example: [cyan]histoseed dataset split data/monuseg --by patient --fractions .7,.15,.15 --seed 0[/cyan]
    """
    from histoseed.workflows.data import split_data

    out = Output("dataset split", json=json, quiet=quiet, overwrite=overwrite)
    facts = split_data(dataset, by=by, fractions=_numbers(fractions), seed=seed, fallback=fallback, overwrite=overwrite)
    rows = [(name, *(f"{n[key]:,}" for key in ("units", "patches", "objects"))) for name, n in facts["splits"].items()]
    out.say(rows_table(["split", f"{by}s", "patches", "objects"], rows, right=[f"{by}s", "patches", "objects"]))
    out.result(facts)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        fix = "Give three numbers with commas, for instance 0.7,0.15,0.15."
        raise InputError(f"{text!r} is no list of numbers.", where="--fractions", fix=fix) from error


def summary(facts: Mapping[str, Any]) -> Table:
    """The description of a data set (:meth:`Dataset.describe`) for people."""
    groups = [f"{count} {name}s" for name, count in facts["groups"].items() if count]
    size = facts["diameter_um"], facts["diameter_px"]
    lines = {
        "data set": f"{facts['name']} (version {facts['version']}), {facts['path']}",
        "licence": facts["licence"] or "not stated",
        "patches": f"{facts['patches']:,} ({_counts(facts['patch_sizes'])})",
        "objects": f"{facts['objects']:,}, {facts['objects_outlined']:,} of them outlined",
        "a patch": _quartiles(facts["objects_per_patch"], "objects"),
        "classes": _counts(facts["classes"] | ({"unclassified": n} if (n := facts["unclassified"]) else {})),
        "diameter": "; ".join(_quartiles(*pair) for pair in zip(size, ("um", "px"), strict=True) if pair[0]),
        "mpp": _counts(facts["mpp"]),
        "groups": ", ".join([*groups, f"{n:,} patches without a group"] if (n := facts["ungrouped"]) else groups),
        "splits": ", ".join(
            f"{name}: {n['patches']:,} patches, {n['objects']:,} objects" for name, n in facts["splits"].items()
        ),
        "on two sides": ", ".join(f"{len(names)} {key}s" for key, names in facts["leakage"].items() if names),
        "partial": f"{n:,} patches" if (n := facts["patches"] - facts["exhaustive"]) else "",
        "known problems": "\n".join(facts["known_problems"]),
        "leakage notes": "\n".join(facts["leakage_notes"]),
        "notes": "\n".join(facts["notes"]),
        "contact sheet": facts.get("sheet", ""),
    }
    return facts_table({name: text for name, text in lines.items() if text})


def _counts(counts: Mapping[str, int], most: int = 6) -> str:
    shown = [f"{name}: {count:,}" for name, count in list(counts.items())[:most]]
    return ", ".join(shown) + (f" and {len(counts) - most} more" if len(counts) > most else "")


def _quartiles(values: list[float] | None, unit: str) -> str:
    return "" if values is None else f"{values[1]:g} {unit} (middle half {values[0]:g} to {values[2]:g})"
