"""``adapt``: a foundation encoder and a few annotated patches become a segmenter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from histoseed.datasets import Dataset, read_dataset
from histoseed.encoders import get_card
from histoseed.errors import InputError
from histoseed.geometry import known_mpp
from histoseed.wording import counted
from histoseed.workflows.adaptation import (
    ADDING,
    Select,
    StainChoice,
    choose_parts,
    classifier_of,
    decoder_body,
    decoder_kind,
    fit,
    lessons_of,
    named_encoder,
    new_model,
    order_by,
    seen_before,
    stain_pictures,
    start_model,
    task_options,
    usual_method,
    write_model,
)
from histoseed.workflows.memory import explains_memory, recompute_activations, smaller_steps
from histoseed.workflows.models import choose_device, choose_dtype
from histoseed.workflows.progress import Progress, Silent
from histoseed.workflows.runs import open_run

if TYPE_CHECKING:
    from histoseed.segmenters import Segmenter, Task
    from histoseed.training import TrainingPlan

__all__ = ["adapt", "default_plan"]

MODEL_MPP = 0.25
"""Resolution of a model whose encoder does not come with a trained decoder."""

Validation = Literal["none", "within"]


def default_plan(*, trained: bool, **changes: Any) -> TrainingPlan:
    """Settings of the loop: gentle where a trained decoder is the start, stronger where it is not."""
    from histoseed.training import TrainingPlan

    plan = TrainingPlan(steps=80, learning_rate=1e-3) if trained else TrainingPlan(steps=600, learning_rate=2e-3)
    return replace(plan, **{name: value for name, value in changes.items() if value is not None})


@explains_memory(smaller_steps)
def adapt(
    dataset: Dataset | Path | str,
    *,
    out: Path | str,
    task: Task | None = None,
    encoder: str = "bundled",
    weights: str | Path | None = None,
    start: str | Path | None = None,
    patches: int | None = None,
    nuclei: int | None = None,
    select: Select = "random",
    seed: int = 0,
    draw: int | None = None,
    decoder: str | None = None,
    method: str | None = None,
    classifier: Literal["map", "tokens"] | None = None,
    decoder_options: Mapping[str, Any] | None = None,
    method_options: Mapping[str, Any] | None = None,
    steps: int | None = None,
    batch: int | None = None,
    checkpointing: bool = False,
    learning_rate: float | None = None,
    start_share: float | None = None,
    balance: float | None = None,
    mpp: float | None = None,
    model_mpp: float | None = None,
    ignore_unlabelled: bool = False,
    stain: StainChoice | None = None,
    validation: Validation = "none",
    name: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Segmenter:
    """Adapt an encoder to a data set from a few annotated patches, and write the model folder.

    Args:
        dataset: Data set in the common format. Where it has a split, only "train" is used.
        out: Folder of the model: ``model.safetensors``, ``model.json``, ``run.json``, ``history.json``, ``loss.png``.
            An interrupted run with equal inputs and settings is resumed.
        task: ``instance``: nuclei one by one; ``semantic``: a class for every pixel, of the regions of the data set or,
            where it has none, of its nuclei (``decoder_options={"areas": ...}`` chooses). None takes that of the start,
            else ``instance``.
        encoder: Name of an encoder card; ``bundled`` starts from the bundled encoder *and* decoder.
        weights: ``hub``, ``random``, ``bundled`` or a file; by default bundled for ``bundled``, else hub.
        start: A model folder to start from instead; its encoder, resolution and decoder are taken over.
        patches: Number of annotated patches: crops of 64 um; of regions, squares of 256 pixels of the network. None
            takes everything.
        nuclei: The same budget counted in nuclei: patches are drawn until they show at least so many; the number that
            they do show stands in ``run.json`` and on the card. Instead of ``patches``.
        select: How the patches are chosen: ``random``; ``diverse``: spread in the embedding space of the encoder;
            ``uncertain``: where the start is unsure. All three are nested, and slides take turns. ``quality`` is
            refused until there is a predictor of it.
        seed: Of the training, and of the draw of the patches unless ``draw`` is given.
        draw: Seed of the draw of the patches.
        decoder: A kind of :data:`histoseed.segmenters.KINDS` of the task ``instance``; a semantic model has the
            architecture of ``skip``. None takes that of the start, else ``skip``. A start gives its decoder, so that
            any other begins with the encoder alone.
        method: A name of :data:`histoseed.segmenters.METHODS`: ``frozen`` trains the decoder on stored features of
            fixed augmented views, ``side-branch`` a small network beside them, ``full`` everything. None takes ``full``
            where the start is a trained model with the small bundled encoder, else ``frozen``.
        classifier: Where classes come from: ``map``: a map of the decoder; ``tokens``: the encoder's tokens in the box
            of each cell, as in CellViT++. None takes that of the start, else ``map``.
        decoder_options: Fields of the decoder's entry in ``model.json`` that differ from its defaults.
        method_options: Fields of :class:`histoseed.segmenters.MethodOptions` that differ from its defaults.
        steps: Optimiser steps; None takes 80 from a trained decoder, 600 from an untrained one.
        batch: Crops a step.
        checkpointing: Compute the encoder's activations again in the backward pass instead of keeping them: less
            memory, more time. For encoders of timm without batch normalisation, and methods that train through them.
        learning_rate: Peak of the schedule.
        start_share: Weight of the start when its weights are averaged with the adapted ones at the end, 0 to 1. None
            takes 0.5 where the start reaches two thirds of the adapted score on the annotated patches, else 0; see
            :func:`histoseed.training.keep_of_start`. Only where the method adds nothing to the encoder.
        balance: How much more often pictures with rare classes or of rare organs are drawn, from 0 (the default: all
            alike) to 1; see :func:`histoseed.training.picture_weights`. CellViT takes 0.85.
        mpp: Microns per pixel to assume where the data set states none.
        model_mpp: Microns per pixel of the network; None takes that of the start, else 0.25.
        ignore_unlabelled: Patches are partly annotated: only what lies within 2 um of an object counts as background.
        stain: Stain normalisation: ``none``, ``macenko``, ``reinhard``; stored in the model and applied wherever it is
            used. None takes that of the start, else ``none``.
        validation: ``none`` trains a fixed number of steps; ``within`` keeps a quarter of the drawn patches apart and
            returns the weights that did best on them.
        name: Name of the model; by default that of the data set.
        device: ``auto``, ``cpu``, ``cuda``...
        dtype: ``auto``, ``float32``, ``bfloat16``.
        overwrite: Replace what stands at ``out``.
        progress: Told about every step.

    Returns:
        The adapted model.

    Raises:
        HistoseedError: see :mod:`histoseed.errors`; nothing is written then.
    """
    _check_arguments(task, model_mpp, start_share)
    chosen = named_encoder(encoder, weights, start=start, task=task, decoder=decoder, method=method)
    data = dataset if isinstance(dataset, Dataset) else read_dataset(dataset)
    place = choose_device(device)
    precision = choose_dtype(dtype, place)
    first = start_model(encoder, chosen.weights, start, decoder, task)
    seen = seen_before(encoder, chosen, first)
    task = first.card.task if first else task or "instance"
    kind = first.card.decoder.kind if first else decoder_kind(task, decoder)
    body = decoder_body(encoder, chosen.weights, kind)
    card = get_card(first.card.encoder.name) if first else chosen.card
    scale = model_mpp or (first.card.mpp if first else MODEL_MPP)
    if method is None:
        trained = first or body
        method = usual_method(None if trained is None else trained.card.encoder.name)
    options = decoder_options if first else task_options(task, data, decoder_options)
    parts = choose_parts(card, first, kind, method, options, method_options)
    if start_share and method in ADDING:
        fix = "Leave it out, or use --method full."
        raise InputError(f"Weights of {method} have no start to be averaged with.", where="--start-share", fix=fix)
    plan = default_plan(
        trained=first is not None,
        seed=seed,
        method=method,
        steps=steps,
        batch=batch,
        learning_rate=learning_rate,
        balance=balance,
    )
    lessons = lessons_of(task, data, parts.decoder, crop_um=plan.crop * scale)
    told = progress or Silent()
    order = order_by(select, first, chosen, scale, mpp=mpp, seed=seed, device=place, told=told)
    annotated = lessons.draw(patches, seed if draw is None else draw, nuclei=nuclei, mpp=mpp, order=order)
    annotated = stain_pictures(data, annotated, stain, first.card if first else None, mpp=mpp)
    lessons.check(annotated, first)
    pictures = lessons.pictures(annotated.patches, scale, mpp=mpp, ignore_unlabelled=ignore_unlabelled)
    kept_apart = max(1, len(pictures) // 4) if validation == "within" else 0
    if kept_apart and len(pictures) < 2:
        raise InputError("One patch cannot be split.", where="--validation within", fix="Use --validation none.")
    if classifier is not None:
        parts = replace(parts, classifier=classifier_of(task, classifier))
    weights = chosen.weights
    model = new_model(lessons, annotated, first, card, weights, scale, plan, parts, name=name, body=body, seen=seen)
    model = recompute_activations(model, method, wanted=checkpointing).to(place)
    settings = {
        "task": task,
        "encoder": encoder,
        "weights": str(weights),
        "start": None if start is None else str(start),
        "patches": patches,
        "nuclei": nuclei,
        "select": select,
        "draw": draw,
        "model_mpp": scale,
        "mpp": mpp,
        "ignore_unlabelled": ignore_unlabelled,
        "stain": None if annotated.stain is None else annotated.stain.method,
        "validation": validation,
        "start_share": start_share,
        "decoder": parts.decoder.model_dump(mode="json"),
        "classifier": parts.classifier.model_dump(mode="json"),
        "method": parts.method.model_dump(mode="json"),
        "plan": asdict(plan),
        "checkpointing": checkpointing,
    }
    inputs = {"dataset": data.path} | ({"start": Path(start)} if start is not None else {})
    if str(weights) not in {"hub", "random", "bundled"}:
        inputs["weights"] = Path(weights)
    with open_run(
        Path(out),
        verb="adapt",
        inputs=inputs,
        settings=settings,
        overwrite=overwrite,
        seed=seed,
        device=place,
        dtype=str(precision),
    ) as run:
        made = fit(
            model,
            first,
            pictures,
            plan,
            run,
            kept_apart=kept_apart,
            start_share=start_share,
            dtype=precision,
            told=told,
            title=f"Adapting {encoder} to {data.name} ({counted(len(pictures), 'patch')})",
        )
        write_model(model, run, made, annotated)
        run.path("checkpoint.safetensors").unlink(missing_ok=True)
        run.finish(
            {
                "patches": [p.patch_id for p in annotated.patches],
                "instances": annotated.instances,
                "kinds": annotated.kinds,
                "trained": lessons.trained(annotated),
                "start_share": made.start_share,
                "stain_left": list(annotated.stain_left),
            }
        )
    return model.eval()


def _check_arguments(task: str | None, model_mpp: float | None, start_share: float | None) -> None:
    """What can be refused before anything is read."""
    if task == "prompt":
        fix = "Call histoseed.adapt_prompts, or use histoseed adapt --task prompt."
        raise InputError("A promptable model is taught by another function.", where="task", fix=fix)
    if model_mpp is not None and known_mpp(model_mpp) is None:
        fix = "Leave it out, or give for instance 0.25."
        raise InputError(f"{model_mpp} microns per pixel are not believable.", where="model_mpp", fix=fix)
    if start_share is not None and not 0 <= start_share <= 1:
        raise InputError(f"A share of {start_share}.", where="--start-share", fix="Give a number from 0 to 1.")
