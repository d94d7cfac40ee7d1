"""``histoseed adapt``."""

from __future__ import annotations

import enum
import json as json_module
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from histoseed.cli.adapt_prompts import (
    Accumulate,
    Also,
    Curriculum,
    Epochs,
    Fusion,
    Histology,
    Jitter,
    Loss,
    MaxObjects,
    PresetName,
    PromptOptions,
    Prompts,
    Split,
    Tiles,
    run_prompts,
)
from histoseed.cli.options import (
    COMPUTING,
    DATA,
    MODEL,
    TRAINING,
    DatasetFolder,
    Device,
    Dtype,
    Json,
    Out,
    Overwrite,
    Quiet,
)
from histoseed.cli.output import Output, facts_table
from histoseed.errors import InputError
from histoseed.wording import counted

if TYPE_CHECKING:
    from histoseed.segmenters import Task
    from histoseed.workflows.adapt import Validation

__all__ = ["adapt"]


class _Decoder(enum.StrEnum):
    skip = "skip"
    cellvit = "cellvit"
    stardist = "stardist"
    instanseg = "instanseg"
    prompt = "prompt"


class _Task(enum.StrEnum):
    instance = "instance"
    semantic = "semantic"
    prompt = "prompt"


class _Classifier(enum.StrEnum):
    map = "map"
    tokens = "tokens"


class _Method(enum.StrEnum):
    frozen = "frozen"
    lora = "lora"
    adapter = "adapter"
    side_branch = "side-branch"
    bitfit = "bitfit"
    last_block = "last-block"
    full = "full"


class _Stain(enum.StrEnum):
    none = "none"
    macenko = "macenko"
    reinhard = "reinhard"


class _Select(enum.StrEnum):
    random = "random"
    diverse = "diverse"
    uncertain = "uncertain"


class _Validation(enum.StrEnum):
    none = "none"
    within = "within"
    by_split = "split"


