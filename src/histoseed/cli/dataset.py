"""``histoseed dataset list | info | split | verify``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from histoseed.cli.commands import Commands
from histoseed.cli.dataset_tools import attach
from histoseed.cli.options import Classes, DatasetFolder, Json, Overwrite, Part, Quiet, Seed, Slides
from histoseed.cli.output import Output, facts_table, rows_table
from histoseed.errors import InputError
from histoseed.wording import counted, plural, some

__all__ = ["app", "summary"]

app = Commands(help="Look at data sets and divide them.")


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show everything about this one.")] = None,
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """List the data sets and layouts that `histoseed import` reads, or show the card of one.

    Example: [cyan]histoseed dataset list[/cyan]

    Example: [cyan]histoseed dataset list pannuke[/cyan]
    """
    from histoseed.datasets import get_importer
    from histoseed.workflows.data import list_importers

    out = Output("dataset list", json=json, quiet=quiet, overwrite=overwrite)
    rows = list_importers()
    if name is not None:
        get_importer(name)  # answers a wrong name with the nearest
        row = next(row for row in rows if row["name"] == name)
        out.say(facts_table({key: text for key, value in _card_lines(row).items() if (text := value)}))
        out.result({"importers": [row]})
        return
    cards = [row for row in rows if row["card"] is not None]
    columns = ["name", "task", "organ", "stain", "mpp", "licence", "commercial use"]
    keys = ("task", "organ", "stain", "mpp", "licence", "commercial")
    out.say(
        rows_table(columns, [(row["name"], *(row["card"][key] or "not stated" for key in keys)) for row in cards]),
        "",
        rows_table(
            ["layout", "sources", "what"],
            [(row["name"], row["sources"], row["about"]) for row in rows if row["card"] is None],
        ),
        "",
        "Everything about one: histoseed dataset list NAME",
    )
    out.result({"importers": rows})


def _card_lines(row: Mapping[str, Any]) -> dict[str, str]:
    """One importer for people: names on the left, texts on the right."""
    lines = {"import": f"histoseed import {row['name']} {row['sources']} --out DS", "about": row["about"]}
    card = row["card"]
    if card is None:
        return lines | {"options": "see histoseed import --help"}
    for key, value in card.items():
        if key in {"schemes", "parts"}:
            if not value:
                continue
            option = {"schemes": "--classes", "parts": "--part"}[key] if len(value) > 1 else key.removesuffix("s")
            texts = [f"{one}: {', '.join(text) if isinstance(text, list) else text}" for one, text in value.items()]
            lines[option] = "\n".join(texts)
        elif isinstance(value, list):
            lines[key.replace("_", " ")] = "\n".join(value)
        elif key != "name":
            lines[key] = value or "not stated"
    return lines


@app.command("verify")
def verify(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A data set of `histoseed dataset list`.")],
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="What was unpacked, or what was imported from it.")],
    part: Part = None,
    classes: Classes = None,
    slides: Slides = None,
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Compare your copy of a public data set with its published numbers; exit code 1 where they differ.

    Example: [cyan]histoseed dataset verify lizard Lizard/[/cyan]
    """
    from histoseed.workflows.data import verify_data

    out = Output("dataset verify", json=json, quiet=quiet, overwrite=overwrite)
    with out.progress() as progress:
        rows = verify_data(name, source, slides=slides, part=part, scheme=classes, progress=progress)
    out.say(*_verified(rows))
    out.warn(list(dict.fromkeys(row["note"] for row in rows if row["note"])))
    failed = [row for row in rows if not row["equal"]]
    text = "A mismatch means another release, an incomplete copy, or a fault of the importer."
    out.say(f"{len(rows) - len(failed):,} of {len(rows):,} numbers agree. {text if failed else ''}".rstrip())
    out.result({"name": name, "source": str(source), "totals": rows, "passed": not failed})
    if failed:
        raise typer.Exit(1)


