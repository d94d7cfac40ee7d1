"""``adapt --task prompt``: a promptable model learns to answer prompts about the objects of a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from histoseed._version import __version__
from histoseed.datasets import Dataset, read_dataset
from histoseed.encoders import EmbeddingCache
from histoseed.errors import InputError
from histoseed.files import write_bytes, write_json
from histoseed.pictures import loss_curve
from histoseed.settings import read_settings
from histoseed.wording import adapted_name, counted
from histoseed.workflows.adaptation.prompted_data import KeptApart, Shares, TaughtObjects, draw_objects
from histoseed.workflows.memory import explains_memory
from histoseed.workflows.models import choose_device, choose_dtype
from histoseed.workflows.progress import Progress, Silent
from histoseed.workflows.prompting.models import load_prompt_model, prompt_model_folder
from histoseed.workflows.runs import Run, open_run

if TYPE_CHECKING:
    from histoseed.prompting.sam import PromptableCard
    from histoseed.prompting.trainable import TrainablePromptable
    from histoseed.segmenters import MethodOptions, TrainingData
    from histoseed.training.prompted import PromptedHistory, PromptedPlan

__all__ = ["Preset", "adapt_prompts", "prompted_plan"]

Preset = Literal["published"]
PUBLISHED_SHARES: Shares = (0.7, 0.15, 0.15)


def prompted_plan(
    family: str, method: str, preset: Preset | None = None, *, fusion: str | None = None, **changes: Any
) -> PromptedPlan:
    """Settings of the loop.

    Args:
        family: ``roi`` (the bundled kind), ``sam`` or ``sam2``.
        method: ``frozen``, ``lora`` or ``full``.
        preset: ``published``: as "Rapid Cytomine" (University of Liege, 2025) trained: AdamW with a constant rate of
            1e-5 and a weight decay of 1e-4, 30 epochs, batches of 64 (SAM) or 16 (SAM 2), 32 fused (12 for
            ``refinement``), 3 or 4 where everything trains; boxes moved by up to 20 pixels of the 1024-pixel window;
            cross-entropy for SAM, with the error of the expected IoU for SAM 2. There, each object had the same prompts
            in every epoch; here they are drawn afresh.
        fusion: Name of the fusion, if there is one.
        changes: Fields that differ; None leaves one as it is.
    """
    from histoseed.training.prompted import PromptedPlan

    second = family == "sam2"
    if preset == "published":
        batch = 16 if second else 64
        if fusion is not None:
            batch = 12 if fusion.startswith("refinement") else 32
        if method == "full":
            batch = 4 if second else 3
        plan = PromptedPlan(
            method=method, prompts="box+5pos+5neg+mask:published-loose", jitter="20w", epochs=30, batch=batch,
            learning_rate=1e-5, schedule="constant", warmup=1, weight_decay=1e-4, windows="object",
            loss="bce-iou" if second else "bce",
        )  # fmt: skip
    elif family == "roi":
        plan = PromptedPlan(method=method, batch=32, learning_rate=3e-4 if method == "frozen" else 1e-4)
    else:
        plan = PromptedPlan(method=method, learning_rate=1e-5 if method == "full" else 1e-4)
    return replace(plan, **{name: value for name, value in changes.items() if value is not None})


def _smaller(arguments: Mapping[str, Any]) -> list[str]:
    """What needs less memory than this call."""
    method = arguments.get("method") or "frozen"
    return [] if method == "frozen" else ["--method frozen" if method == "lora" else "--method lora or frozen"]


@explains_memory(_smaller)
def adapt_prompts(
    datasets: Dataset | Path | str | Sequence[Dataset | Path | str],
    *,
    out: Path | str,
    encoder: str | Path | PromptableCard = "bundled",
    weights: str | Path | None = None,
    method: str | None = None,
    method_options: Mapping[str, Any] | None = None,
    prompts: str | None = None,
    jitter: str | None = None,
    curriculum: str | None = None,
    loss: str | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    batch: int | None = None,
    accumulate: int | None = None,
    learning_rate: float | None = None,
    weight_decay: float | None = None,
    patches: int | None = None,
    max_objects: int | None = None,
    validation: KeptApart = "none",
    shares: Shares | None = None,
    seed: int = 0,
    mpp: float | None = None,
    preset: Preset | None = None,
    fusion: str | None = None,
    histology: str | Path | None = None,
    tiles: int | None = None,
    histology_weights: str | Path | None = None,
    cached: bool = True,
    name: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> TrainablePromptable:
    """Train a promptable model on the outlined objects of one or several data sets, and write the model folder.

    Simulated users prompt every object, a little differently in each epoch. Prompt encoder and mask decoder (of the
    bundled kind: the head) always train; of the encoder what ``method`` says.

    Args:
        datasets: In the common format. Of one with a split ``train`` that part alone trains, unless ``shares`` deal all
            of its groups out anew.
        out: Folder of the model: ``model.safetensors``, ``model.json``, ``run.json``, ``history.json``, ``loss.png``.
            An interrupted run with equal inputs and settings is resumed.
        encoder: ``bundled``, the name of a SAM model, a checkpoint or a card of one, or a folder that this verb wrote.
        weights: Of a SAM model that is named: ``hub``, ``random`` or a file.
        method: ``frozen`` (the default; embeddings are computed once and stored), ``lora`` or ``full``.
        method_options: Fields of :class:`histoseed.segmenters.MethodOptions` for ``lora``.
        prompts: What users say: a combination such as ``box+5pos``, which also trains on its parts; ``all``; or several
            with commas between them, and then these alone.
        jitter: Largest move of each side of a box: ``1um``, ``4px``, ``10%`` of the object, ``20w`` pixels of a
            1024-pixel window.
        curriculum: ``mixed`` or ``growing``: begin with what says most.
        loss: ``bce``, ``bce-iou`` or ``focal-dice-iou``.
        epochs: How often every object is shown.
        steps: Optimiser steps, instead of ``epochs``; give one of them.
        batch: Objects a batch.
        accumulate: Batches an optimiser step. Memory holds one window at a time in any case.
        learning_rate: Peak of the schedule.
        weight_decay: Of AdamW.
        patches: Train on so many crops of 64 um of each data set; None takes everything.
        max_objects: Most objects that train.
        validation: ``none``; ``within``: keep a quarter of the groups apart; ``split``: the split ``val``. With it, the
            weights of the lowest validation loss are kept.
        shares: Deal groups out to training, validation and test; then ``validation`` is ``none``.
        seed: Of every random choice.
        mpp: Microns per pixel to assume where a data set states none.
        preset: See :func:`prompted_plan`; ``published`` deals groups out 70 : 15 : 15.
        fusion: How features of a histology encoder are joined in; see :mod:`histoseed.prompting.fusion`.
        histology: That encoder.
        tiles: Histology tiles along a side of a window.
        histology_weights: Of that encoder.
        cached: Keep embeddings of a frozen encoder on the disk for later runs.
        name: Name of the model.
        device: ``auto``, ``cpu``, ``cuda``...
        dtype: ``auto``, ``float32``, ``bfloat16``.
        overwrite: Replace what stands at ``out``.
        progress: Told about every step.

    Returns:
        The trained model, loaded from its folder.

    Raises:
        HistoseedError: see :mod:`histoseed.errors`; nothing is written then.
    """
    from histoseed.prompting.methods import prepare_promptable

    given = [datasets] if isinstance(datasets, Dataset | Path | str) else list(datasets)
    data = [entry if isinstance(entry, Dataset) else read_dataset(entry) for entry in given]
    if not data:
        raise InputError("No data set was given.", where="datasets")
    if steps is not None and epochs is not None:
        raise InputError("Steps and epochs are two ways to say how long.", where="--epochs", fix="Give one of them.")
    place = choose_device(device)
    model, seen, before = _start(
        encoder, weights, fusion, histology, tiles, histology_weights, device=place, dtype=dtype
    )
    options = _method_options(method, method_options, before)
    prepare_promptable(model, options, seed=seed)
    plan = prompted_plan(
        _family(model), options.name, preset, fusion=fusion, prompts=prompts, jitter=jitter, curriculum=curriculum,
        loss=loss, epochs=epochs, steps=steps, batch=batch, accumulate=accumulate, learning_rate=learning_rate,
        weight_decay=weight_decay, seed=seed,
    )  # fmt: skip
    if preset == "published" and shares is None and validation == "none":
        shares = PUBLISHED_SHARES
    taught = draw_objects(
        data, model.policy, plan, kept_apart=validation, shares=shares, patches=patches, max_objects=max_objects,
        mpp=mpp,
    )  # fmt: skip
    settings = {
        "task": "prompt", "encoder": _told(encoder), "weights": None if weights is None else str(weights),
        "method": options.model_dump(mode="json"), "plan": asdict(plan), "patches": patches,
        "max_objects": max_objects, "validation": validation, "shares": None if shares is None else list(shares),
        "mpp": mpp, "fusion": fusion, "histology": None if histology is None else str(histology), "tiles": tiles,
        "histology_weights": None if histology_weights is None else str(histology_weights), "name": name,
    }  # fmt: skip
    inputs = {f"dataset {d.name}" if len(data) > 1 else "dataset": d.path for d in data}
    named = {
        "encoder": encoder, "weights": weights, "histology": histology, "histology weights": histology_weights,
    }  # fmt: skip
    inputs |= {f"{what} file": Path(str(path)) for what, path in named.items() if _is_path(path)}
    with open_run(
        Path(out), verb="adapt", inputs=inputs, settings=settings, overwrite=overwrite, seed=seed, device=place,
        dtype=str(choose_dtype(dtype, place)),
    ) as run:  # fmt: skip
        title = (
            f"Adapting {model.name} to {', '.join(d.name for d in data)} ({counted(len(taught.training), 'object')})"
        )
        history = _fit(model, taught, plan, run, cached=cached, told=progress or Silent(), title=title)
        trained = name or adapted_name(model.name, [d.name for d in data])
        facts = {
            "name": trained, "data": (*seen, *taught.data), "training": {"preset": preset, **asdict(plan)},
            "metrics": (_metrics(history),),
        }  # fmt: skip
        _write(model, run, options, facts, history)
        run.path("checkpoint.safetensors").unlink(missing_ok=True)
        run.finish({**run.manifest.get("results", {}), **_results(taught, history, plan, run)})
    return load_prompt_model(Path(out), device=place, dtype=dtype)


def _start(  # noqa: PLR0917 - one caller
    encoder: str | Path | PromptableCard,
    weights: str | Path | None,
    fusion: str | None,
    histology: str | Path | None,
    tiles: int | None,
    histology_weights: str | Path | None,
    *,
    device: str,
    dtype: str,
) -> tuple[TrainablePromptable, tuple[TrainingData, ...], MethodOptions | None]:
    """The model that training begins with, the data that it has seen, and the method that it was trained by."""
    import torch

    if fusion is None:
        if histology is not None or tiles is not None or histology_weights is not None:
            fix = "Add --fusion, for instance --fusion concat."
            raise InputError("A histology encoder is joined in by a fusion.", where="--histology", fix=fix)
        model = load_prompt_model(encoder, weights=weights, device=device, dtype=dtype)
        return model, *_known_of(encoder)
    from histoseed.prompting.fusion import load_fused

    if histology is None:
        raise InputError("A fusion joins a histology encoder in.", where=f"--fusion {fusion}", fix="Add --histology.")
    if prompt_model_folder(encoder) is not None:
        what = f"A fusion joins a histology encoder to a SAM as its authors gave it, and {encoder} is none."
        fix = "Name one, for instance --encoder sam-vit-b."
        raise InputError(what, where=f"--fusion {fusion}", fix=fix)
    mixed = choose_dtype(dtype, device) == torch.bfloat16
    model = load_fused(
        encoder, histology, fusion, tiles=tiles, sam_weights=weights, histology_weights=histology_weights,
        device=device, precision="bfloat16" if mixed else "float32",
    )  # fmt: skip
    return model, (), None


def _known_of(encoder: str | Path | PromptableCard) -> tuple[tuple[TrainingData, ...], MethodOptions | None]:
    """What the card of a folder says of data and method; nothing where the model is no folder."""
    from histoseed.prompting.folders import read_kind
    from histoseed.prompting.roi.storage import read_prompt_card
    from histoseed.prompting.storage import read_trained_card

    folder = prompt_model_folder(encoder)
    if folder is None:
        return (), None
    card = read_trained_card(folder) if read_kind(folder) == "sam" else read_prompt_card(folder)
    return card.data, card.method


def _method_options(method: str | None, given: Mapping[str, Any] | None, before: MethodOptions | None) -> MethodOptions:
    """The method; that of the start where nothing is said.

    Raises:
        InputError: options that do not exist, or another method than that of the start.
    """
    from pydantic import ValidationError

    from histoseed.segmenters import MethodOptions

    if before is not None and before.name != "frozen":
        if method not in {None, before.name} or given:
            fix = "Leave --method and its options out, or start from the model that it was trained from."
            raise InputError(f"The start was trained by {before.name}.", where=f"--method {method}", fix=fix)
        return before
    try:
        return MethodOptions(**{**(given or {}), "name": method or "frozen"})
    except ValidationError as error:
        first = error.errors()[0]
        where = f"--set method.{'.'.join(map(str, first['loc']))}"
        if first["loc"] == ("name",):
            fix = "Use frozen, lora or full."
            raise InputError(f"A promptable model is not trained by {method!r}.", where="--method", fix=fix) from error
        raise InputError(f"{first['msg']}.", where=where) from error


def _family(model: TrainablePromptable) -> str:
    from histoseed.prompting.roi import RoiPrompter

    if isinstance(model, RoiPrompter):
        return "roi"
    return "sam2" if getattr(getattr(model, "card", None), "arch", None) == "sam2" else "sam"


def _told(encoder: str | Path | PromptableCard) -> Any:
    """The encoder as JSON."""
    return str(encoder) if isinstance(encoder, str | Path) else encoder.as_dict()


def _is_path(value: object) -> bool:
    return isinstance(value, str | Path) and str(value) != "bundled" and Path(value).exists()


def _fit(
    model: TrainablePromptable,
    taught: TaughtObjects,
    plan: PromptedPlan,
    run: Run,
    *,
    cached: bool,
    told: Progress,
    title: str,
) -> PromptedHistory:
    from histoseed.training.prompted import train_prompted

    limits = read_settings()
    stores = cached and plan.method == "frozen"
    cache = EmbeddingCache(limits.cache_dir / "embeddings", limits.cache_bytes) if stores else None
    told.start(plan.total_steps(len(taught.training)), "steps", title)
    with run.timing("training"):
        history = train_prompted(
            model,
            taught.training,
            plan,
            validation=taught.validation,
            checkpoint=run.path("checkpoint.safetensors"),
            cache=cache,
            on_step=_reporter(told),
        )
    told.done()
    return history


def _reporter(told: Progress) -> Callable[[dict[str, float | None]], None]:
    """Turns rows of the history into progress; validation is told with the epoch that it was measured after."""
    last: dict[str, float] = {}
    done = 0

    def report(row: dict[str, float | None]) -> None:
        nonlocal done
        if (score := row["validation_loss"]) is not None:
            last.clear()
            last[f"validation loss, epoch {row['epoch']}:"] = score
        step = int(row["step"] or 0)  # the first one of a run that goes on is not 1
        told.advance(step - done, loss=row["loss"] or 0.0, dice=row["dice"] or 0.0, **last)
        done = step

    return report


def _metrics(history: PromptedHistory) -> dict[str, Any]:
    """How the training went, at the step whose weights were kept."""
    measured = [row for row in history if row["validation_loss"] is not None]
    if not measured:
        row = history[-1]
        return {"score": "loss of the last step", "loss": row["loss"], "dice": row["dice"], "epoch": row["epoch"]}
    best = min(measured, key=lambda row: row["validation_loss"] or 0.0)
    return {
        "score": "validation loss", "loss": best["validation_loss"], "dice": best["validation_dice"],
        "epoch": best["epoch"],
    }  # fmt: skip


def _write(
    model: TrainablePromptable, run: Run, options: MethodOptions, facts: Mapping[str, Any], history: PromptedHistory
) -> None:
    """The model folder, the history and its plot."""
    from histoseed.prompting.roi import RoiPrompter
    from histoseed.prompting.roi.storage import write_prompter_files
    from histoseed.prompting.sam.model import SamPromptable
    from histoseed.prompting.storage import write_trained_sam

    write_json(run.path("history.json"), history)
    parts = [key for key in history[0] if key in {"bce", "focal", "dice_loss", "iou_error"}]
    plot = loss_curve(
        history, parts=[*parts, "validation_loss"], rate="learning_rate", score="validation_dice",
        score_name="validation Dice",
    )  # fmt: skip
    write_bytes(run.path("loss.png"), plot)
    if isinstance(model, RoiPrompter):
        model.card = model.card.model_copy(update={**facts, "histoseed": __version__, "method": options})
        write_prompter_files(model, run.folder, half=False)
    elif isinstance(model, SamPromptable):
        write_trained_sam(model, run.folder, method=options, facts=facts)


def _results(taught: TaughtObjects, history: PromptedHistory, plan: PromptedPlan, run: Run) -> dict[str, Any]:
    seconds = float(run.manifest["timings"].get("training", 0.0))
    shown = len(history) * plan.step_size()
    return {
        "patches": taught.patches,
        "objects": {"train": len(taught.training), "val": len(taught.validation)},
        "steps": len(history),
        "seconds": seconds,
        "samples_per_second": round(shown / seconds, 2) if seconds else None,
        **_metrics(history),
    }
