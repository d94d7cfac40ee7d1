"""``histoseed model show | export | import``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histoseed.cli.commands import Commands
from histoseed.cli.options import Json, Out, Overwrite, Quiet
from histoseed.cli.output import Output, facts_table, rows_table
from histoseed.wording import counted

if TYPE_CHECKING:
    from rich.table import Table

    from histoseed.workflows.model_bundle import Shown

__all__ = ["app"]

app = Commands(help="Models: what they are, what their licences allow, and one file to pass them on.")

_DECISIONS = {
    "open": "to anybody",
    "private": "with --private only, to people who have accepted the licences of all parts",
    "never": "not as it is",
}


@app.command("show")
def show(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="[bold]bundled[/bold], a model folder, or a bundle.")],
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Print what a model is, what it was made from, and to whom it may be passed on.

    Example: [cyan]histoseed model show models/mine[/cyan]
    """
    from histoseed.workflows.model_bundle import show_model

    out = Output("model show", json=json, quiet=quiet, overwrite=overwrite)
    shown = show_model(model)
    out.say(_facts(shown), "", _parts(shown))
    out.result(shown.as_dict())


@app.command("export")
def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="[bold]bundled[/bold], or a model folder.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="FILE.histoseed.zip to write.")],
    private: Annotated[
        bool,
        typer.Option(
            "--private/--open",
            help="private: for people who have accepted the licences of all parts; open: for anybody.",
        ),
    ] = False,
    without_encoder: Annotated[
        bool,
        typer.Option("--without-encoder", help="Leave the encoder's published weights out; they are fetched by hash."),
    ] = False,
    without_groups: Annotated[
        bool, typer.Option("--without-groups", help="Leave out the names of patients and slides it was trained on.")
    ] = False,
    merge: Annotated[
        bool, typer.Option("--merge", help="Add the updates of LoRA to the encoder's weights, where allowed.")
    ] = False,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Add model.onnx: the raw maps, held against the model before it is written.")
    ] = False,
    licence: Annotated[
        list[str] | None,
        typer.Option("--licence", metavar="PART=ID", help="Licence of a part that states none; may be repeated."),
    ] = None,
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Write a model into one file, if the licences of all its parts allow it.

    Example: [cyan]histoseed model export models/mine --out mine.histoseed.zip[/cyan]

    On an encoder that others must fetch: [cyan]histoseed model export m --out m.histoseed.zip --without-encoder[/cyan]

    Your own data: [cyan]histoseed model export m --out m.histoseed.zip --licence data:mine=CC-BY-4.0[/cyan]
    """
    from histoseed.workflows.model_bundle import export_model

    output = Output("model export", json=json, quiet=quiet, overwrite=overwrite)
    with output.working("Checking and packing the model"):
        shown = export_model(
            model, out=out, target="private" if private else "open", without_encoder=without_encoder,
            without_groups=without_groups, merge=merge, onnx=onnx, licences=_stated(licence or []),
            overwrite=overwrite,
        )  # fmt: skip
    output.say(_facts(shown), "", _parts(shown))
    output.say(f"\nUnpack it: histoseed model import {out} --out FOLDER")
    named = sum(len(one.groups) for one in shown.card.data)
    if named:
        groups = f"model.json names {counted(named, 'group')} of the training data (patients, slides)"
        output.warn([f"{groups}, so that nobody scores the model on them; --without-groups leaves them out."])
    if private:
        output.warn(["This bundle is private: it must not be published. LICENCES.txt in it says why."])
    output.result(shown.as_dict())


@app.command("import")
def import_(
    bundle: Annotated[Path, typer.Argument(metavar="FILE", help="What `histoseed model export` wrote.")],
    out: Out,
    fetch: Annotated[
        bool,
        typer.Option("--fetch/--no-fetch", help="Get encoder weights that are not in the bundle now, by their hash."),
    ] = True,
    store: Annotated[
        Path | None,
        typer.Option("--store", metavar="DIR", help="Store of weights (default: weights in HISTOSEED_CACHE_DIR)."),
    ] = None,
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Take a model out of a bundle; hashes, tensors and licences are looked at before the folder appears.

    Example: [cyan]histoseed model import mine.histoseed.zip --out models/mine[/cyan]
    """
    from histoseed.workflows.model_bundle import import_model

    output = Output("model import", json=json, quiet=quiet, overwrite=overwrite)
    with output.working("Checking and unpacking the model"):
        shown = import_model(bundle, out=out, fetch=fetch, store=store, overwrite=overwrite)
    output.say(_facts(shown), "", _parts(shown))
    output.say(f"\nUse it: histoseed segment SLIDE --model {out} --out RESULT")
    if (shown.manifest or {}).get("target") != "open":
        listed = "; ".join(part.sentence() for part in shown.parts if part.decision != "open")
        output.warn([f"This model is private and must not be published: {listed}."])
    output.result(shown.as_dict())


def _stated(given: list[str]) -> dict[str, str]:
    from histoseed.errors import InputError

    stated = {}
    for entry in given:
        part, is_set, licence = entry.rpartition("=")
        if not is_set or not part or not licence:
            fix = "Write --licence encoder=ID or --licence 'data:NAME=ID'."
            raise InputError(f"{entry!r} states no licence.", where="--licence", fix=fix)
        stated[part] = licence
    return stated


def _facts(shown: Shown) -> Table:
    card = shown.card
    entry = card.encoder
    kept = "stored with the model" if entry.stored else "fetched from the store or the hub"
    facts = {
        "model": f"{card.name}, {shown.path}",
        "finds": card.task,
        "classes": ", ".join(card.class_names) or "none",
        "resolution": f"{card.mpp:g} um a pixel",
        "encoder": f"{entry.name}, weights {kept}{', changed by training' if card.encoder_changed else ''}",
        "decoder": card.decoder.kind,
        "method": "not stated" if card.method is None else card.method.name,
        "may be passed on": _DECISIONS[shown.decision],
    }
    manifest = shown.manifest
    if manifest is not None:
        listed = ", ".join(f"{name} ({_size(one['bytes'])})" for name, one in manifest["files"].items())
        facts |= {"bundle": f"{manifest.get('target')}: {listed}"}
        graph = manifest.get("onnx")
        if graph:
            facts["ONNX"] = (
                f"{graph['input']['name']} {graph['input']['shape']} -> {graph['output']['name']} "
                f"{graph['output']['shape']}, differs by {graph['largest_difference']:g} at most "
                f"(allowed: {graph['tolerance']:g})"
            )
    return facts_table(facts)


def _size(count: int) -> str:
    return f"{count / 1e3:.1f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"


def _parts(shown: Shown) -> Table:
    rows = [
        (part.key, part.name, part.licence or "not stated", part.commercial, "yes" if part.gated else "no", part.use,
         part.decision)
        for part in shown.parts
    ]  # fmt: skip
    return rows_table(["part", "name", "licence", "commercial", "gated", "use", "export"], rows)