def _verified(rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Published numbers beside those that were found, and who published them; numbered where there are several."""
    sources = list(dict.fromkeys(row["source"] for row in rows))
    columns = ["", "what", "published", "found", *(["by"] if len(sources) > 1 else [])]
    table = []
    for row in rows:
        cells = ["pass" if row["equal"] else "FAIL", row["what"], f"{row['published']:,}", f"{row['found']:,}"]
        table.append([*cells, f"[{sources.index(row['source']) + 1}]"][: len(columns)])
    listed = [f"[{k}] {source}" for k, source in enumerate(sources, start=1)] if len(sources) > 1 else sources
    return [rows_table(columns, table, right=["published", "found"]), "", f"Published by: {'; '.join(listed)}"]


@app.command("info")
def info(
    dataset: DatasetFolder,
    sheet: Annotated[
        Path | None,
        typer.Option(
            "--sheet", metavar="PNG", help="Draw patches with their annotations, objects by class, and their sizes."
        ),
    ] = None,
    patches: Annotated[int, typer.Option("--patches", min=1, metavar="N", help="Most patches on the sheet.")] = 24,
    slides: Slides = None,
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
    from histoseed.datasets import read_dataset
    from histoseed.workflows.data import data_info, data_sheet

    out = Output("dataset info", json=json, quiet=quiet, overwrite=overwrite)
    data = read_dataset(dataset, slides=slides)
    facts = data_info(data, verify=verify)
    if sheet is not None:
        with out.progress() as progress:
            data_sheet(data, sheet, limit=patches, overwrite=overwrite, progress=progress)
        facts["sheet"] = str(sheet)
    out.say(summary(facts))
    out.result(facts)


@app.command("split")
def split(
    dataset: DatasetFolder,
    by: Annotated[str, typer.Option("--by", metavar="COLUMN", help="patient, slide, centre or group.")] = "patient",
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
    columns = [plural(by), "patches", "objects"]
    out.say(rows_table(["split", *columns], rows, right=columns))
    out.result(facts)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        fix = "Give three numbers with commas, for instance 0.7,0.15,0.15."
        raise InputError(f"{text!r} is no list of numbers.", where="--fractions", fix=fix) from error


def summary(facts: Mapping[str, Any], *, told: Collection[str] = ()) -> Table:
    """The description of a data set (:meth:`Dataset.describe`) for people.

    Args:
        facts: The description.
        told: Sentences that the user has seen already.
    """
    groups = [counted(count, name) for name, count in facts["groups"].items() if count]
    size = facts["diameter_um"], facts["diameter_px"]
    lines = {
        "data set": f"{facts['name']} (version {facts['version']}), {facts['path']}",
        **_terms(facts),
        "patches": _patches(facts["patches"], facts["patch_sizes"]),
        "objects": f"{facts['objects']:,}, {facts['objects_outlined']:,} of them outlined",
        "objects a patch": _quartiles(facts["objects_per_patch"]),
        "outlines of regions": _regions(facts["layers"].get("region", 0), facts["region_classes"]),
        "region maps": _maps(facts["with_regions"], facts["region_classes"]),
        "ignore area": _ignored(facts["with_ignore"], facts["layers"].get("ignore", 0)),
        "classes": _counts(facts["classes"] | ({"unclassified": n} if (n := facts["unclassified"]) else {})),
        "diameter": "; ".join(_quartiles(*pair) for pair in zip(size, ("um", "px"), strict=True) if pair[0]),
        "mpp": _counts(facts["mpp"]),
        "groups": ", ".join(
            [*groups, f"{counted(n, 'patch')} without a group"] if (n := facts["ungrouped"]) else groups
        ),
        "splits": _splits(facts["splits"]),
        "on two sides": ", ".join(counted(len(names), key) for key, names in facts["leakage"].items() if names),
        "partial": counted(n, "patch") if (n := facts["patches"] - facts["exhaustive"]) else "",
        "known problems": "\n".join(text for text in facts["known_problems"] if text not in told),
        "leakage notes": "\n".join(facts["leakage_notes"]),
        "notes": "\n".join(text for text in facts["notes"] if text not in told),
        "contact sheet": facts.get("sheet", ""),
    }
    return facts_table({name: text for name, text in lines.items() if text})


def _regions(outlines: int, classes: Mapping[str, int]) -> str:
    """How many outlines of tissue there are, and of which classes."""
    named = _counts({name: count for name, count in classes.items() if count})
    return f"{outlines:,}{f' ({named})' if named else ''}" if outlines else ""


def _maps(patches: int, classes: Mapping[str, int]) -> str:
    """How many patches have a map of tissue, and what it may say."""
    return f"{counted(patches, 'patch')}; classes {some(classes, 6)}" if patches else ""


def _patches(count: int, sizes: Mapping[str, int]) -> str:
    """How many patches there are, and how large."""
    named = {size.replace("x", " x "): n for size, n in sizes.items()}
    return f"{count:,} of {next(iter(named))} pixels" if len(named) == 1 else f"{count:,} ({_counts(named)})"


def _ignored(patches: int, outlines: int) -> str:
    """In how many patches something counts for nothing, and how many outlines say so."""
    return ", ".join(counted(count, noun) for count, noun in ((patches, "patch"), (outlines, "outline")) if count)


def _counts(counts: Mapping[str, int], most: int = 6) -> str:
    shown = [f"{name}: {count:,}" for name, count in list(counts.items())[:most]]
    return ", ".join(shown) + (f" and {len(counts) - most:,} more" if len(counts) > most else "")


def _terms(facts: Mapping[str, Any]) -> dict[str, str]:
    """The licence, and for data sets that were put together the commercial use that is left, once."""
    licence = facts["licence"] or "not stated"
    if "commercial_use" not in facts:
        return {"licence": licence}
    return {"licence": licence.partition(" (together: ")[0], "commercial use": facts["commercial_use"]}


def _splits(splits: Mapping[str, Mapping[str, int]]) -> str:
    """Patches and objects of each split; nothing where there is none."""
    if list(splits) == ["none"]:
        return ""
    return "; ".join(
        f"{name}: {counted(n['patches'], 'patch')}, {counted(n['objects'], 'object')}" for name, n in splits.items()
    )


def _quartiles(values: list[float] | None, unit: str = "") -> str:
    """The median and the middle half."""
    if values is None:
        return ""
    low, middle, high = (f"{value:,.6g}" for value in values)
    return f"{middle} {unit}".rstrip() + f" (middle half {low} to {high})"


attach(app)
