"""``histoseed encoders list | show``."""

from __future__ import annotations

from typing import Annotated

import typer

from histoseed.cli.options import Json, Overwrite, Quiet
from histoseed.cli.output import Output, facts_table, plain_values, rows_table

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True, help="Encoders: what they are and what they may be used for.", rich_markup_mode="rich"
)


@app.command("list")
def list_(
    pattern: Annotated[
        str, typer.Argument(metavar="[PATTERN]", help="Shell wildcard; timm:... searches all of timm.")
    ] = "*",
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """List the encoders that `adapt --encoder` takes; nothing is downloaded.

    Example: [cyan]histoseed encoders list[/cyan]

    All ConvNeXt of timm: [cyan]histoseed encoders list 'timm:convnext*'[/cyan]
    """
    from histoseed.encoders import list_cards, why_unavailable

    out = Output("encoders list", json=json, quiet=quiet, overwrite=overwrite)
    cards = list_cards(pattern)
    rows = []
    for card in cards:
        size = "" if card.params is None else f"{card.params / 1e6:.1f} M"
        ready = why_unavailable(card) or ("gated" if card.gated != "none" else "")
        rows.append((card.name, size, card.licence or "not stated", card.commercial, ready))
    if rows:
        out.say(rows_table(["name", "parameters", "licence", "commercial", "note"], rows, right=["parameters"]))
    else:
        out.say(f"No encoder matches {pattern!r}.")
    out.say("Any other architecture of timm is timm:ARCH[.TAG]; `histoseed encoders show NAME` tells all of one.")
    out.result({"encoders": [card.as_dict() | {"unavailable": why_unavailable(card)} for card in cards]})


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME", help="For instance dinov2-small or timm:resnet18.")],
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Print the card of one encoder: licence, input, depths, where its weights are and where each fact comes from.

    Example: [cyan]histoseed encoders show dinov2-small[/cyan]
    """
    from histoseed.encoders import get_card, why_unavailable

    out = Output("encoders show", json=json, quiet=quiet, overwrite=overwrite)
    card = get_card(name)
    facts = card.as_dict() | {"unavailable": why_unavailable(card)}
    out.say(facts_table({key: _in_words(value) for key, value in plain_values(facts).items()}))
    out.result(facts)


def _in_words(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{key} = {one}" for key, one in value.items()) or "-"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
