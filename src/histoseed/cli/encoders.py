"""``histoseed encoders list | show | robustness``."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from histoseed.cli.commands import Commands
from histoseed.cli.options import DatasetFolder, Device, Json, Mpp, Overwrite, Quiet, Seed
from histoseed.cli.output import Output, facts_table, rows_table

if TYPE_CHECKING:
    from histoseed.metrics import Interval

__all__ = ["app"]

app = Commands(help="Encoders: what they are and what they may be used for.")


class _Group(enum.StrEnum):
    histoseed = "histoseed"
    pathology = "pathology"
    general = "general"
    segment_anything = "segment-anything"


def _count(text: str) -> float:
    """A number of parameters: 86M, 1.1B, 22056576, 1e8.

    Raises:
        InputError: no number.
    """
    from histoseed.errors import InputError

    scale = {"k": 1e3, "m": 1e6, "b": 1e9}.get(text[-1:].lower())
    try:
        return float(text[:-1]) * scale if scale else float(text)
    except ValueError as error:
        fix = "Give for instance 100M or 1.2e9."
        raise InputError(f"{text!r} is no number of parameters.", where="--max-params", fix=fix) from error


@app.command("list")
def list_(
    pattern: Annotated[
        str, typer.Argument(metavar="[PATTERN]", help="Shell wildcard; timm:... searches all of timm.")
    ] = "*",
    group: Annotated[
        _Group | None,
        typer.Option(
            "--group",
            metavar="NAME",
            help="Only encoders of histoseed, or made for pathology, general or segment-anything.",
            show_default=False,
        ),
    ] = None,
    commercial: Annotated[
        bool, typer.Option("--commercial", help="Only where the licence is known to allow commercial use.")
    ] = False,
    free: Annotated[bool, typer.Option("--free", help="Only weights that need no login and no permission.")] = False,
    max_params: Annotated[
        str | None, typer.Option("--max-params", metavar="N", help="Most parameters, for instance 100M or 1.2e9.")
    ] = None,
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """List the encoders that `adapt --encoder` takes; nothing is downloaded.

    Example: [cyan]histoseed encoders list[/cyan]

    Small ones for a product: [cyan]histoseed encoders list --commercial --max-params 100M[/cyan]

    All ConvNeXt of timm: [cyan]histoseed encoders list 'timm:convnext*'[/cyan]
    """
    from histoseed.encoders import list_encoders, why_unavailable

    out = Output("encoders list", json=json, quiet=quiet, overwrite=overwrite)
    cards = list_encoders(
        pattern,
        commercial=True if commercial else None,
        gated=False if free else None,
        max_params=None if max_params is None else _count(max_params),
        group=None if group is None else group.value,
    )
    rows = []
    for card in cards:
        size = "" if card.params is None else f"{card.params / 1e6:.1f} M"
        ready = why_unavailable(card) or ("gated" if card.gated != "none" else "")
        rows.append((card.name, size, card.licence or "not stated", card.commercial, ready))
    if rows:
        out.say(rows_table(["name", "parameters", "licence", "commercial", "note"], rows, right=["parameters"]))
    else:
        out.say(f"No encoder matches {pattern!r} and the other conditions.")
    out.say("Any other architecture of timm is timm:ARCH[.TAG]; `histoseed encoders show NAME` tells all of one.")
    out.result({"encoders": [card.as_dict() | {"unavailable": why_unavailable(card)} for card in cards]})


@app.command("show")
def show(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="For instance dinov2-small, timm:resnet18, or the path of a model.")
    ],
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Print the card of one encoder: licence, access, whether its weights are here, input, depths, sources.

    Example: [cyan]histoseed encoders show dinov2-small[/cyan]

    Every field of the card: [cyan]histoseed encoders show dinov2-small --json -[/cyan]
    """
    from histoseed.cli.encoder_card import card_in_words
    from histoseed.encoders import choose_encoder, why_no_weights, why_unavailable

    out = Output("encoders show", json=json, quiet=quiet, overwrite=overwrite)
    chosen = choose_encoder(name)
    card = chosen.card
    out.say(facts_table(card_in_words(chosen)))
    missing = why_no_weights(card) if chosen.weights == "hub" else None
    out.result(card.as_dict() | {"unavailable": why_unavailable(card), "weights_missing": missing})


class _Level(enum.StrEnum):
    patch = "patch"
    nucleus = "nucleus"


@app.command("robustness")
def robustness(
    dataset: DatasetFolder,
    encoders: Annotated[
        list[str] | None,
        typer.Option("--encoder", "-e", metavar="E", help="Name or path, as for adapt; may be given several times."),
    ] = None,
    weights: Annotated[
        str | None, typer.Option("--weights", metavar="W", help="Of all of them: hub, random, bundled, or a file.")
    ] = None,
    levels: Annotated[
        list[_Level] | None,
        typer.Option(
            "--level",
            metavar="NAME",
            help="patch: squares of 64 um; nucleus: single nuclei (default: what the data allow).",
        ),
    ] = None,
    most: Annotated[
        int, typer.Option("--samples", min=2, metavar="N", help="Most samples of a class in a centre.")
    ] = 200,
    neighbours: Annotated[
        int | None,
        typer.Option("--neighbours", "-k", min=1, metavar="K", help="Default: what predicts the class best."),
    ] = None,
    mpp: Mpp = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Measure whether embeddings know the tissue, or the centre it comes from (robustness index).

    PathoROB: 0 the centre decides, 0.5 neither, 1 the class decides. De Jong et al.: above 1 the class decides.

    The data set must name centres that share classes: organs, or classes of nuclei.

    Example: [cyan]histoseed encoders robustness data/mine --encoder bundled --encoder dinov2-small[/cyan]
    """
    from histoseed.workflows.encoder_robustness import LEVELS, encoder_robustness

    out = Output("encoders robustness", json=json, quiet=quiet, overwrite=overwrite)
    chosen = [level for level in LEVELS if not levels or _Level(level) in levels]
    with out.progress() as progress:
        found = encoder_robustness(
            dataset, encoders or ["bundled"], weights=weights, levels=chosen, most=most, k=neighbours, mpp=mpp,
            seed=seed, device=device, progress=progress,
        )  # fmt: skip
    rows = [
        (
            one.encoder, one.weights, one.level, _with_interval(one.index.pathorob), _with_interval(one.index.dejong),
            str(one.index.k), f"{one.index.accuracy:.3f}", f"{one.index.centre_accuracy:.3f}",
            f"{one.index.samples:,}",
        )
        for one in found
    ]  # fmt: skip
    numbers = ["PathoROB", "de Jong", "k", "class", "centre", "samples"]
    out.say(
        rows_table(["encoder", "weights", "level", *numbers], rows, right=numbers),
        "In brackets: 95 % interval over cases. class, centre: balanced accuracy of k neighbours; 0.5 is chance.",
    )
    out.warn(sorted({f"{one.level}: {remark}" for one in found for remark in one.remarks}))
    out.result({"dataset": str(dataset), "encoders": [one.as_dict() for one in found]})


def _with_interval(interval: Interval) -> str:
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