def adapt(
    dataset: DatasetFolder,
    *,
    patches: Annotated[
        int | None,
        typer.Option(
            "--patches",
            "-n",
            min=1,
            metavar="N",
            help="Annotated crops of 64 um; all if left out.",
            rich_help_panel=DATA,
        ),
    ] = None,
    nuclei: Annotated[
        int | None,
        typer.Option(
            "--nuclei",
            min=1,
            metavar="M",
            help="Instead: crops until they show at least M nuclei.",
            rich_help_panel=DATA,
        ),
    ] = None,
    select: Annotated[
        _Select,
        typer.Option(
            "--select",
            metavar="HOW",
            help="Which crops: random; diverse: unlike one another; uncertain: where the start is unsure.",
            rich_help_panel=DATA,
        ),
    ] = _Select.random,
    ignore_unlabelled: Annotated[
        bool,
        typer.Option(
            "--ignore-unlabelled",
            help="Patches are partly annotated: only a 2 um ring is background.",
            rich_help_panel=DATA,
        ),
    ] = False,
    validation: Annotated[
        _Validation,
        typer.Option(
            "--validation",
            metavar="HOW",
            help="none; within: keep a quarter of the patches apart, return the best; split: the split val (prompts).",
            rich_help_panel=DATA,
        ),
    ] = _Validation.none,
    mpp: Annotated[
        float | None,
        typer.Option(
            "--mpp",
            metavar="F",
            help="Microns per pixel of patches that state none.",
            rich_help_panel=DATA,
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            "-e",
            metavar="NAME",
            help="See `histoseed encoders list`, or the path of a model or checkpoint; bundled: the bundled model "
            "(default). For prompts also a SAM, such as sam2.1-hiera-b+.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            metavar="NAME",
            help="hub, random, bundled, or a file (default: hub; of bundled: bundled).",
            rich_help_panel=MODEL,
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--start",
            metavar="MODEL",
            help="Go on from this model folder instead of an encoder.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    task: Annotated[
        _Task | None,
        typer.Option(
            "--task",
            metavar="NAME",
            help="instance: nuclei one by one (default); semantic: a class a pixel, of regions or of nuclei; prompt: a "
            "box or a click becomes an outline.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    decoder: Annotated[
        _Decoder | None,
        typer.Option(
            "--decoder",
            metavar="NAME",
            help="Architecture and representation: skip, cellvit, stardist or instanseg (default: that of the start, "
            "else skip); prompt: that of --task prompt.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    method: Annotated[
        _Method | None,
        typer.Option(
            "--method",
            metavar="NAME",
            help="What trains beside the decoder: frozen: nothing (default for --task prompt), full: everything "
            "(otherwise the default for bundled), or lora, adapter, side-branch, bitfit, last-block.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    classifier: Annotated[
        _Classifier | None,
        typer.Option(
            "--classifier",
            metavar="NAME",
            help="Classes from a map (default), or from the encoder's tokens in each cell's box.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VAL",
            help="A field of model.json: decoder.shared=true, method.rank=16, ...; repeatable.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    model_mpp: Annotated[
        float | None,
        typer.Option(
            "--model-mpp",
            metavar="F",
            help="Microns per pixel of the network (default: that of the start, else 0.25).",
            rich_help_panel=MODEL,
        ),
    ] = None,
    stain: Annotated[
        _Stain | None,
        typer.Option(
            "--stain",
            metavar="NAME",
            help="Stain normalisation, kept in the model: none, macenko or reinhard (default: that of the start, or "
            "none).",
            rich_help_panel=MODEL,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="TEXT", help="Name of the model.", rich_help_panel=MODEL)
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            min=1,
            metavar="N",
            help="Optimiser steps (default: 80 from a model, else 600).",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option("--batch", min=1, metavar="N", help="Crops a step (default: 8).", rich_help_panel=TRAINING),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            "--learning-rate",
            metavar="F",
            help="Peak of the schedule (default: 0.001 from a model, else 0.002).",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    balance: Annotated[
        float | None,
        typer.Option(
            "--balance",
            metavar="G",
            help="Draw rare classes and organs more often: 0 (default) to 1; CellViT: 0.85.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    start_share: Annotated[
        float | None,
        typer.Option(
            "--start-share",
            metavar="F",
            help="Weight of the start in the final average, 0 to 1 (default: 0.5 where it knows the tissue, else 0).",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    prompts: Prompts = None,
    jitter: Jitter = None,
    loss: Loss = None,
    curriculum: Curriculum = None,
    epochs: Epochs = None,
    accumulate: Accumulate = None,
    max_objects: MaxObjects = None,
    split: Split = None,
    also: Also = None,
    preset: PresetName = None,
    fusion: Fusion = None,
    histology: Histology = None,
    tiles: Tiles = None,
    seed: Annotated[
        int,
        typer.Option("--seed", min=0, metavar="N", help="Seed of every random choice.", rich_help_panel=TRAINING),
    ] = 0,
    checkpointing: Annotated[
        bool,
        typer.Option(
            "--checkpointing",
            help="Less memory, more time: compute the encoder's activations twice.",
            rich_help_panel=COMPUTING,
        ),
    ] = False,
    device: Device = "auto",
    dtype: Dtype = "auto",
    out: Out,
    json: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Adapt an encoder to your stain and classes from a few annotated patches.

    Writes a model folder: model.safetensors, model.json, loss.png, history.json, run.json.

    An interrupted run goes on when the same command is given again.

    Example: [cyan]histoseed adapt data/mine --patches 2 --out models/mine[/cyan]

    Another encoder: [cyan]histoseed adapt data/mine --encoder timm:resnet18 --weights random --out models/resnet[/cyan]

    Another architecture: [cyan]histoseed adapt data/mine -e dinov2-small --decoder cellvit --method lora --out m[/cyan]

    Regions of tissue, or the area of nuclei: [cyan]histoseed adapt data/mine --task semantic --out models/tissue[/cyan]

    Boxes and clicks to outlines: [cyan]histoseed adapt data/mine --task prompt --out models/clicks[/cyan]
    """
    output = Output("adapt", json=json, quiet=quiet, overwrite=overwrite)
    from histoseed.segmenters import read_card
    from histoseed.workflows.adapt import adapt as run_adapt

    chosen = _options(options or [])
    how = PromptOptions(
        prompts=prompts, jitter=jitter, loss=loss, curriculum=curriculum, epochs=epochs, accumulate=accumulate,
        max_objects=max_objects, split=split, also=tuple(also or ()), preset=preset, fusion=fusion,
        histology=histology, tiles=tiles,
    )  # fmt: skip
    if task is _Task.prompt or decoder is _Decoder.prompt:
        ignored = {
            "--task": task not in {None, _Task.prompt}, "--decoder": decoder not in {None, _Decoder.prompt},
            "--nuclei": nuclei, "--select": select is not _Select.random, "--ignore-unlabelled": ignore_unlabelled,
            "--start": start, "--classifier": classifier, "--set decoder": chosen["decoder"], "--model-mpp": model_mpp,
            "--stain": stain, "--balance": balance, "--start-share": start_share, "--checkpointing": checkpointing,
        }  # fmt: skip
        common = {
            "encoder": "bundled" if encoder is None else encoder,
            "weights": weights, "patches": patches, "seed": seed, "mpp": mpp,
            "method": None if method is None else method.value, "method_options": chosen["method"], "steps": steps,
            "batch": batch, "learning_rate": learning_rate, "validation": validation.value, "name": name,
            "device": device, "dtype": dtype, "overwrite": overwrite,
        }  # fmt: skip
        run_prompts(output, dataset, out, how, common, ignored)
        return
    how.refuse()
    if validation is _Validation.by_split:
        fix = "Use --validation within, or --task prompt."
        raise InputError("Only promptable models are measured on a split.", where="--validation split", fix=fix)
    if start is not None and encoder is not None:
        fix = "Leave one of them out: the start brings its encoder."
        raise InputError("An encoder is named beside a start.", where=f"--encoder {encoder}", fix=fix)
    encoder = "bundled" if encoder is None else encoder
    with output.progress() as progress:
        run_adapt(
            dataset, out=out, task=cast("Task | None", None if task is None else task.value),
            encoder=encoder, weights=weights, start=start,
            patches=patches, nuclei=nuclei, select=select.value, seed=seed,
            decoder=None if decoder is None else decoder.value, method=None if method is None else method.value,
            classifier=None if classifier is None else classifier.value, decoder_options=chosen["decoder"],
            method_options=chosen["method"], steps=steps, batch=batch,
            checkpointing=checkpointing, learning_rate=learning_rate, start_share=start_share, balance=balance,
            mpp=mpp, model_mpp=model_mpp,
            ignore_unlabelled=ignore_unlabelled, stain=None if stain is None else stain.value,
            validation=cast("Validation", validation.value), name=name, device=device, dtype=dtype,
            overwrite=overwrite, progress=progress,
        )  # fmt: skip
    card = read_card(out)
    last = card.metrics[-1]
    seen = card.data[-1]
    learned = "region" if getattr(card.decoder, "areas", "nuclei") == "regions" else "nucleus"
    output.say(
        facts_table(
            {
                "model": f"{card.name}, {out}",
                "classes": ", ".join(card.class_names) or "none",
                "resolution": f"{card.mpp:g} um a pixel",
                "adapted on": f"{counted(seen.patches or 0, 'patch')} with {counted(seen.instances or 0, learned)}",
                "trained by": str(seen.trained),
                str(last["score"]): _fit_in_words(last, card.training.get("start_share")),
            }
        ),
        f"Use it: histoseed segment SLIDE --model {out} --out RESULT",
    )
    output.result({"model": str(out), "card": card.model_dump(mode="json")})


def _fit_in_words(score: Mapping[str, Any], share: object) -> str:
    """The score that a run was watched by: on the annotated patches themselves, so it says little about others."""
    value, before = score[score["key"]], score["before_averaging"]
    if value is None:
        return "not measured: the patches show nothing that it could be measured by"
    own = "" if str(score["score"]).startswith("validation") else ", on the annotated patches themselves"
    if before is None:
        return f"{value:.4f}{own}"
    return f"{value:.4f}{own}; {before:.4f} before the weights were averaged with the start (--start-share {share})"


def _options(given: list[str]) -> dict[str, dict[str, Any]]:
    """``decoder.shared=true`` -> {"decoder": {"shared": True}, "method": {}}; values are JSON, or else text."""
    chosen: dict[str, dict[str, Any]] = {"decoder": {}, "method": {}}
    for entry in given:
        name, is_set, value = entry.partition("=")
        part, dot, field = name.partition(".")
        if not is_set or not dot or part not in chosen or not field:
            fix = "Write --set decoder.FIELD=VALUE or --set method.FIELD=VALUE."
            raise InputError(f"{entry!r} sets no field.", where="--set", fix=fix)
        try:
            chosen[part][field] = json_module.loads(value)
        except ValueError:
            chosen[part][field] = value
    return chosen
