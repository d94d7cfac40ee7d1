"""The options of ``histoseed adapt --task prompt``, and what it says at the end."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from histoseed.cli.options import PROMPTS
from histoseed.cli.output import Output, facts_table
from histoseed.errors import InputError
from histoseed.wording import counted

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "Accumulate",
    "Also",
    "Curriculum",
    "Epochs",
    "Fusion",
    "Histology",
    "Jitter",
    "Loss",
    "MaxObjects",
    "PresetName",
    "PromptOptions",
    "Prompts",
    "Split",
    "Tiles",
    "run_prompts",
    "shares_of",
]


class _Loss(enum.StrEnum):
    bce = "bce"
    bce_iou = "bce-iou"
    focal_dice_iou = "focal-dice-iou"


class _Curriculum(enum.StrEnum):
    mixed = "mixed"
    growing = "growing"


class _Preset(enum.StrEnum):
    published = "published"


Prompts = Annotated[
    str | None,
    typer.Option(
        "--prompts",
        metavar="WHAT",
        help="What users say: box, box+1pos, mask:scribble, all (default) ...; a combination also trains on its parts, "
        "box,1pos on these alone.",
        rich_help_panel=PROMPTS,
    ),
]
Jitter = Annotated[
    str | None,
    typer.Option(
        "--jitter",
        metavar="LENGTH",
        help="Largest move of each side of a box: 1um (default), 4px, 10% of the object, 20w.",
        rich_help_panel=PROMPTS,
    ),
]
Loss = Annotated[
    _Loss | None,
    typer.Option(
        "--loss",
        metavar="NAME",
        help="bce; bce-iou: with the error of the expected IoU (default); focal-dice-iou: as SAM was trained.",
        rich_help_panel=PROMPTS,
    ),
]
Curriculum = Annotated[
    _Curriculum | None,
    typer.Option(
        "--curriculum",
        metavar="NAME",
        help="mixed: all combinations from the start (default); growing: those that say most first.",
        rich_help_panel=PROMPTS,
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option("--epochs", min=1, metavar="N", help="How often every object is shown.", rich_help_panel=PROMPTS),
]
Accumulate = Annotated[
    int | None,
    typer.Option("--accumulate", min=1, metavar="N", help="Batches an optimiser step.", rich_help_panel=PROMPTS),
]
MaxObjects = Annotated[
    int | None,
    typer.Option("--max-objects", min=1, metavar="N", help="Most objects that train.", rich_help_panel=PROMPTS),
]
Split = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="T,V,S",
        help="Deal groups out to training, validation and test: 0.7,0.15,0.15.",
        rich_help_panel=PROMPTS,
    ),
]
Also = Annotated[
    list[Path] | None,
    typer.Option("--also", metavar="DS", help="A further data set; repeatable.", rich_help_panel=PROMPTS),
]
PresetName = Annotated[
    _Preset | None,
    typer.Option(
        "--preset",
        metavar="NAME",
        help="published: rates, batches, epochs, prompts and split of the thesis Rapid Cytomine.",
        rich_help_panel=PROMPTS,
    ),
]
Fusion = Annotated[
    str | None,
    typer.Option(
        "--fusion",
        metavar="NAME",
        help="Join a histology encoder in: concat, cross-attention, refinement ...",
        rich_help_panel=PROMPTS,
    ),
]
Histology = Annotated[
    str | None,
    typer.Option("--histology", metavar="NAME", help="That encoder, such as uni.", rich_help_panel=PROMPTS),
]
Tiles = Annotated[
    int | None,
    typer.Option(
        "--tiles", min=1, metavar="N", help="Histology tiles along a side of a window.", rich_help_panel=PROMPTS
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptOptions:
    """What only ``--task prompt`` understands; None and empty where nothing was said."""

    prompts: str | None
    jitter: str | None
    loss: str | None
    curriculum: str | None
    epochs: int | None
    accumulate: int | None
    max_objects: int | None
    split: str | None
    also: tuple[Path, ...]
    preset: str | None
    fusion: str | None
    histology: str | None
    tiles: int | None

    def refuse(self) -> None:
        """Stop where another task was asked for.

        Raises:
            InputError: one of the options was given.
        """
        for field in fields(self):
            if getattr(self, field.name):
                option = f"--{field.name.replace('_', '-')}"
                raise InputError("Only promptable models are taught that way.", where=option, fix="Add --task prompt.")


def shares_of(text: str | None) -> tuple[float, float, float] | None:
    """``0.7,0.15,0.15`` as numbers.

    Raises:
        InputError: not three numbers.

    >>> shares_of("0.8,0.2,0")
    (0.8, 0.2, 0.0)
    """
    if text is None:
        return None
    try:
        training, validation, test = map(float, text.split(","))
    except ValueError as error:
        fix = "Give the shares of training, validation and test, for instance 0.7,0.15,0.15."
        raise InputError(f"{text!r} are not three numbers.", where="--split", fix=fix) from error
    return training, validation, test


def run_prompts(
    output: Output, dataset: Path, out: Path, how: PromptOptions, common: Mapping[str, Any], ignored: Mapping[str, Any]
) -> None:
    """Train, and say what came out.

    Args:
        output: Of the command.
        dataset: The first data set.
        out: Folder of the model.
        how: What only this task understands.
        common: Further arguments of :func:`histoseed.workflows.adaptation.prompted.adapt_prompts`.
        ignored: Options of other tasks, by name; one that was given is refused.

    Raises:
        InputError: an option of another task.
    """
    from histoseed.workflows.adaptation.prompted import adapt_prompts

    for name, value in ignored.items():
        if value:
            fix = "Leave it out, or leave out --task prompt."
            raise InputError("A promptable model is not taught that way.", where=name, fix=fix)
    own = {f.name: getattr(how, f.name) for f in fields(how) if f.name not in {"also", "split"}}
    with output.progress() as progress:
        model = adapt_prompts(
            [dataset, *how.also], out=out, shares=shares_of(how.split), progress=progress, **own, **common
        )
    result = _results(out)
    output.say(_table(model.name, out, result), f"Use it: histoseed prompt IMAGE --box X0,Y0,X1,Y1 --model {out}")
    output.result({"model": str(out), **result})


def _results(out: Path) -> dict[str, Any]:
    import json

    content = json.loads((out / "run.json").read_text("utf-8"))
    return {"seconds": content["timings"].get("training"), **content["results"]}


def _table(name: str, out: Path, result: Mapping[str, Any]) -> Table:
    objects = result["objects"]
    kept = f", {objects['val']:,} kept apart" if objects["val"] else ""
    return facts_table(
        {
            "model": f"{name}, {out}",
            "adapted on": f"{counted(objects['train'], 'object')}{kept}",
            "trained": f"{counted(result['steps'], 'step')}, {result['seconds']:.0f} s",
            str(result["score"]): f"{result['loss']:.4f} (Dice {result['dice']:.4f}), epoch {result['epoch']}",
        }
    )
