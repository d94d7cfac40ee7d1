"""``histoseed dataset leakage | diff | merge | windows``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from histoseed.cli.options import Json, Mpp, Out, Overwrite, Quiet
from histoseed.cli.output import Output, facts_table, rows_table
from histoseed.errors import InputError
from histoseed.wording import counted

__all__ = ["attach"]

_FOUND = 3
"""Exit code of ``dataset leakage --fail`` where something is shared."""

_SHOWN = 20
"""Findings that are printed; the others are in the JSON and the CSV."""

_Text = str | None


def attach(app: typer.Typer) -> None:
    """Add the commands to the group ``histoseed dataset``."""
    app.command("leakage")(leakage)
    app.command("diff")(diff)
    app.command("merge")(merge)
    app.command("windows")(windows)


def leakage(
    datasets: Annotated[list[Path], typer.Argument(metavar="DS...", help="Data sets in the common format.")],
    images: Annotated[bool, typer.Option("--images/--no-images", help="Compare pictures, not only names.")] = True,
    overlaps: Annotated[
        bool, typer.Option("--overlaps/--no-overlaps", help="Look for crops that share pixels.")
    ] = True,
    distance: Annotated[
        int,
        typer.Option(
            "--distance", min=0, max=11, metavar="N", help="Bits by which hashes of like pictures may differ."
        ),
    ] = 7,
    similarity: Annotated[
        float, typer.Option("--similarity", metavar="F", help="Least correlation of like pictures.")
    ] = 0.95,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="PATH", help="Write everything found as a table.")
    ] = None,
    fail: Annotated[bool, typer.Option("--fail", help="Exit with 3 where something is surely shared.")] = False,
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Find patients, slides and pictures that data sets share, or the splits of one data set.

    Names are compared by their TCGA barcode. Pictures are compared over flips, turns and small changes of intensity;
    crops that overlap are found where their pixels are equal.

    Example: [cyan]histoseed dataset leakage data/train data/test --fail[/cyan]
    """
    from histoseed.workflows.dataset_leakage import leakage_data

    out = Output("dataset leakage", json=json, quiet=quiet, overwrite=overwrite)
    with out.progress() as progress:
        facts = leakage_data(
            datasets, images=images, overlaps=overlaps, distance=distance, similarity=similarity, csv=csv,
            overwrite=overwrite, progress=progress,
        )  # fmt: skip
    out.warn(facts["notes"])
    out.say(*_leakage_tables(facts))
    out.result(facts)
    if fail and facts["found"]:
        raise typer.Exit(_FOUND)


def _leakage_tables(facts: Mapping[str, Any]) -> list[Any]:
    if not facts["findings"]:
        return ["Nothing is shared."]
    columns = ["kind", "a", "b", "shared", ""]
    rows = [
        (row["kind"], _side(row, "a"), _side(row, "b"), f"{row['shared']:,}", "" if row["sure"] else "by name only")
        for row in facts["summary"]
    ]
    found = sorted(facts["findings"], key=lambda row: not row["sure"])
    listed = [(row["kind"], _side(row, "a"), _side(row, "b"), row["name"], _detail(row)) for row in found[:_SHOWN]]
    parts: list[Any] = [rows_table(columns, rows, right=["shared"]), ""]
    parts.append(rows_table(["kind", "a", "b", "what", ""], listed))
    if len(found) > _SHOWN:
        parts.append(f"... and {len(found) - _SHOWN:,} more; --json and --csv hold all of them.")
    return parts


def _side(row: Mapping[str, Any], side: str) -> str:
    return " ".join(text for text in (row[side], row[f"part_{side}"]) if text)


def _detail(row: Mapping[str, Any]) -> str:
    if row["similarity"] is not None:
        return f"{row['similarity']:.3f}, {row['detail']}"
    return row["detail"] or f"{row['patches_a']:,} and {counted(row['patches_b'], 'patch')}"


