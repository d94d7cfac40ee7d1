"""``histoseed weights get | list | verify``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from histoseed.cli.commands import Commands
from histoseed.cli.options import Json, Overwrite, Quiet
from histoseed.cli.output import Output, rows_table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from histoseed.workflows.weights import Stored

__all__ = ["app"]

app = Commands(help="Weights of encoders: a hashed store that can be copied to a machine without network.")

Store = Annotated[
    Path | None,
    typer.Option("--store", metavar="DIR", help="Folder of the store (default: weights in HISTOSEED_CACHE_DIR)."),
]


@app.command("get")
def get(
    encoders: Annotated[list[str], typer.Argument(metavar="NAME...", help="See `histoseed encoders list`.")],
    file: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Take this file, where the authors hand it out elsewhere."),
    ] = None,
    store: Store = None,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Compare every tensor with the network before trusting the file.")
    ] = True,
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Fetch weights once, with their revision, hash and licence; what the store has already is only checked.

    Example: [cyan]histoseed weights get dinov2-small phikon-v2[/cyan]

    For a cluster without network: [cyan]histoseed weights get uni2-h --store weights[/cyan], copy the folder to
    ~/.cache/histoseed/weights there.

    A file from elsewhere: [cyan]histoseed weights get hipt-vit256 --from vit256_small_dino.pth[/cyan]
    """
    from histoseed.errors import InputError
    from histoseed.workflows.weights import fetchable, get_weights

    out = Output("weights get", json=json, quiet=quiet, overwrite=overwrite)
    if file is not None and len(encoders) > 1:
        raise InputError("One file belongs to one encoder.", where="--from", fix="Name one encoder.")
    for name in encoders:  # a slip in the last name is told before anything is fetched
        fetchable(name)
    stored = []
    for name in encoders:
        with out.working(f"Fetching {name}"):
            stored.append(get_weights(name, file=file, store=store, check=check))
    out.say(*_shown(stored))
    out.result({"weights": [one.as_dict() for one in stored]})


@app.command("list")
def list_(store: Store = None, json: Json = None, overwrite: Overwrite = False, quiet: Quiet = False) -> None:
    """List what the store holds; nothing is read or downloaded.

    Example: [cyan]histoseed weights list[/cyan]
    """
    from histoseed.workflows.weights import list_weights

    out = Output("weights list", json=json, quiet=quiet, overwrite=overwrite)
    stored = list_weights(store=store)
    out.say(*(_shown(stored) if stored else ["The store is empty; `histoseed weights get NAME` fills it."]))
    out.result({"weights": [one.as_dict() for one in stored]})


@app.command("verify")
def verify(
    encoders: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="Only these; all if left out.")
    ] = None,
    store: Store = None,
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Hash every file anew, for instance after copying the store; exit code 2 where one is missing or changed.

    Example: [cyan]histoseed weights verify[/cyan]
    """
    from histoseed.workflows.weights import to_renew, verify_weights

    out = Output("weights verify", json=json, quiet=quiet, overwrite=overwrite)
    with out.working("Hashing"):
        stored = verify_weights(encoders, store=store)
    bad = [one for one in stored if one.status != "ok"]
    out.say(*(_shown(stored) if stored else ["The store is empty."]))
    for one in bad:
        what = f"Not as recorded: {one.record.encoder} is {one.status}, {one.path}"
        out.warn(["\n  ".join([f"{what}\nTo have it again:", *to_renew(one, store=store)])])
    out.result({"ok": not bad, "weights": [one.as_dict() for one in stored]})
    if bad:
        raise typer.Exit(2)


def _shown(stored: list[Stored]) -> list[RenderableType]:
    """A table, and the files below it: a path that is folded cannot be copied."""
    rows = [
        (
            one.record.encoder, one.status, f"{one.record.bytes / 1e6:.1f} MB", one.record.sha256[:12],
            (one.record.revision or "")[:10], one.record.licence or "not stated", one.record.commercial,
        )
        for one in stored
    ]  # fmt: skip
    columns = ["encoder", "status", "size", "sha256", "revision", "licence", "commercial"]
    return [rows_table(columns, rows, right=["size"]), "", *(f"{one.record.encoder}: {one.path}" for one in stored)]