def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="One version of a data set.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The other version.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder for the tables and the picture.")
    ] = None,
    by_image: Annotated[
        bool, typer.Option("--by-image", help="Pair patches of equal pixels, whatever their ids.")
    ] = False,
    match_iou: Annotated[
        float, typer.Option("--match-iou", metavar="F", help="Least IoU at which two outlines can be one object.")
    ] = 0.1,
    kept_iou: Annotated[
        float, typer.Option("--kept-iou", metavar="F", help="Least IoU at which an outline counts as unchanged.")
    ] = 1.0,
    radius: Annotated[
        float, typer.Option("--radius", metavar="UM", help="Largest distance of two points that can be one object.")
    ] = 3.0,
    pictures: Annotated[int, typer.Option("--pictures", min=0, metavar="N", help="Most patches on the picture.")] = 12,
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Compare two versions of a data set object by object: kept, moved, reclassed, added, removed.

    Example: [cyan]histoseed dataset diff data/original data/cleaned --out changes[/cyan]
    """
    from histoseed.workflows.dataset_diff import diff_data

    output = Output("dataset diff", json=json, quiet=quiet, overwrite=overwrite)
    with output.progress() as progress:
        facts = diff_data(
            a, b, out=out, by_image=by_image, match_iou=match_iou, kept_iou=kept_iou, radius_um=radius,
            pictures=pictures, overwrite=overwrite, progress=progress,
        )  # fmt: skip
    output.say(*_diff_tables(facts))
    if out is not None:
        output.say(f"Tables and picture: {out}")
    output.result(facts)


def _diff_tables(facts: Mapping[str, Any]) -> list[Table]:
    columns = list(next(iter(facts["objects"].values()), {}))
    rows = [(layer, *(f"{n:,}" for n in counts.values())) for layer, counts in facts["objects"].items()]
    patches = facts["patches"]
    lines = {
        "patches": f"{patches['in_both']:,} in both, {patches['unchanged']:,} of them unchanged",
        "only in A": counted(patches["only_a"], "patch") if patches["only_a"] else "",
        "only in B": counted(patches["only_b"], "patch") if patches["only_b"] else "",
        "IoU of what moved": ""
        if facts["moved_iou"] is None
        else "{1:g} (middle half {0:g} to {2:g})".format(*facts["moved_iou"]),
        "reclassed": ", ".join(f"{names}: {n:,}" for names, n in facts["classes"].items()),
        "other changes": ", ".join(f"{name}: {counted(n, 'patch')}" for name, n in facts["facts"].items()),
    }
    table = rows_table(["objects", *columns], rows, right=columns)
    return [table, facts_table({name: text for name, text in lines.items() if text})]


def merge(
    datasets: Annotated[
        list[Path] | None, typer.Argument(metavar="DS...", help="Data sets in the common format, two or more.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder to write; absent or empty.")
    ] = None,
    class_map: Annotated[
        _Text,
        typer.Option("--map", metavar="FILE|NAME", help="Class map: a TOML file, or a ready one (--list-maps)."),
    ] = None,
    name: Annotated[_Text, typer.Option("--name", metavar="TEXT", help="Name of the new data set.")] = None,
    slides: Annotated[
        Path | None, typer.Option("--slides", metavar="DIR", help="Folder of whole slides outside the data sets.")
    ] = None,
    list_maps: Annotated[
        bool, typer.Option("--list-maps", help="Show the ready class maps, and what they lose.")
    ] = False,
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Put data sets together, their classes by a map; files, ids, groups and problems are kept.

    Example: [cyan]histoseed dataset merge data/pannuke data/lizard --map common --out data/both[/cyan]
    """
    from histoseed.cli.dataset import summary
    from histoseed.workflows.dataset_merge import list_class_maps, merge_data

    output = Output("dataset merge", json=json, quiet=quiet, overwrite=overwrite)
    if list_maps:
        maps = list_class_maps()
        for one in maps:
            lines = {key: "\n".join(one[key]) for key in ("origin", "lossy")}
            sets = {"data sets": ", ".join(one["datasets"]), "classes": ", ".join(one["classes"])}
            output.say(facts_table({one["name"]: one["about"], **sets, **lines}), "")
        output.result({"maps": maps})
        return
    if not datasets or len(datasets) < 2:
        raise InputError("A merge needs two data sets at least.", where="DS", fix="Name their folders.")
    if out is None:
        raise InputError("Where is it to be written?", where="--out", fix="Name a folder that is absent or empty.")
    with output.progress() as progress:
        facts = merge_data(
            datasets, out, class_map=class_map, name=name, slides=slides, overwrite=overwrite, progress=progress
        )
    output.warn(facts["lossy"])
    output.say(summary(facts))
    output.result(facts)


def windows(
    slides: Annotated[Path, typer.Argument(metavar="SLIDES", help="A slide, or a folder of slides.")],
    annotations: Annotated[
        Path,
        typer.Argument(
            metavar="ANNOTATIONS", help="A file of annotations, or a folder of them, named like the slides."
        ),
    ],
    out: Out,
    dezoom: Annotated[
        float, typer.Option("--dezoom", metavar="F", help="Side of a window through the side of the object's box.")
    ] = 2.0,
    size: Annotated[int, typer.Option("--size", metavar="PX", help="Most pixels of the longer side.")] = 1024,
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="NAME", help="Only objects of this class get a window; repeatable."),
    ] = None,
    leave_out: Annotated[
        list[str] | None,
        typer.Option("--leave-out", metavar="NAME", help="Pass over objects of this class; repeatable."),
    ] = None,
    complete: Annotated[bool, typer.Option("--complete", help="Every object in the windows is annotated.")] = False,
    boxes: Annotated[
        bool, typer.Option("--boxes", help="Outlines that are upright rectangles are boxes (QuPath has no others).")
    ] = False,
    mpp: Mpp = None,
    from_: Annotated[
        _Text, typer.Option("--from", metavar="FORMAT", help="Format of the annotations, where it is not recognised.")
    ] = None,
    name: Annotated[_Text, typer.Option("--name", metavar="TEXT", help="Name of the data set.")] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, metavar="N", help="Windows read at once (default: one a processor)."),
    ] = None,
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Cut one window an annotation out of slides: the object, whatever its size, with its surroundings.

    An interrupted run goes on when the same command is given again.

    Example: [cyan]histoseed dataset windows slides/ annotations/ --dezoom 2 --size 1024 --out data/windows[/cyan]
    """
    from histoseed.cli.dataset import summary
    from histoseed.workflows.dataset_windows import cut_windows

    output = Output("dataset windows", json=json, quiet=quiet, overwrite=overwrite)
    with output.progress() as progress:
        facts = cut_windows(
            slides, annotations, out, name=name, dezoom=dezoom, size=size, classes=classes or (),
            leave_out=leave_out or (), exhaustive=complete, boxes=boxes, mpp=mpp, format_name=from_, workers=workers,
            overwrite=overwrite, progress=progress,
        )  # fmt: skip
    output.say(summary(facts))
    output.result(facts)
